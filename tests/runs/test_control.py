import json
import os
import stat
import time

import pytest

from rnn_tui.errors import DiskError, InputError, UsageError
from rnn_tui.runs import control
from rnn_tui.runs.control import Command, Inbox, send, wait_for_answer
from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.folder import RunFolder, create_run
from rnn_tui.runs.lock import RunLock


@pytest.fixture
def alive(run: RunFolder):
    with RunLock.acquire(run):
        yield run


def look(inbox: Inbox) -> list[Command]:
    """Poll without waiting for the next twentieth of a second."""
    inbox._next_scan = 0.0
    return inbox.poll()


def drop(run: RunFolder, name: str, content: bytes, mode: int = 0o600) -> None:
    path = run.inbox / name
    path.write_bytes(content)
    path.chmod(mode)


ID = "0123456789abcdef-01234567"


def request(**changes: object) -> dict[str, object]:
    return {"id": ID, "command": "pause", "args": {}, "origin": "cli", "time": time.time()} | changes


def test_commands_arrive_in_order_and_once(alive: RunFolder) -> None:
    inbox = Inbox(alive)
    sent = [send(alive, name, origin="app") for name in ("pause", "resume", "checkpoint", "stop")]
    sent.append(send(alive, "set", {"lr": 1e-3}))
    commands = look(inbox)
    assert [(c.id, c.command, c.origin) for c in commands[:4]] == [
        (sent[0], "pause", "app"), (sent[1], "resume", "app"), (sent[2], "checkpoint", "app"), (sent[3], "stop", "app"),
    ]  # fmt: skip
    assert (commands[4].command, commands[4].args, commands[4].origin) == ("set", {"lr": 1e-3}, "cli")
    assert look(inbox) == []
    for command in commands:
        inbox.done(command)
    assert os.listdir(alive.inbox) == []
    assert sorted(os.listdir(alive.done)) == [f"{name}.json" for name in sent]
    assert look(inbox) == []
    assert inbox.rejected == []


def test_files_are_for_the_user_only(alive: RunFolder) -> None:
    old = os.umask(0)
    try:
        name = send(alive, "pause")
    finally:
        os.umask(old)
    assert stat.S_IMODE((alive.inbox / f"{name}.json").stat().st_mode) == 0o600
    assert os.listdir(alive.inbox) == [f"{name}.json"]


def test_a_dead_run_gets_nothing(run: RunFolder) -> None:
    with pytest.raises(
        InputError, match=r"run one is not running \(created\), so there is nobody to stop it"
    ):
        send(run, "stop")
    assert os.listdir(run.inbox) == []


@pytest.mark.parametrize("lr", [0, -1e-3, float("nan"), float("inf"), 1e7, True, "0.1"])
def test_a_rate_no_optimiser_can_take_is_refused_with_the_range(alive: RunFolder, lr: float) -> None:
    with pytest.raises(UsageError, match=r"above 0 and at most 1e\+06"):
        send(alive, "set", {"lr": lr})
    assert os.listdir(alive.inbox) == []


def test_unknown_words_name_the_nearest(alive: RunFolder) -> None:
    with pytest.raises(UsageError, match="did you mean 'pause'"):
        send(alive, "pausee")
    with pytest.raises(UsageError, match="did you mean 'lr'"):
        send(alive, "set", {"lrr": 1.0})
    with pytest.raises(UsageError, match="set needs lr"):
        send(alive, "set")
    with pytest.raises(UsageError, match="stop has no setting 'now'; it takes none"):
        send(alive, "stop", {"now": 1.0})


def test_no_room_sends_nothing(alive: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(control.os, "rename", rename)
    with pytest.raises(DiskError, match="nothing was sent"):
        send(alive, "pause")
    assert os.listdir(alive.inbox) == []


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "half": json.dumps(request()).encode()[:40],
    "binary": bytes(range(256)) * 4,
    "100 KB": json.dumps(request(origin="x" * 100_000)).encode(),
    "deep": b'{"id":"x","command":"set","args":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "deeper": b"[" * 60_000,
    "list": b"[]",
    "null": b"null",
    "unknown command": json.dumps(request(command="eval")).encode(),
    "command of a wrong type": json.dumps(request(command=["stop"])).encode(),
    "extra field": json.dumps(request(module="os")).encode(),
    "missing field": b'{"command":"stop"}',
    "id of another": json.dumps(request(id="f" * 16 + "-" + "0" * 8)).encode(),
    "id with a path": json.dumps(request(id="../../x")).encode(),
    "nan lr": json.dumps(request(command="set", args={"lr": float("nan")})).encode(),
    "nan lr as word": json.dumps(request(command="set", args={"lr": "nan"})).encode(),
    "infinite lr": json.dumps(request(command="set", args={"lr": 0}))
    .replace('"lr": 0', '"lr": 1e999')
    .encode(),
    "zero lr": json.dumps(request(command="set", args={"lr": 0})).encode(),
    "negative lr": json.dumps(request(command="set", args={"lr": -1})).encode(),
    "true lr": json.dumps(request(command="set", args={"lr": True})).encode(),
    "no lr": json.dumps(request(command="set")).encode(),
    "args for stop": json.dumps(request(command="stop", args={"lr": 1})).encode(),
    "surrogate": json.dumps(request(origin="\ud800")).encode(),
    "expired": json.dumps(request(command="stop", time=time.time() - 3 * 86400)).encode(),
    "expired by little": json.dumps(request(command="pause", time=time.time() - 75)).encode(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_put_aside_with_a_reason(alive: RunFolder, content: bytes) -> None:
    drop(alive, f"{ID}.json", content)
    inbox = Inbox(alive)
    assert look(inbox) == []
    (rejection,) = inbox.rejected
    assert rejection.name == f"{ID}.json"
    assert rejection.reason
    assert len(rejection.reason) <= 300
    assert os.listdir(alive.inbox) == []
    assert sorted(os.listdir(alive.rejected)) == [f"{ID}.json", f"{ID}.txt"]
    assert (alive.rejected / f"{ID}.txt").read_text() == f"{ID}.json: {rejection.reason}\n"
    with pytest.raises(InputError, match="refused the command"):
        wait_for_answer(alive, ID, timeout=1)
    # it is told once, and a good command still goes through
    send(alive, "checkpoint")
    assert len(look(inbox)) == 1
    assert inbox.rejected == []


@pytest.mark.parametrize(
    "name",
    [
        "x.json",
        ID,
        f"{ID}.json.json",
        "\x1b]52;c;x\x07",
        "-rf",
        "a\nb.json",
        "x" * 255,
        b"\xff\xfe.json",
        "é",
    ],
)
def test_a_hostile_name_is_put_aside(alive: RunFolder, name: str | bytes) -> None:
    with open(os.path.join(os.fsencode(alive.inbox), os.fsencode(name)), "wb") as file:
        file.write(json.dumps(request()).encode())
    inbox = Inbox(alive)
    assert look(inbox) == []
    (rejection,) = inbox.rejected
    assert rejection.name.isprintable()
    assert "name" in rejection.reason
    assert os.listdir(alive.inbox) == []
    assert all(name.isascii() and name.isprintable() for name in os.listdir(alive.rejected))


@pytest.mark.parametrize(
    "thing", ["link", "link to nothing", "folder", "fifo", "writable by others", "foreign"]
)
def test_what_is_no_file_of_ours_is_put_aside(
    alive: RunFolder, monkeypatch: pytest.MonkeyPatch, thing: str
) -> None:
    path = alive.inbox / f"{ID}.json"
    good = json.dumps(request()).encode()
    if thing == "link":
        (alive.path / "elsewhere").write_bytes(good)
        path.symlink_to(alive.path / "elsewhere")
    elif thing == "link to nothing":
        path.symlink_to(alive.path / "nowhere")
    elif thing == "folder":
        path.mkdir()
    elif thing == "fifo":
        os.mkfifo(path)
    else:
        drop(alive, path.name, good, mode=0o666 if thing == "writable by others" else 0o600)
    if thing == "foreign":
        os.chown(path, 54321, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 54321)
    inbox = Inbox(alive)
    assert look(inbox) == []
    assert len(inbox.rejected) == 1
    assert os.listdir(alive.inbox) == []


def test_a_command_is_taken_once_however_often_it_comes(alive: RunFolder) -> None:
    inbox = Inbox(alive)
    content = json.dumps(request()).encode()
    drop(alive, f"{ID}.json", content)
    (command,) = look(inbox)
    inbox.done(command)
    for _ in range(2):
        drop(alive, f"{ID}.json", content)
        assert look(inbox) == []
        assert [rejection.reason for rejection in inbox.rejected] == ["this command was taken already"]
    drop(alive, f"{ID}.json", content)
    assert look(Inbox(alive)) == []  # nor by the next worker


def test_a_crash_between_log_and_done_does_not_double_a_command(alive: RunFolder) -> None:
    name = send(alive, "set", {"lr": 0.5})
    (command,) = look(Inbox(alive))
    with EventWriter(alive.events_path, 1) as log:
        log.write("command", 3, durable=True, id=command.id, command="set", args={"lr": 0.5})
    later = Inbox(alive)  # the next worker
    assert look(later) == []
    assert later.rejected == []
    assert os.listdir(alive.done) == [f"{name}.json"]


def test_a_crash_before_the_log_does_not_lose_a_rate(alive: RunFolder) -> None:
    drop(
        alive,
        f"{ID}.json",
        json.dumps(request(command="set", args={"lr": 0.5}, time=time.time() - 3600)).encode(),
    )
    assert [command.args for command in look(Inbox(alive))] == [{"lr": 0.5}]


def test_a_stop_during_a_long_validation_does_not_expire(
    alive: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(alive)
    send(alive, "stop")
    now = time.time() + 600
    monkeypatch.setattr(time, "time", lambda: now)
    assert [command.command for command in look(inbox)] == ["stop"]


def test_an_empty_inbox_costs_nothing(alive: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(alive)
    scans = []
    real = os.scandir
    monkeypatch.setattr(control.os, "scandir", lambda path: (scans.append(path), real(path))[1])
    clock = [0.0]
    monkeypatch.setattr(control.time, "monotonic", lambda: clock[0])
    inbox._next_scan = 0.0
    begun = time.process_time()
    for tick in range(10_000):  # one second of steps that take 0.1 ms
        clock[0] = tick / 10_000
        assert inbox.poll() == []
    assert len(scans) == 20
    assert time.process_time() - begun < 0.3  # 30 µs for a step at the very most, on a slow machine


def test_a_flooded_inbox_is_worked_off_in_pieces(alive: RunFolder) -> None:
    for number in range(600):
        drop(alive, f"junk{number}", b"")
    inbox = Inbox(alive)
    left, told = [], []
    while os.listdir(alive.inbox):
        look(inbox)
        left.append(len(os.listdir(alive.inbox)))
        told.append((len(inbox.rejected), inbox.rejected[-1].name))
    assert left == [344, 88, 0]
    assert told == [(17, "240 more files"), (17, "240 more files"), (17, "72 more files")]


def test_a_file_that_cannot_be_moved_is_told_once(alive: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(alive, "junk", b"")
    inbox = Inbox(alive)

    def rename(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(control.os, "rename", rename)
    look(inbox)
    assert len(inbox.rejected) == 1
    look(inbox)
    assert inbox.rejected == []


def test_litter_of_killed_clients_is_swept(alive: RunFolder) -> None:
    drop(alive, ".tmp-old", b"")
    drop(alive, ".tmp-new", b"")
    os.utime(alive.inbox / ".tmp-old", (0, 0))
    assert look(Inbox(alive)) == []
    assert os.listdir(alive.inbox) == [".tmp-new"]


def test_a_linked_inbox_is_not_written_to(alive: RunFolder) -> None:
    (alive.path / "elsewhere").mkdir()
    alive.inbox.rmdir()
    alive.inbox.symlink_to(alive.path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        send(alive, "pause")
    assert os.listdir(alive.path / "elsewhere") == []


def test_an_answer_is_the_event(alive: RunFolder) -> None:
    name = send(alive, "pause")
    with EventWriter(alive.events_path, 1) as log:
        for step in range(5000):
            log.write("train", step, text="x" * 100)
        log.write("command", 7, id="another", command="pause")
        log.write("command", 8, id=name, command="pause")
    event = wait_for_answer(alive, name, timeout=1)
    assert event is not None
    assert event.step == 8


def test_no_answer_in_time_and_none_from_the_dead(run: RunFolder) -> None:
    with RunLock.acquire(run):
        begun = time.monotonic()
        assert wait_for_answer(run, send(run, "pause"), timeout=0.2) is None
        assert 0.2 <= time.monotonic() - begun < 30
    begun = time.monotonic()
    assert wait_for_answer(run, ID, timeout=60) is None
    assert time.monotonic() - begun < 30


# ---- clocks, late and missing folders ----


def clocks(monkeypatch: pytest.MonkeyPatch, wall: float, ticks: float = 0.0) -> None:
    """Have both clocks go on by so much from now."""
    now, since = time.time() + wall, time.monotonic() + ticks
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(time, "monotonic", lambda: since)


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 3600.0, 1e9])
def test_a_jump_of_the_clock_makes_no_new_command_old(
    alive: RunFolder, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    inbox = Inbox(alive)
    clocks(monkeypatch, jump, 10.0)
    send(alive, "stop")
    assert [command.command for command in look(inbox)] == ["stop"]
    assert inbox.rejected == []


def test_a_stop_of_three_days_ago_is_refused_though_the_clock_was_set_back(
    alive: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(alive, f"{ID}.json", json.dumps(request(command="stop", time=time.time() - 3 * 86400)).encode())
    inbox = Inbox(alive)
    clocks(monkeypatch, 3600.0, 3600.0)
    assert look(inbox) == []
    assert "before this worker began" in inbox.rejected[0].reason


def test_a_stop_that_an_earlier_worker_was_sent_by_a_clock_that_was_ahead(alive: RunFolder) -> None:
    drop(alive, f"{ID}.json", json.dumps(request(command="stop", time=time.time() + 86400)).encode())
    inbox = Inbox(alive)
    assert look(inbox) == []
    assert "bears a time that is 86" in inbox.rejected[0].reason


def test_a_mailbox_that_was_lost_is_made_anew(alive: RunFolder) -> None:
    """As by a copy that leaves out empty folders."""
    for path in (alive.inbox, alive.done, alive.rejected, alive.control):
        path.rmdir()
    inbox = Inbox(alive)
    name = send(alive, "checkpoint")
    assert [command.id for command in look(inbox)] == [name]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (alive.control, alive.inbox)] == [0o700, 0o700]


def test_a_run_that_was_moved_does_not_take_the_requests_of_another(alive: RunFolder) -> None:
    """Another has its name by now; what it is asked stays where it is."""
    inbox = Inbox(alive)
    alive.path.rename(alive.path.with_name("moved"))
    other = create_run(alive.path.parent, "one", {})
    with RunLock.acquire(other):
        name = send(other, "stop")
        assert look(inbox) == []
        assert [told.name for told in inbox.rejected] == ["control"]
        assert os.listdir(other.inbox) == [f"{name}.json"]
        assert [command.command for command in look(Inbox(other))] == ["stop"]


def test_a_command_that_was_taken_before_a_move_is_not_filed_into_another_run(alive: RunFolder) -> None:
    inbox = Inbox(alive)
    send(alive, "checkpoint")
    (command,) = look(inbox)
    alive.path.rename(alive.path.with_name("moved"))
    other = create_run(alive.path.parent, "one", {})
    drop(other, f"{command.id}.json", b"")
    inbox.done(command)
    assert os.listdir(other.inbox) == [f"{command.id}.json"]


def test_an_answer_that_is_no_file_is_waited_out(alive: RunFolder) -> None:
    name = send(alive, "pause")
    (alive.rejected / f"{name}.txt").symlink_to("/dev/zero")
    assert wait_for_answer(alive, name, timeout=0.2) is None


def test_litter_that_is_no_file_does_not_end_the_sweep(alive: RunFolder) -> None:
    (alive.inbox / ".tmp-folder").mkdir()
    os.utime(alive.inbox / ".tmp-folder", (0, 0))
    for number in range(20):
        drop(alive, f".tmp-{number}", b"")
        os.utime(alive.inbox / f".tmp-{number}", (0, 0))
    Inbox(alive)
    assert os.listdir(alive.inbox) == [".tmp-folder"]
