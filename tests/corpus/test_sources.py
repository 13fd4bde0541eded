import os
from pathlib import Path

import pytest

from rnn_tui.corpus import sources
from rnn_tui.corpus.sources import check_source, download_path, find_source, named_corpora
from rnn_tui.errors import InputError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file(here: Path) -> None:
    (here / "poems.txt").write_text("x")
    check_source("poems.txt")
    source = find_source("poems.txt")
    assert (source.name, source.files, source.notes) == ("poems", (Path("poems.txt"),), ())


def test_a_folder_in_path_order_without_hidden_and_binary_files(here: Path) -> None:
    for name in ("b/2.txt", "b/10.txt", "b.txt", "a", "b/.hidden", ".git/config", "b/.cache/x"):
        (here / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "texts" / name).write_text(name)
    (here / "texts" / "b" / "image").write_bytes(b"\x89PNG" + bytes(50))
    os.mkfifo(here / "texts" / "pipe")
    (here / "texts" / "loop").symlink_to(here / "texts")
    source = find_source("texts")
    assert [source.label(file) for file in source.files] == ["a", "b/10.txt", "b/2.txt", "b.txt"]
    assert source.notes == ("4 files read, 3 hidden and 1 binary files left out",)
    assert source.name == "texts"


def test_a_folder_without_text(here: Path) -> None:
    (here / "empty" / ".git").mkdir(parents=True)
    with pytest.raises(InputError, match="no text file in this folder"):
        find_source("empty")


def test_standard_input() -> None:
    check_source("-")
    assert find_source("-").files == ()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tinyshakespear", "did you mean 'tinyshakespeare'"),
        ("poem.txt", "did you mean 'poems.txt'"),
        ("sub/txet.txt", "did you mean 'sub/text.txt'"),
        ("no\0such", "no such file"),
        ("x" * 5000, "no such file"),
        ("tinyshakespeare", "fetch it with: rnn-tui corpus get tinyshakespeare"),
        ("nothing.txt", "the file is empty"),
        ("pipe", "neither a file nor a folder"),
    ],
)
def test_what_cannot_be_used(here: Path, source: str, message: str) -> None:
    (here / "poems.txt").write_text("x")
    (here / "sub").mkdir()
    (here / "sub" / "text.txt").write_text("x")
    (here / "nothing.txt").touch()
    os.mkfifo(here / "pipe")
    for function in (check_source, find_source):
        with pytest.raises(InputError, match=message):
            function(source)


def test_no_source_at_all() -> None:
    with pytest.raises(UsageError, match="no corpus given"):
        check_source("")


def test_a_path_beats_a_name_and_says_so(here: Path) -> None:
    (here / "stdlib").write_text("mine")
    source = find_source("stdlib")
    assert source.files == (Path("stdlib"),)
    assert "hidden by it" in source.notes[0]


def test_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_source("stdlib")
    names = [source.label(file) for file in source.files]
    assert names == sorted(names, key=lambda name: name.split("/"))
    assert {"abc.py", "argparse.py", "asyncio/base_events.py"} <= set(names)
    assert not any({"test", "idlelib", "site-packages", "encodings"} & set(name.split("/")) for name in names)
    total = sum(file.stat().st_size for file in source.files)
    assert 1_500_000 < total <= sources.STDLIB_BYTES
    assert find_source("stdlib") == source
    monkeypatch.setattr(sources, "STDLIB_BYTES", 20_000)
    few = find_source("stdlib").files
    assert 0 < len(few) < len(source.files)
    assert few == source.files[: len(few)]


def test_named_corpora_tell_how_to_get_them() -> None:
    found = {corpus.name: corpus for corpus in named_corpora()}
    assert list(found) == [
        "stdlib",
        "fables-en",
        "fables-zh",
        "hello",
        "sine",
        "timemachine",
        "tinyshakespeare",
    ]
    assert found["stdlib"].available
    assert found["stdlib"].how == found["fables-zh"].how == "built in"
    assert not found["timemachine"].available
    assert found["timemachine"].how == "rnn-tui corpus get timemachine"
    download_path("timemachine").parent.mkdir(parents=True)
    download_path("timemachine").write_text("The Time Traveller")
    assert {corpus.name: corpus for corpus in named_corpora()}["timemachine"].available
    assert find_source("timemachine").files == (download_path("timemachine"),)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(here: Path) -> None:
    (here / "secret.txt").write_text("x")
    (here / "secret.txt").chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        check_source("secret.txt")
