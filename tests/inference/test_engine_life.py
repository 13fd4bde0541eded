"""How the engine begins and ends, each time in a process of its own."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from rnn_tui.inference.requests import Cancel, Generate, Refused, parse

PATIENCE = 60  # seconds


def test_nothing_is_loaded_at_first_and_the_end_of_input_is_the_end(start):
    client = start()
    [event] = client.ask(id=1, op="generate", prompt="x")
    assert (event["exit_code"], event["message"]) == (
        2,
        "no model is loaded in slot 'main'; send a load first",
    )
    assert client.close() == 0
    assert client.errors == b""


def test_quit_and_the_end_of_input_in_the_middle_of_a_completion(start, fox):
    for end in ("quit", "close"):
        client = start()
        client.ask(id=1, op="load", path=str(fox))
        client.send(id=2, op="generate", settings={"length": 10_000_000})
        while client.next()["event"] != "pieces":
            pass
        if end == "quit":
            client.send(op="quit")
            assert client.process.wait(PATIENCE) == 0
            client.join()
        else:
            assert client.close() == 0
        assert client.errors == b""


def test_an_interrupt_is_not_for_the_engine(start, fox):
    client = start()
    client.ask(id=1, op="load", path=str(fox))
    os.kill(client.process.pid, signal.SIGINT)  # Ctrl-C in the terminal
    client.send(id=2, op="generate", settings={"length": 5})
    client.answer(2)
    assert client.close() == 0


def test_a_reader_that_goes_away():
    process = subprocess.Popen(
        [sys.executable, "-m", "rnn_tui.inference.engine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.close()
    process.stdin.write(b'{"id":1,"op":"next"}\n')
    process.stdin.flush()
    try:
        assert process.wait(PATIENCE) == 0  # while our end of its input is still open
    finally:
        process.kill()
        process.stdin.close()


CHATTY = """
import os, sys
import rnn_tui.model.file as file
real = file.load_model
def load(*args, **options):
    print("loading")                       # a plugin that prints
    os.write(1, b"from the C side\\n")
    sys.__stdout__.write("to the real one\\n")
    sys.__stdout__.flush()
    return real(*args, **options)
file.load_model = load
from rnn_tui.inference.engine import main
sys.exit(main())
"""


def test_what_plugins_print_does_not_reach_the_protocol(start, fox):
    client = start(sys.executable, "-c", CHATTY)
    assert client.ask(id=1, op="load", path=str(fox))[0]["event"] == "loaded"
    assert client.close() == 0
    for line in (b"loading", b"from the C side", b"to the real one"):
        assert line in client.errors


OUT_OF_MEMORY = """
import sys
import rnn_tui.inference.generate as generate
ERRORS = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ValueError("two\\nlines"),
]
def prime(*args, **options):
    raise ERRORS.pop(0)
generate.prime = prime
from rnn_tui.inference.engine import main
sys.exit(main())
"""


def test_other_failures_are_explained(start, fox):
    client = start(sys.executable, "-c", OUT_OF_MEMORY)
    client.ask(id=1, op="load", path=str(fox))
    for number, code in enumerate((7, 7, 1), 2):
        [event] = client.ask(id=number, op="generate")
        assert event["exit_code"] == code
        assert "\n" not in event["message"]
    assert client.close() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_it_dies_with_its_parent():
    """The pipe stays open here, in a third process: only the signal can tell the engine."""
    script = (
        "import subprocess, sys, time; "
        "engine = subprocess.Popen([sys.executable, '-m', 'rnn_tui.inference.engine'], stdout=subprocess.PIPE); "
        "engine.stdout.readline(); "  # an answer: it is up
        "print(engine.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    parent.stdin.write(b'{"id":1,"op":"next"}\n')
    parent.stdin.flush()
    engine = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    try:
        engine.wait(PATIENCE)
    finally:
        parent.stdin.close()  # which ends the engine, too, should the signal have failed
        parent.stdout.close()


def test_requests_are_read_without_torch():
    assert parse(b'{"id":1,"op":"generate","from":3}') == Generate(id=1, after=3)
    assert parse(b'{"op":"cancel","target":2}') == Cancel(target=2)
    assert isinstance(parse(b'{"id":1}'), Refused)
    code = "import sys, rnn_tui.inference.engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
