"""The client against a fake engine in a real child process."""

import asyncio
import json
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


async def test_slots_hold_models_of_their_own(client: EngineClient) -> None:
    client.unload("a")  # nothing is running: nothing to do
    assert not client.alive
    await client.ask("load", path="model")
    assert (await client.ask("load", slot="a", path="labels")).slot == "a"
    request = {"prompt": "xy", "settings": SETTINGS, "from": None}
    assert (await client.ask("generate", slot="a", **request)).reason == "transcribed"
    assert (await client.ask("generate", **request)).reason == "length"
    client.unload("a")
    assert (await client.ask("generate", slot="a", **request)).reason == "length"


async def test_a_prompt_marks_what_is_unknown(client: EngineClient) -> None:
    prompt = (await complete(client, "aé"))[0]
    assert [(piece.text, piece.rank, piece.unknown, piece.source) for piece in prompt.pieces] == [
        ("a", 3, False, ""),
        ("\ufffd", 3, True, "é"),
    ]


async def test_rows_come_as_they_are_complete(client: EngineClient) -> None:
    await client.ask("load", path="slow")
    request = {"prompt": "ab", "settings": SETTINGS, "from": None, "n": 2}
    events = [event async for event in client.stream("batch", **request)]
    assert [event.event for event in events] == [
        *("prompt", "progress", "progress", "progress", "row"),
        *("progress", "progress", "progress", "row", "done"),
    ]
    assert [event.tokens for event in events if event.event == "progress"] == [1, 2, 3, 4, 5, 6]
    rows = [event for event in events if event.event == "row"]
    assert [(row.row, row.seed, row.state, row.reason, row.tokens) for row in rows] == [
        (1, 8, 1, "length", 3),
        (0, 7, 2, "length", 3),
    ]
    assert [piece.text for piece in rows[0].pieces] == ["w8.0 ", "w8.1 ", "w8.2 "]
    assert (events[-1].tokens, events[-1].state) == (6, None)


async def test_a_batch_is_cancelled(client: EngineClient) -> None:
    await client.ask("load", path="slow")
    request = {"prompt": "a", "settings": SETTINGS | {"length": 10_000}, "from": None, "n": 2}
    stream = client.stream("batch", **request)
    events = [await anext(stream), await anext(stream)]
    cancelling = asyncio.create_task(client.cancel())
    events += [event async for event in stream]
    await cancelling
    assert events[-1].reason == "cancelled"
    assert [event.reason for event in events if event.event == "row"] == ["cancelled"] * 2


async def test_a_token_is_pushed_and_a_state_kept_in_a_file(client: EngineClient, tmp_path: Path) -> None:
    await client.ask("load", path="model")
    pushed = await client.ask("push", token=5, **{"from": None})
    assert pushed.piece is not None
    assert (pushed.piece.text, pushed.piece.rank, pushed.state) == ("t5", 4, 1)
    path = tmp_path / "s"
    saved = await client.ask("save", state=1, path=str(path), text="ab")
    assert (saved.path, saved.size) == (str(path), path.stat().st_size)
    restored = await client.ask("restore", path=str(path))
    assert (restored.state, restored.text, restored.next[0]) == (2, "ab", (1, "e", 0.5))
    path.write_text("[]")
    with pytest.raises(EngineError, match="not a saved state"):
        await client.ask("restore", path=str(path))
    with pytest.raises(EngineError, match="something else"):
        await client.ask("save", state=1, path=str(path), text="ab")


async def test_answers_with_other_fields_are_handed_on_whole() -> None:
    """Those of `inspect_requests`, which whoever asks reads."""
    script = (
        "import json, sys\n"
        "number = json.loads(sys.stdin.readline())['id']\n"
        "print(json.dumps({'id': number, 'event': 'progress', 'done': 1, 'total': 2}))\n"
        "print(json.dumps({'id': number, 'event': 'values', 'values': [0.5, -1]}), flush=True)\n"
        "sys.stdin.readline()"
    )
    client = EngineClient([sys.executable, "-c", script])
    events = [event async for event in client.stream("values", part="layer 1 h", unit=3)]
    assert [event.event for event in events] == ["progress", "values"]
    assert [json.loads(event.line) for event in events] == [
        {"id": 1, "event": "progress", "done": 1, "total": 2},
        {"id": 1, "event": "values", "values": [0.5, -1]},
    ]
    await client.close()


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
    while not client.busy:
        await asyncio.sleep(0.01)
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
    stream = client.stream("generate", prompt="a", settings={"seed": 1, "length": 100000}, **{"from": None})
    cancelling = None
    async for done in stream:
        if done.event == "pieces" and cancelling is None:
            cancelling = asyncio.create_task(client.cancel())
    await cancelling
    assert done.reason == "cancelled"
    assert 0 < done.tokens < 100000


async def test_an_engine_that_ignores_cancel_is_ended(
    client: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "CANCEL_GRACE", 0.2)
    await client.ask("load", path="hang")
    task = asyncio.create_task(complete(client))
    while not client.busy:
        await asyncio.sleep(0.01)
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
    answer = await asyncio.wait_for(client.ask("next", prompt="q", **{"from": None}), 60)
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
