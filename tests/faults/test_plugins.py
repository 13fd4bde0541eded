"""Bad plugins: reported by name in one clause, and nothing else of them is noticed. Rows 83 to 88."""

import json
import os
import resource
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from functools import partial

import pytest
from fault_plugins import (
    CELL,
    FOURTEEN,
    HEALTHY,
    MARK,
    MORE,
    RAW,
    TOKENIZER,
    complaints,
    described,
    install,
    install_all,
    left_running,
    state_of_this_process,
)

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.file import load_model
from rnn_tui.plugin import describe, guard, loading, probe
from rnn_tui.plugin.loading import plugin_notes
from rnn_tui.plugin.registry import PluginInfo, find_plugin, load_plugin
from rnn_tui.runs.events import EventReader
from rnn_tui.training import worker
from rnn_tui.training.launch import create, prepare_run_config


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder on the path of this process and of those that it starts."""
    folder, mark = tmp_path / "site", tmp_path / "mark"
    folder.mkdir()
    mark.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv(MARK, str(mark))
    monkeypatch.setattr(loading, "_loaded", {})
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


# ------------------------------------------------------------------------------------------------ in another process


def test_each_is_reported_and_harms_nobody(site, tmp_path, amount, figures, capfd):
    install_all(site)
    limit = amount(5, 10)  # a healthy one may take long where the cores are busy
    before, began = state_of_this_process(), time.monotonic()
    found = described(limit)
    took = time.monotonic() - began
    assert "\n".join(complaints(found)) == ""
    assert left_running(tmp_path / "mark") == []
    assert state_of_this_process() == before
    assert capfd.readouterr() == ("", "")
    assert took < 120 + 2 * limit
    figures(
        "plugins",
        f"{len(FOURTEEN)} bad ones of rows 83-85 and {len(MORE) + len(RAW)} more: each reported, 20 healthy ones not "
        f"harmed, in {took:.1f} s with a limit of {limit} s",
    )


def test_command_and_app_live_with_them(site, tmp_path, monkeypatch, capsys):
    from rnn_tui.cli.root import run

    install_all(site, bad=FOURTEEN)
    monkeypatch.setattr(describe, "describe_plugins", partial(describe.describe_plugins, timeout=5))
    assert run(["plugins", "list", "--json"]) == 0
    listed = {one["package"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(FOURTEEN) <= set(listed)
    assert all((listed[name]["error"] is None) == bad.works for name, bad in FOURTEEN.items())
    monkeypatch.setenv("RNN_TUI_PLUGINS", ",".join(FOURTEEN.keys() - {"hangs"}))
    assert run(["plugins", "list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in FOURTEEN if name != "hangs")
    assert not set("\x1b\x07\x9b") & set(text)
    assert run(["plugins", "show", "crashes"]) == 0
    assert "SIGSEGV" in capsys.readouterr().out


@pytest.mark.usefixtures("patient_pilot")
async def test_the_app_shows_them_and_does_not_wait(site, tmp_path, monkeypatch):
    """What is known from the cache is in the form while one that hangs is still waited for."""
    from textual.widgets import DataTable

    from rnn_tui.tui.app import RnnTuiApp

    for name in ("exits", "crashes", "hangs"):
        install(site, name, FOURTEEN[name].source)
    install(site, "healthy", HEALTHY)
    assert len(describe.describe_plugins(timeout=3)) == 15 + 4
    monkeypatch.setattr(describe, "describe_plugins", partial(describe.describe_plugins, timeout=5))
    app = RnnTuiApp(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        while app.descriptions is None:
            await pilot.pause(0.02)
        assert len(app.descriptions) == 15 + 1
        assert {one.info.name for one in app.descriptions} >= {"lstm", "char", "healthy"}
        app.show_pane("plugins")
        while len(app.descriptions) < 15 + 4:
            await pilot.pause(0.05)
        table = app.query_one("PluginsPane DataTable", DataTable)
        rows = [[str(cell) for cell in table.get_row_at(index)] for index in range(table.row_count)]
        assert [row[2] for row in rows if row[1] in ("exits", "crashes", "hangs")] == ["error"] * 3
        assert "3 cannot be used" in str(app.query_one("#plugins-notice").content)


# ------------------------------------------------------------------------------------------------ in this process

MEDDLERS = {
    name: (FOURTEEN | MORE)[name]
    for name in ("prints", "dtype", "threads", "seeds", "signals", "environment", "thread")
}


def meddle(site, *names):
    """Load the plugins that change something of their process into this one; return what is then wrong."""
    meddlers = {name: MEDDLERS[name] for name in names or MEDDLERS}
    for name, bad in meddlers.items():
        source = bad.source if name != "thread" else bad.source.replace("1000", "0.5")
        install(site, name, source, bad.kind)
    described(5)  # in one process, and not in one for each
    before, threads = state_of_this_process(), threading.active_count()
    loaded = [load_plugin(bad.kind, name).__doc__ for name, bad in meddlers.items()]
    after = state_of_this_process()
    faults = [f"{what} is not what it was" for what in before if after[what] != before[what]]
    notes = plugin_notes()
    for name in meddlers:
        if (name == "prints") == any(f" {name} ({name} 1.0): its import " in note for note in notes):
            faults.append(f"of {name} is said: {notes}")
    while threading.active_count() > threads:
        time.sleep(0.05)
    return faults + [f"{len(loaded)} were loaded: {loaded}"] * (loaded != ["A good one."] * len(meddlers))


def test_what_an_import_changes_here_is_put_back(site, figures, capfd):
    assert meddle(site) == []
    assert capfd.readouterr() == ("", "")
    figures(
        "plugins",
        f"{len(MEDDLERS)} that change their process, imported in this one: everything is what it was",
    )


def depart(site):
    """Load plugins that would end the process only in this one; return what escaped."""
    escaped = []
    for index, ending in enumerate(("sys.exit(0)", "raise GeneratorExit", "raise BaseException('odd')")):
        install(site, f"odd-{index}", TOKENIZER + f"if os.getpid() == {os.getpid()}: {ending}\n")
        try:
            load_plugin("tokenizer", f"odd-{index}")
        except PluginError:
            continue
        except BaseException as error:
            escaped.append(type(error).__name__)
    return escaped


def test_what_would_end_this_process_does_not(site):
    assert depart(site) == []


# ------------------------------------------------------------------------------------------------ names


def claim(site):
    """Have others claim names of ours, and of each other; return who gets what is not theirs."""
    install(site, "aaa", TOKENIZER, plugin="char")
    install(site, "zzz", "raise RuntimeError", plugin="char")
    install(site, "bbb", TOKENIZER, plugin="same")
    install(site, "ccc", TOKENIZER, plugin="same")
    faults = []
    try:
        ours = find_plugin("tokenizer", "char").distribution == "rnn-tui"
    except UsageError:
        ours = False
    faults += ["char is not ours"] * (not ours)
    found = described(5)
    for name, words in {
        "aaa": "the name char belongs to rnn-tui",
        "zzz": "error: importing zzz:Good failed: RuntimeError; the name char belongs to rnn-tui",
        "bbb": "the name same is also claimed by ccc 1.0",
        "ccc": "the name same is also claimed by bbb 1.0",
    }.items():
        if not found[name].remark.startswith(words):
            faults.append(f"{name}: {found[name].remark}")
    loaded = {
        name: load_plugin("tokenizer", found[name].info.name).__module__ for name in ("aaa", "bbb", "ccc")
    }
    return faults + [f"{name} gave {module}" for name, module in loaded.items() if name != module]


def test_a_name_is_not_taken_away(site):
    assert claim(site) == []


# ------------------------------------------------------------------------------------------------ nothing unasked


def imports(mark):
    """Return the commands by which plugins were imported, as each noted it."""
    return [line for file in mark.iterdir() for line in file.read_text().splitlines()]


def test_none_is_imported_before_it_is_asked_for(site, tmp_path, amount, figures):
    install_all(site, bad={}, raw={})
    (tmp_path / "text").write_text("abcdefgh " * 2000)
    rnn_tui = [sys.executable, "-m", "rnn_tui"]

    def command(*words, code=0):
        began = processor_time()
        done = subprocess.run([*rnn_tui, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert done.stdout.count("healthy") == (40 if words == ("plugins", "list") else 0)  # name and package
        return processor_time() - began

    def processor_time():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    for words in (["--help"], ["runs", "list"], ["config", "show"]):
        command(*words)
    # refused after the plugins were looked at; or trained for a step
    text, code = amount(("no-such-text", 3), ("text", 0))
    command(*f"train {text} --arch lstm --steps 1 --hidden-size 8 --name r --foreground".split(), code=code)
    assert load_plugin("architecture", "lstm")
    assert imports(tmp_path / "mark") == []
    command("plugins", "list")
    asked = imports(tmp_path / "mark")
    assert len(asked) == 20
    assert all("rnn_tui.plugin.probe" in line for line in asked)
    pairs = [[command("plugins", "list"), command("--no-plugins", "plugins", "list")] for _ in range(3)]
    assert imports(tmp_path / "mark") == asked  # what was learnt is kept
    with_them, without = map(min, zip(*pairs, strict=True))
    assert with_them - without < 0.5
    told = f"plugins list takes {with_them:.2f} s of processor time, without them {without:.2f} s"
    figures("plugins", f"20 healthy ones: {told}")


# ------------------------------------------------------------------------------------------------ a run

FAILING = """
from rnn_tui_scratch.rnn import RNN
class Good(RNN):
    steps = 0
    def step(self, x, h):
        if self.training:
            Good.steps += 1
        if Good.steps > 40:
            {}
        return super().step(x, h)
"""

LOST = "holds NaN or infinity at the first steps"
BREAKING = {
    "raises": (
        FAILING.format("raise ValueError('tired')"),
        "ValueError: tired in line 9 of raises.py; the traceback is in worker.log",
    ),
    "exits": (
        FAILING.format("raise SystemExit(0)"),
        "SystemExit: 0 in line 9 of exits.py; the traceback is in worker.log",
    ),
    "interrupts": (
        FAILING.format("raise KeyboardInterrupt"),
        "KeyboardInterrupt in line 9 of interrupts.py; the traceback is in worker.log",
    ),
    "lost": (CELL + "    def step(self, x, h):\n        return h * float('nan'), h\n", f"its output {LOST}"),
    "short": (
        CELL + "    def step(self, x, h):\n        return h[:, 1:], h\n",
        "its output is (3, 7), not (3, 8)",
    ),
}


def train(folder, name):
    """Train a run of an architecture in this process; return its exit code, its events and the path of its model."""
    text = folder / "text"
    text.write_text("abcdefgh " * 2000)
    layer = {
        "model": {"arch": name, "hidden_size": 8, "num_layers": 1},
        "data": {"batch_size": 4, "seq_len": 8},
        "corpus": {"source": str(text)},
        "budget": {"steps": 20},
        "runtime": {"device": "cpu", "threads": 1, "engine": "loop"},
    }
    run = create(folder / "runs", None, prepare_run_config([("test", layer)]).config)
    with guard.unchanged():  # the worker takes signals and sets threads
        code = worker.main(str(run.path))
    return code, EventReader(run.events_path).poll(), run.model_path


def breakdowns(site, folder):
    """Train with architectures that break; return what does not end as it should."""
    for name, (source, _) in BREAKING.items():
        install(site, name, source, "architecture")
    described(5)  # in one process, and not in one for each
    faults = []
    for name, (_, words) in BREAKING.items():
        try:
            code, events, _ = train(folder, name)
        except (SystemExit, KeyboardInterrupt) as error:
            faults.append(f"{name}: the worker ended with {error!r}")
            continue
        message = events[-1].data["message"]
        if (code, message) != (8, f"architecture {name} ({name} 1.0): {words}"):
            faults.append(f"{name}: exit code {code}, {message!r}")
    return faults


def test_a_run_ends_in_one_line_that_names_the_plugin(site, tmp_path, figures, capfd):
    install(site, "dtype", FOURTEEN["dtype"].source, "architecture")
    assert breakdowns(site, tmp_path) == []
    assert capfd.readouterr().err.count("Traceback") == 3
    code, events, path = train(tmp_path, "dtype:dtype")
    assert code == 0
    warnings = [event.data["message"] for event in events if event.kind == "warning"]
    assert warnings[-1] == (
        "architecture dtype (dtype 1.0): its import changes torch's default dtype; rnn-tui undoes what it can"
    )
    install(site, "rival", "raise RuntimeError", "architecture", plugin="dtype")
    with pytest.raises(UsageError, match="several packages claim the architecture 'dtype'"):
        find_plugin("architecture", "dtype")
    model, _, header = load_model(path)  # what a file was made with, and nobody else's
    recorded = {"name": "dtype:dtype", "distribution": "dtype", "version": "1.0"}
    assert header.architecture == recorded | {"source": header.architecture["source"]}
    assert model.parameter_count() > 0
    figures("plugins", f"{len(BREAKING)} that break in a run: exit code 8 and one line with their name")


# ------------------------------------------------------------------------------------------------ shown to fail


def test_found_where_all_are_imported_by_one_process(site, figures):
    bad = {name: (FOURTEEN | MORE)[name] for name in ("import-error", "environment", "seeds")}

    def plainly(request):
        found = {}
        for info in request.infos:
            try:
                loading.load_target(info)
                found[info] = describe.PluginDescription(info, "A good one.", form="Tokenizer")
            except PluginError as error:
                found[info] = describe.PluginDescription(info, error=str(error))
        return found, ""

    install_all(site, bad=bad, healthy=3, raw={})
    sysconfig.get_paths()  # reads a module of Python's own, on the path that one clears
    with guard.unchanged() as changes, pytest.MonkeyPatch.context() as patch:
        patch.setattr(describe, "_ask_child", plainly)
        found = complaints(described(5), bad=bad, healthy=3, raw={})
    assert len(changes.things) >= 5
    assert len(found) == 6  # two meddle unseen, and the other four are not found on the path that one cleared
    figures(
        "plugins",
        f"broken on purpose, all in one process: {len(changes.things)} things changed, {len(found)} plugins wrong",
    )


def test_found_without_a_limit(site, tmp_path, monkeypatch, figures):
    install(site, "hangs", FOURTEEN["hangs"].source)
    monkeypatch.setenv("RNN_TUI_PLUGINS", "hangs")
    code = "from rnn_tui.plugin.describe import describe_plugins as d; d(timeout=float({}))"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", code.format("1e6")], timeout=2)
    assert left_running(tmp_path / "mark") == []  # even so it ends with whoever asked
    subprocess.run([sys.executable, "-c", code.format("0.2")], timeout=60, check=True)
    figures("plugins", "broken on purpose, no limit: the list of plugins never comes")


def test_found_without_a_look_in_another_process(site, figures):
    install(site, "leaves", FOURTEEN["leaves"].source)
    code = """
        from rnn_tui.plugin import describe, registry
        {}
        try:
            registry.load_plugin("tokenizer", "leaves")
        except registry.PluginError:
            raise SystemExit(8)
    """
    broken = "describe.describe_found = describe.PluginDescription"
    ends = [
        subprocess.run([sys.executable, "-c", textwrap.dedent(code.format(line))]).returncode
        for line in ("", broken)
    ]
    assert ends == [8, 0]
    figures("plugins", "broken on purpose, imported here at once: the plugin ends the process")


def test_found_where_nothing_is_put_back(site, figures):
    with guard.unchanged(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "_put_back", lambda each, value: "")
        found = meddle(site, "dtype", "threads", "seeds")
    assert found == [f"{what} is not what it was" for what in ("dtype", "threads", "torch", "python")]
    figures("plugins", f"broken on purpose, nothing put back: {len(found)} things found changed")


def test_found_where_less_is_caught(site, monkeypatch, figures):
    monkeypatch.setattr(loading, "BaseException", Exception, raising=False)
    assert depart(site) == ["SystemExit", "GeneratorExit", "BaseException"]
    monkeypatch.setattr(probe, "BaseException", Exception, raising=False)
    install(site, "interrupts", FOURTEEN["interrupts"].source)
    with pytest.raises(KeyboardInterrupt):
        probe.describe(find_plugin("tokenizer", "interrupts"))
    figures("plugins", "broken on purpose, only Exception caught: all of 4 escape")


def test_found_where_a_run_neither_checks_nor_blames(site, tmp_path, monkeypatch, figures):
    monkeypatch.setattr("rnn_tui.training.session.check_architecture", lambda *_: None)
    monkeypatch.setattr(worker, "blamed", lambda _: None)
    found = breakdowns(site, tmp_path)
    assert len(found) == len(BREAKING)
    figures(
        "plugins",
        f"broken on purpose, no check when a run starts and nobody blamed: {len(found)} runs end otherwise",
    )


def test_found_where_nobody_wins_a_name(site, monkeypatch, figures):
    monkeypatch.setattr(PluginInfo, "ours", False)
    found = claim(site)
    assert "char is not ours" in found
    figures("plugins", f"broken on purpose, the name to nobody: {len(found)} found")


def test_found_where_nothing_is_kept(site, tmp_path, monkeypatch, figures):
    install_all(site, bad={}, healthy=3, raw={})
    monkeypatch.setenv("RNN_TUI_PLUGINS", "healthy-0,healthy-1,healthy-2")
    monkeypatch.setattr(describe, "_read_cache", lambda info: None)
    for expected in (3, 6):
        described(5)
        assert len(imports(tmp_path / "mark")) == expected
    figures("plugins", "broken on purpose, no cache: each list imports all again")


def test_what_is_left_running_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path))
    with subprocess.Popen(["sleep", "100"]) as child:
        assert [process.pid for process in left_running(tmp_path, 0.1)] == [child.pid]
        child.kill()
