import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from rnn_tui.errors import DiskError, InputError, UsageError
from rnn_tui.runs.folder import RunFolder, create_run
from rnn_tui.runs.labels import (
    Labels,
    change_tags,
    check_note,
    check_tag,
    check_tags,
    read_labels,
    set_labels,
)
from rnn_tui.runs.listing import list_runs


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run(tmp_path / "runs", "one", {"corpus": {"source": "a.txt"}})


def test_tags_and_a_note_are_kept_for_the_user_alone(run: RunFolder) -> None:
    assert read_labels(run) == Labels()
    assert change_tags(run, ["keep", "größe", "keep"]) == Labels(("keep", "größe"))
    assert set_labels(run, note="  the one of the paper ").note == "the one of the paper"
    assert change_tags(run, ["b"], ["keep"]).tags == ("größe", "b")
    assert read_labels(run) == Labels(("größe", "b"), "the one of the paper")
    assert set_labels(run, tags=[], note="") == read_labels(run) == Labels()
    assert stat.S_IMODE(run.labels_path.stat().st_mode) == 0o600
    assert json.loads(run.labels_path.read_text()) == {"tags": [], "note": ""}
    assert [path.name for path in run.path.iterdir() if "tmp" in path.name] == []


@pytest.mark.parametrize(
    "tag", ["", "a b", "a,b", "a\u00a0b", "\x1b", "x" * 41, "-a", "+a", "\u202ea", "a\n"]
)
def test_what_is_no_tag(run: RunFolder, tag: str) -> None:
    with pytest.raises(UsageError, match="cannot be a tag"):
        change_tags(run, [tag])
    assert not run.labels_path.exists()


def test_bounds(run: RunFolder) -> None:
    assert check_tag("x" * 40) == "x" * 40
    assert len(check_tags(str(n) for n in range(20))) == 20
    with pytest.raises(UsageError, match="up to 20 tags, not 21"):
        set_labels(run, tags=[str(n) for n in range(21)])
    assert check_note("y" * 500) == "y" * 500
    for note in ("y" * 501, "a\nb", "\x1b[2J"):
        with pytest.raises(UsageError, match="a note"):
            set_labels(run, note=note)
    with pytest.raises(UsageError, match="has no tag 'b'; it has none"):
        change_tags(run, [], ["b"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Labels()),
        (b"[1]", Labels()),
        (b"\xff\xfe", Labels()),
        (b"[" * 60_000, Labels()),
        (b'{"tags": "keep", "note": 7}', Labels()),
        (b'{"tags": ["keep", 7, "a b", null, {}, "keep"], "note": ["x"]}', Labels(("keep",))),
        (b'{"tags": [], "note": "a\\u001b[2J\\nb"}', Labels((), "a␛[2J␊b")),
        (
            json.dumps({"tags": [str(n) for n in range(99)]}).encode(),
            Labels(tuple(str(n) for n in range(20))),
        ),
        (json.dumps({"note": "z" * 600}).encode(), Labels((), "z" * 499 + "…")),
        (b" " * 70_000 + b"{}", Labels()),
    ],
    ids=range(10),
)
def test_hostile_content_is_one_warning_and_is_kept_beside_what_replaces_it(
    run: RunFolder, content: bytes, expected: Labels
) -> None:
    run.labels_path.write_bytes(content)
    found = read_labels(run)
    assert (found.tags, found.note) == (expected.tags, expected.note)
    assert found.warning.startswith("labels.json")
    [row] = list_runs(run.path.parent)
    assert (row.state, row.tags) == ("created", expected.tags)
    assert row.message == f"never started; {found.warning}"
    set_labels(run, tags=["new"], note="")
    assert read_labels(run) == Labels(("new",))
    assert run.path.joinpath("labels.json.damaged").read_bytes() == content


def test_neither_a_link_nor_a_pipe_is_followed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"tags": ["theirs"]}')
    run.labels_path.symlink_to(tmp_path / "other")
    assert read_labels(run) == Labels(warning="labels.json: a symbolic link, which is not followed")
    assert change_tags(run, ["mine"]).tags == ("mine",)
    assert (tmp_path / "other").read_text() == '{"tags": ["theirs"]}'
    run.labels_path.unlink()
    os.mkfifo(run.labels_path)
    assert "not a regular file" in read_labels(run).warning
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(InputError, match="symbolic link"):
        change_tags(RunFolder(tmp_path / "link"), ["a"])


def test_a_write_that_fails_leaves_the_earlier_file(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    change_tags(run, ["a"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="no space left"):
        change_tags(run, ["b"])
    assert read_labels(run) == Labels(("a",))


def _add(path: Path, tag: str) -> None:
    change_tags(RunFolder(path), [tag])


def test_tags_of_several_at_once_are_all_kept(run: RunFolder) -> None:
    context = multiprocessing.get_context("fork")
    adding = [context.Process(target=_add, args=(run.path, f"t{n}")) for n in range(12)]
    for process in adding:
        process.start()
    for process in adding:
        process.join(30)
    assert set(read_labels(run).tags) == {f"t{n}" for n in range(12)}
