"""Hostile files in the inbox of a worker: none is applied, each is put aside with its reason, training goes on."""

import json
import os
import random
import socket
import stat
import time

import pytest

from rnn_tui.errors import InputError
from rnn_tui.runs import control
from rnn_tui.runs.control import Inbox, send
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.lock import RunLock


def new_id(dice):
    return f"{dice.getrandbits(64):016x}-{dice.getrandbits(32):08x}"


def request(identity, **changes):
    values = {
        "id": identity,
        "command": "set",
        "args": {"lr": 0.5},
        "origin": "cli",
        "time": time.time(),
    } | changes
    return json.dumps(values)


TEXTS = {
    "empty": lambda i: "",
    "half written": lambda i: request(i)[:40],
    "two in one file": lambda i: request(i) * 2,
    "deep": lambda i: request(i)[:-1] + ',"x":' + "[" * 20_000 + "]" * 20_000 + "}",
    "deep arguments": lambda i: request(i).replace('{"lr": 0.5}', '{"lr":' * 5_000 + "1" + "}" * 5_000),
    "never closed": lambda i: "[" * 60_000,
    "NaN": lambda i: request(i, args={"lr": float("nan")}),
    "infinity": lambda i: request(i, args={"lr": float("inf")}),
    "1e999": lambda i: request(i).replace("0.5", "1e999"),
    "-1e999": lambda i: request(i).replace("0.5", "-1e999"),
    "number of 5000 digits": lambda i: request(i).replace("0.5", "9" * 5000),
    "number of 400 digits": lambda i: request(i).replace("0.5", "9" * 400),
    "time of 400 digits": lambda i: request(i, command="stop", args={}).replace(
        '"time": ', '"time": ' + "9" * 400
    ),
    "zero": lambda i: request(i, args={"lr": 0}),
    "minus zero": lambda i: request(i, args={"lr": -0.0}),
    "negative": lambda i: request(i, args={"lr": -0.1}),
    "too large": lambda i: request(i, args={"lr": 1e7}),
    "true": lambda i: request(i, args={"lr": True}),
    "text": lambda i: request(i, args={"lr": "0.5"}),
    "null": lambda i: request(i, args={"lr": None}),
    "no rate": lambda i: request(i, args={}),
    "another setting": lambda i: request(i, args={"lr": 0.5, "hidden_size": 1e9}),
    "key twice": lambda i: request(i).replace('"command": "set"', '"command": "pause", "command": "set"'),
    "rate twice": lambda i: request(i).replace('"lr": 0.5', '"lr": 0.5, "lr": 0.25'),
    "unknown command": lambda i: request(i, command="eval"),
    "wrong case": lambda i: request(i, command="SET"),
    "unknown field": lambda i: request(i, module="os.system"),
    "missing field": lambda i: json.dumps({"id": i, "command": "pause"}),
    "list": lambda i: f"[{request(i)}]",
    "id of another": lambda i: request("0" * 16 + "-" + "0" * 8),
    "id that is a path": lambda i: request("../../../etc/passwd"),
    "three days old": lambda i: request(i, command="stop", args={}, time=time.time() - 3 * 86400),
    "from next year": lambda i: request(i, command="pause", args={}, time=time.time() + 3e7),
    "from the end of time": lambda i: request(i, command="resume", args={}, time=1e300),
    "UTF-16": lambda i: request(i).encode("utf-16"),
    "not UTF-8": lambda i: request(i, origin="x").encode().replace(b'"x"', b'"\xff\xfe"'),
    "lone surrogate": lambda i: request(i).replace("cli", "\\ud800"),
    "NUL": lambda i: request(i) + "\0",
    "pickle": lambda i: b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "shell": lambda i: "#!/bin/sh\nrm -rf ~\n",
    "just too large": lambda i: request(i, origin="x" * (64 * 1024)),
}

NAMES = [
    "x.json", "set", "\x1b]52;c;aGk=\x07.json", "a\nb.json", "-rf", "‮gnp.json", "é" * 100, "n" * 255, b"\xff\xfe.json",
    b"\xc3(.json", " ", "x.json.json", "0123456789ABCDEF-01234567.json", "0123456789abcdef-01234567", "$(reboot).json",
]  # fmt: skip


def drop(run, name, content, mode=0o600):
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    path = os.path.join(os.fsencode(run.inbox), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def drop_link(run, identity):
    (run.path / "elsewhere").write_text(request(identity))
    (run.inbox / f"{identity}.json").symlink_to(run.path / "elsewhere")


def drop_hard_link(run, identity):
    other = run.path / f"other-{identity}"
    other.write_text(request(identity))
    other.chmod(0o600)
    os.link(other, run.inbox / f"{identity}.json")


def drop_folder(run, identity):
    (run.inbox / f"{identity}.json").mkdir()
    (run.inbox / f"{identity}.json" / "x").write_text(request(identity))


def drop_socket(run, identity):
    here = os.open(run.inbox, os.O_RDONLY)  # the path may be longer than a socket's can be
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{identity}.json")
    os.close(here)


def drop_large(run, identity):
    drop(run, f"{identity}.json", request(identity))
    os.truncate(run.inbox / f"{identity}.json", 100_000_000)


def drop_foreign(run, identity):
    drop(run, f"{identity}.json", request(identity))
    os.chown(run.inbox / f"{identity}.json", 54321, -1)


def drop_device(run, identity):
    os.mknod(run.inbox / f"{identity}.json", 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero


THINGS = {
    "symbolic link": drop_link,
    "link to nothing": lambda run, i: (run.inbox / f"{i}.json").symlink_to("nowhere"),
    "link to /dev/zero": lambda run, i: (run.inbox / f"{i}.json").symlink_to("/dev/zero"),
    "link to itself": lambda run, i: (run.inbox / f"{i}.json").symlink_to(f"{i}.json"),
    "hard link": drop_hard_link,
    "FIFO": lambda run, i: os.mkfifo(run.inbox / f"{i}.json"),
    "folder": drop_folder,
    "socket": drop_socket,
    "100 MB": drop_large,
    "all may write": lambda run, i: drop(run, f"{i}.json", request(i), 0o666),
    "the group may write": lambda run, i: drop(run, f"{i}.json", request(i), 0o660),
} | ({"another user's": drop_foreign, "device": drop_device} if os.geteuid() == 0 else {})


def mutated(dice, text):
    data = bytearray(text.encode())
    for _ in range(dice.randrange(1, 5)):
        kind, place = dice.randrange(4), dice.randrange(len(data))
        if kind == 0:
            data[place] = dice.randrange(256)
        elif kind == 1:
            del data[place : place + dice.randrange(1, 30)]
        elif kind == 2:
            data[place:place] = dice.choice(
                [b'{"', b"\0", b"1e999", b"[[[[", b"\xff", b'","', b"-", b'"lr":NaN,']
            )
        else:
            data[place:place] = data[dice.randrange(len(data)) :][: dice.randrange(40)]
        if not data:
            return b"{"
    return bytes(data)


def sound(data, identity):
    """Whether a mutant is a request all the same, by a reading of its own: the rules of the page, in other words."""
    seen = []
    try:
        value = json.loads(data.decode(), object_pairs_hook=lambda pairs: seen.append(pairs) or dict(pairs))
    except (ValueError, RecursionError):
        return False
    if any(len({key for key, _ in pairs}) < len(pairs) for pairs in seen):
        return False
    if not isinstance(value, dict) or set(value) != {"id", "command", "args", "origin", "time"}:
        return False
    number = isinstance(value["time"], int | float) and not isinstance(value["time"], bool)
    rate = value["args"].get("lr") if isinstance(value["args"], dict) else None
    return (
        number
        and abs(value["time"]) < 1e300
        and value["id"] == identity
        and value["command"] == "set"
        and isinstance(value["origin"], str)
        and set(value["args"]) == {"lr"}
        and isinstance(rate, int | float)
        and not isinstance(rate, bool)
        and 0 < rate <= 1e6
    )


def hostile(run, times, dice):
    """Put hostile files into the inbox of a living run, one at a time; return what is wrong, and the longest poll."""
    faults, longest = [], 0.0
    inbox = Inbox(run)

    def put_aside(what, should_be_applied=False):
        nonlocal longest
        before = len(os.listdir(run.rejected))
        inbox._next_scan = 0.0
        begin = time.perf_counter()
        try:
            commands = inbox.poll()
        except BaseException as error:
            faults.append(f"{what}: {type(error).__name__}: {error}")
            return
        longest = max(longest, time.perf_counter() - begin)
        for command in commands:
            inbox.done(command)
        if bool(commands) != should_be_applied:
            faults.append(f"{what}: {'applied' if commands else 'refused'}: {inbox.rejected}")
        elif not commands and not (
            len(inbox.rejected) == 1
            and inbox.rejected[0].reason
            and (inbox.rejected[0].name + inbox.rejected[0].reason).isprintable()
            and len(os.listdir(run.rejected)) == before + 2
        ):
            faults.append(
                f"{what}: told as {inbox.rejected}, {len(os.listdir(run.rejected)) - before} files put aside"
            )
        if os.listdir(run.inbox):
            faults.append(f"{what}: still in the inbox")

    for what, text in TEXTS.items():
        identity = new_id(dice)
        drop(run, f"{identity}.json", text(identity))
        put_aside(what)
    for what, make in THINGS.items():
        make(run, new_id(dice))
        put_aside(what)
    for name in NAMES:
        drop(run, name, request("0123456789abcdef-01234567"))
        put_aside(f"the name {name!r}")
    for number in range(max(0, times - len(TEXTS) - len(THINGS) - len(NAMES))):
        identity = new_id(dice)
        data = mutated(dice, request(identity, time=1.7e9))
        drop(run, f"{identity}.json", data)
        put_aside(f"mutant {number}: {data!r}", sound(data, identity))
    names = os.listdir(run.rejected)
    if not all(name.isascii() and name.isprintable() for name in names):
        faults.append("a hostile name was carried over")
    return faults, longest


@pytest.fixture
def alive(tmp_path):
    run = create_run(tmp_path / "runs", "one", {"model": {"arch": "lstm"}})
    with RunLock.acquire(run):
        yield run


def test_hostile_requests_are_put_aside_each_with_its_reason(alive, amount, seed, figures):
    times = amount(80, 1000)
    faults, longest = hostile(alive, times, random.Random(seed))
    assert faults == []
    # one small file takes less than a millisecond; a busy machine may take the processor away meanwhile
    assert longest < 0.5
    for name in os.listdir(alive.rejected):
        if name.endswith(".txt"):
            assert (alive.rejected / name).read_text().strip()
    figures(
        "requests",
        f"{times} hostile files: none applied, none left, each with a reason; longest look {1000 * longest:.1f} ms",
    )


@pytest.mark.parametrize("part", ["whose file it is", "what it asks for", "keys that stand twice"])
def test_a_check_that_is_left_out_is_noticed(alive, seed, monkeypatch, figures, part):
    if part == "whose file it is":

        def trusting(path, identity):
            try:
                return control.msgspec.json.decode(path.read_bytes(), type=control.Command)
            except (ValueError, RecursionError) as error:
                raise InputError(str(error)) from None

        monkeypatch.setattr(control, "_read_command", trusting)
        for name in ("FIFO", "link to /dev/zero", "device", "100 MB"):  # it would wait, or read, for ever
            monkeypatch.delitem(THINGS, name, raising=False)
    elif part == "what it asks for":
        monkeypatch.setattr(control, "check_command", lambda command, args: None)
    else:
        monkeypatch.setattr(control, "_once", dict)
    faults, _ = hostile(alive, 0, random.Random(seed))
    assert any("applied" in fault for fault in faults)
    figures(
        "requests", f"broken on purpose: not checked {part}: {sum('applied' in f for f in faults)} applied"
    )


def test_a_flood_takes_little_time_and_hides_no_request(alive, amount, figures):
    """Junk by the thousand: a look does a bounded amount of work, and training keeps most of the time."""
    count = amount(3_000, 100_000)
    inbox = Inbox(alive)
    folder = os.open(alive.inbox, os.O_RDONLY)
    for number in range(count):
        os.close(os.open(f"junk-{number}", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=folder))
    os.close(folder)
    wanted = send(alive, "set", {"lr": 0.125})
    taken, looks, told = [], [], 0
    while os.listdir(alive.inbox):
        inbox._next_scan = 0.0
        begin = time.perf_counter()
        taken += inbox.poll()
        looks.append(time.perf_counter() - begin)
        told = max(told, len(inbox.rejected))
        assert inbox._next_scan - time.monotonic() > 15 * looks[-1]  # the pause that follows
        for command in taken:
            inbox.done(command)
    assert [command.id for command in taken] == [wanted]
    assert len(looks) <= count / 256 + 2
    assert told <= 17
    assert len(os.listdir(alive.rejected)) == 2 * count
    longest = sorted(looks)[int(0.99 * len(looks))]
    assert longest < 0.5
    figures(
        "requests", f"{count} files at once: {len(looks)} looks, 99 of 100 within {1000 * longest:.0f} ms"
    )


@pytest.mark.parametrize("part", ["control", "inbox", "done", "rejected"])
def test_a_part_of_the_mailbox_that_is_a_link_is_not_followed(tmp_path, alive, part):
    """Neither when the worker begins nor when it is exchanged later; nothing leaves the run, nothing comes in."""
    folder = getattr(alive, part)
    outside = tmp_path / "outside"

    def exchange():
        folder.rename(outside)
        folder.symlink_to(outside)

    inbox = Inbox(alive)
    name = send(alive, "set", {"lr": 0.5})
    drop(alive, "junk", "")
    exchange()
    before = sorted(str(path) for path in outside.rglob("*"))
    assert inbox.poll() == []
    (told,) = inbox.rejected
    assert told.name == part
    assert "not the folder that was there before" in told.reason
    inbox._next_scan = 0.0
    assert inbox.poll() == []
    assert inbox.rejected == []  # once
    with pytest.raises(InputError, match="symbolic link"):
        Inbox(alive)
    if part in ("control", "inbox"):
        with pytest.raises(InputError, match="symbolic link"):
            send(alive, "stop")
    assert sorted(str(path) for path in outside.rglob("*")) == before
    folder.unlink()
    outside.rename(folder)
    inbox._next_scan = 0.0
    assert [command.id for command in inbox.poll()] == [name]  # as if nothing had been
