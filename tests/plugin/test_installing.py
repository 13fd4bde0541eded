"""The command that is printed goes with the environment that it is printed in, and loses nothing that is there."""

import json
import shlex
import sys
import sysconfig
from pathlib import Path

import pytest

from rnn_tui.plugin import installing
from rnn_tui.plugin.installing import install_command, is_package_name, uninstall_command


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """An environment with pip that nobody looks after, and no pip and no uv on the PATH."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/env/bin/python")
    monkeypatch.setattr(installing.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return tmp_path


def _program(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("")
    (folder / name).chmod(0o755)


def test_plain_pip_names_the_python_whose_it_is(prefix):
    assert install_command("rnn-tui-mgu", "rnn-tui[onnx]") == (
        "/env/bin/python -m pip install rnn-tui-mgu 'rnn-tui[onnx]'"
    )


def test_pip_is_short_only_where_it_is_this_environments(prefix, monkeypatch):
    _program(prefix / "own", "pip")
    _program(prefix / "other", "pip")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(prefix / "own"))
    monkeypatch.setenv("PATH", str(prefix / "own"))
    assert install_command("x") == "pip install x"
    monkeypatch.setenv("PATH", str(prefix / "other"))
    assert install_command("x") == "/env/bin/python -m pip install x"


def test_an_environment_of_uv_has_no_pip(prefix, monkeypatch):
    monkeypatch.setattr(installing.importlib.util, "find_spec", lambda _: None)
    assert install_command("x") == "/env/bin/python -m pip install x"  # nobody knows of uv here
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.2\n")
    assert install_command("x") == "uv pip install --python /env/bin/python x"
    monkeypatch.setenv("VIRTUAL_ENV", str(prefix))
    assert install_command("x") == "uv pip install x"
    (prefix / "pyvenv.cfg").unlink()
    _program(prefix / "bin", "uv")
    monkeypatch.setenv("PATH", str(prefix / "bin"))
    assert install_command("x") == "uv pip install x"


RECEIPT = """
[tool]
requirements = [
    { name = "rnn-tui", extras = ["testing"], specifier = ">=0.1" },
    { name = "rnn-tui-mgu" },
    { name = "own", editable = "/home/me/own" },
    { name = "near", directory = "/home/me/near by" },
    { name = "forge", git = "https://forge.example/a/b?rev=abc#123" },
    { name = "wheel", url = "https://files.example/wheel-1-py3-none-any.whl" },
]
entrypoints = []
"""


def test_a_tool_of_uv_keeps_what_it_has(prefix):
    (prefix / "uv-receipt.toml").write_text(RECEIPT)
    kept = [
        *["--with", "rnn-tui-mgu", "--with-editable", "/home/me/own"],
        *[
            "--with",
            "near @ file:///home/me/near%20by",
            "--with",
            "forge @ git+https://forge.example/a/b@abc",
        ],
        *["--with", "wheel @ https://files.example/wheel-1-py3-none-any.whl"],
    ]
    head = ["uv", "tool", "install"]
    assert shlex.split(install_command("rnn-tui-bpe==1.2")) == [
        *[*head, "rnn-tui[testing]>=0.1", *kept, "--with", "rnn-tui-bpe==1.2"]
    ]
    assert shlex.split(install_command("rnn_tui[onnx]")) == [*head, "rnn-tui[onnx,testing]>=0.1", *kept]
    assert shlex.split(install_command("RNN.tui_MGU>=2")) == [
        *[*head, "rnn-tui[testing]>=0.1", *kept[2:], "--with", "RNN.tui_MGU>=2"]
    ]
    assert shlex.split(install_command("--editable", "."))[-2:] == ["--with-editable", "."]


def test_a_tool_of_uv_from_a_folder_stays_one(prefix):
    (prefix / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "rnn-tui", editable = "/src" }]\n'
    )
    assert install_command("x") == "uv tool install --editable /src --with x"
    assert install_command("rnn-tui[onnx]") == "uv tool install --editable '/src[onnx]'"


@pytest.mark.parametrize("text", ["", "[tool", "[tool]\nrequirements = 3", "[tool]\nrequirements = ['x']"])
def test_a_receipt_that_cannot_be_read_is_none(prefix, text):
    (prefix / "uv-receipt.toml").write_text(text)
    assert install_command("x") == "/env/bin/python -m pip install x"


def test_pipx_injects(prefix):
    file = prefix / "pipx_metadata.json"
    file.write_text(json.dumps({"main_package": {"package": "rnn-tui", "suffix": "@2"}}))
    assert install_command("x", "y[z]") == "pipx inject rnn-tui@2 x 'y[z]'"
    # inject says of what is there that it is, and adds no extra
    assert install_command("rnn-tui[onnx]") == "pipx runpip rnn-tui@2 install 'rnn-tui[onnx]'"
    file.write_text("{}")
    assert install_command("x") == "/env/bin/python -m pip install x"


def test_what_a_file_names_is_a_package_or_it_is_not():
    assert all(map(is_package_name, ["rnn-tui-mgu", "A", "a.b_c", "x" * 200]))
    assert not any(
        map(is_package_name, ["", "-r x", "--index-url=x", "a b", "a;b", "x" * 201, "a/b", "é", "a\n"])
    )


def test_what_takes_a_package_out_is_of_the_same_tool(prefix):
    assert uninstall_command("own") == "/env/bin/python -m pip uninstall own"
    (prefix / "pipx_metadata.json").write_text(json.dumps({"main_package": {"package": "rnn-tui"}}))
    assert uninstall_command("own") == "pipx uninject rnn-tui own"
    (prefix / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "rnn-tui" }, { name = "O.wn", editable = "/own" }, { name = "kept" }]\n'
    )
    assert uninstall_command("o-wn") == "uv tool install rnn-tui --with kept"
