"""The process behind a scorecard: forks another for each job, so that a plugin can harm no more than its own row.

    python -m rnn_tui.score.child FD

Requests come as JSON lines on standard input, messages go to the descriptor FD (`rnn_tui.score.wire`). When standard
input ends, so does this process with all that it started. It loads torch once, imports no plugin and uses one thread:
forking goes best so.
"""

import multiprocessing
import os
import sys
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import NoReturn

import msgspec
import torch

from rnn_tui.bench.machine import describe
from rnn_tui.files import write_all
from rnn_tui.model.device import cpu_count
from rnn_tui.plugin.child import ending
from rnn_tui.score.jobs import perform
from rnn_tui.score.tasks import all_tasks
from rnn_tui.score.wire import Ended, Failed, Job, Message, Ready, Request

_STDIN = 0


@dataclass
class _Running:
    number: int
    job: Job
    process: ForkProcess
    deadline: float


def main() -> NoReturn:
    """Serve until standard input ends."""
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)  # what a plugin starts must not hold the pipe open
    torch.set_num_threads(1)
    tasks = {
        f"{'quick ' * quick}{name}": repr(group)
        for quick in (False, True)
        for name, group in all_tasks(quick=quick).items()
    }
    machine = describe(torch.device("cpu"))
    _tell(fd, Ready(machine=machine, torch=str(torch.__version__), tasks=tasks, cores=cpu_count()))
    while line := sys.stdin.buffer.readline():
        _serve(msgspec.json.decode(line, type=Request), fd)
    os._exit(0)


def _tell(fd: int, message: Message) -> None:
    write_all(fd, msgspec.json.encode(message) + b"\n")


def _serve(request: Request, fd: int) -> None:
    waiting = deque(enumerate(request.jobs))
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < cpu_count():
                _start(*waiting.popleft(), running, fd)
            patience = max(0.0, min(each.deadline for each in running.values()) - time.monotonic())
            ready = wait([*running, _STDIN], patience)
            if _STDIN in ready:  # nobody listens any more
                return
            for connection in list(running):
                each = running[connection]
                problem = None
                if connection in ready:
                    problem = _heard(connection, each, fd)
                elif time.monotonic() > each.deadline:
                    problem = f"it gave no sign for {each.job.silence:g} s and was ended"
                if problem is not None:
                    del running[connection]
                    each.process.kill()
                    each.process.join()
                    if problem:
                        _tell(fd, Failed(each.number, problem))
                    _tell(fd, Ended(each.number))
    finally:
        for each in running.values():
            each.process.kill()


def _start(number: int, job: Job, running: dict[Connection, _Running], fd: int) -> None:
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(number, job, send, fd), daemon=True)
    process.start()
    send.close()
    running[receive] = _Running(number, job, process, time.monotonic() + job.silence)


def _heard(connection: Connection, each: _Running, fd: int) -> str | None:
    """Pass on what a job says; return None while it goes on, and how it ended, which is nothing if well."""
    try:
        line = connection.recv_bytes()
    except EOFError:
        each.process.join()
        code = each.process.exitcode or 0
        return f"its code ended the process ({ending(code)})" if code else ""
    write_all(fd, line + b"\n")
    each.deadline = time.monotonic() + each.job.silence
    return None


def _work(number: int, job: Job, connection: Connection, fd: int) -> None:
    """Do a job in a process that has nothing to read from, and nothing to write to but `connection`."""
    os.close(fd)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    perform(number, job, lambda message: connection.send_bytes(msgspec.json.encode(message)))


if __name__ == "__main__":
    main()
