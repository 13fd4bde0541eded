"""The client against a fake engine in a real child process."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rnn_tui.tui import engine_client
from rnn_tui.tui.engine_client import EngineClient, EngineError, EngineGone

FAKE = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]
SETTINGS = {"seed": 7, "length": 3}


@pytest.fixture
async def client() -> AsyncIterator[EngineClient]:
    client = EngineClient(FAKE)
    yield client
    await client.close()
    assert not client.alive


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def complete(client: EngineClient, prompt: str = "ab", **settings: int) -> list[engine_client.Event]:
    request = {"prompt": prompt, "settings": SETTINGS | settings, "from": None}
    return [event async for event in client.stream("generate", **request)]


async def test_a_completion_is_streamed_in_order(client: EngineClient) -> None:
    assert not client.alive
    loaded = await client.ask("load", path="model", device="cpu")
    assert (loaded.arch, loaded.vocab_size, loaded.parameters) == ("lstm", 65, 123456)
    events = await complete(client, "aé")
    assert [event.event for event in events] == ["prompt", "pieces", "pieces", "pieces", "done"]
    assert events[0].unknown == ("é",)
    assert "".join(piece.text for event in events[1:4] for piece in event.pieces) == "w7.0 w7.1 w7.2 "
    assert events[-1].next[0] == (1, "e", 0.5)
    assert not client.busy


async def test_a_refusal_leaves_the_engine_alive(client: EngineClient) -> None:
    with pytest.raises(EngineError, match="not installed") as caught:
        await client.ask("load", path="refuse")
    assert caught.value.exit_code == 8
    assert client.alive


async def test_death_is_told_once_and_the_next_request_starts_another(client: EngineClient) -> None:
    await client.ask("load", path="crash")
    with pytest.raises(EngineGone, match=r"exit code 3 \(its last words: RuntimeError: out of cheese\)"):
        await complete(client)
    assert not client.alive
    await client.ask("load", path="model")
    assert client.starts == 2
    assert (await complete(client))[-1].event == "done"


async def test_a_kill_reads_as_out_of_memory(client: EngineClient) -> None:
    await client.ask("load", path="hang")
    waiting = asyncio.create_task(complete(client))
    await asyncio.sleep(0.05)
    assert client._process is not None
    client._process.kill()
    with pytest.raises(EngineGone, match="memory ran out"):
        await waiting


async def test_junk_between_messages_is_skipped(client: EngineClient) -> None:
    await client.ask("load", path="junk")
    assert (await complete(client))[-1].event == "done"
    assert client.junk == 4


async def test_a_line_without_end_ends_the_engine(client: EngineClient) -> None:
    await client.ask("load", path="long")
    with pytest.raises(EngineGone, match="more than 8 MiB"):
        await complete(client)


async def test_cancel_keeps_what_was_made(client: EngineClient) -> None:
    await client.ask("load", path="slow")
    task = asyncio.create_task(complete(client, length=100000))
    await asyncio.sleep(0.3)
    await client.cancel()
    done = (await task)[-1]
    assert done.reason == "cancelled"
    assert 0 < done.tokens < 100000


async def test_an_engine_that_ignores_cancel_is_ended(
    client: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "CANCEL_GRACE", 0.2)
    await client.ask("load", path="hang")
    task = asyncio.create_task(complete(client))
    await asyncio.sleep(0.05)
    await client.cancel()
    with pytest.raises(EngineGone, match="did not answer a cancel"):
        await task


async def test_leaving_a_stream_early_cancels_it(client: EngineClient) -> None:
    await client.ask("load", path="slow")
    stream = client.stream("generate", prompt="a", settings={"seed": 1, "length": 100000}, **{"from": None})
    async for event in stream:
        if event.event == "pieces":
            break
    await stream.aclose()  # type: ignore[attr-defined]
    assert not client.busy
    answer = await asyncio.wait_for(client.ask("next", prompt="q", **{"from": None}), 5)
    assert answer.next[0][1] == "q"


async def test_close_ends_a_hanging_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "QUIT_GRACE", 0.2)
    client = EngineClient([sys.executable, "-c", "import time; time.sleep(600)"])
    task = asyncio.create_task(client.ask("load", path="model"))
    while not client.alive:
        await asyncio.sleep(0.01)
    assert client._process is not None
    pid = client._process.pid
    await client.close()
    with pytest.raises(EngineGone):
        await task
    assert not running(pid)
    with pytest.raises(EngineGone, match="was ended"):
        await client.ask("load", path="model")


async def test_a_missing_program_is_one_sentence() -> None:
    with pytest.raises(EngineGone, match="could not be started: No such file"):
        await EngineClient(["/nowhere/at/all"]).ask("load", path="model")
