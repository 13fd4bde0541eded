"""The prompt pane with the real engine: both ends of the protocol, and a model that knows no secrets."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from rnn_tui.model.config import ModelConfig
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.tui.engine_client import Event
from rnn_tui.tui.panes.prompt import PromptPane
from rnn_tui.tui.panes.prompt_model import ModelBar
from rnn_tui.tui.panes.prompt_session import Loaded
from rnn_tui.tui.panes.prompt_settings import PromptSettings
from rnn_tui.tui.widgets.next_tokens import NextTokens
from rnn_tui.tui.widgets.status import StatusLine


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A model over `a`, `b`, `c` that has not learned anything: every weight is 0, so every token costs ln 4."""
    import torch

    from rnn_tui.model.file import save_model
    from rnn_tui.model.header import ModelFile
    from rnn_tui.model.recurrent_model import build_model

    tokenizer = load_plugin("tokenizer", "char").train(["abc"], None)  # type: ignore[attr-defined]
    config = ModelConfig(hidden_size=8, num_layers=1)
    architecture = load_plugin("architecture", config.arch)
    model = build_model(architecture, {}, config, tokenizer.vocab_size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    header = ModelFile(
        config={"model": asdict(config)},
        tokenizer={**plugin_record("tokenizer", "char"), "state": tokenizer.to_state()},
        architecture=plugin_record("architecture", config.arch),
        training={
            "step": 12, "validation_loss": 1.386, "train_loss": None, "corpus": "abc", "chars_per_token": 1.0,
            "bytes_per_token": 1.0, "run": "x", "best": True,
        },
    )  # fmt: skip
    path = tmp_path / "abc.safetensors"
    save_model(path, model, header)
    return path


async def until(
    pilot: Pilot[None], pane: PromptPane, condition: Callable[[], bool], seconds: float = 60.0
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, pane.query_one(StatusLine).text
        await pilot.pause(0.02)


async def test_the_real_engine_completes_continues_and_retries(
    tmp_path: Path, make_host: Any, model_file: Path
) -> None:
    pane = PromptPane()
    async with make_host(pane, tmp_path / "runs").run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        column = pane.column
        column.models.post_message(ModelBar.Chosen(model_file))
        await until(pilot, pane, lambda: column.session.current)
        loaded = column.session.loaded
        assert loaded is not None
        assert loaded.describe().startswith("step 12 · validation 1.386 · lstm · char · 4 tokens")
        pane.set_settings(PromptSettings(length=20, seed=3))

        async def give(line: str) -> str:
            pane.line.input.value = line
            pane.line.input.focus()
            await pilot.press("enter")
            await pilot.pause()
            await until(pilot, pane, lambda: not pane.feed.writing and not pane.client.busy)
            turn = column.talk.last
            assert turn is not None
            assert turn.error == ""
            return "".join(piece.text for piece in turn.made)

        first = await give("abž")
        turn = column.talk.turns[0]
        assert len(first) == 20
        assert set(first) <= set("abc")  # the unknown token is never drawn
        assert turn.note.startswith(
            "not in the vocabulary: 'ž'; the model reads its unknown token \ufffd instead"
        )
        assert [span.text for span in turn.opening(first=True)[2:]] == ["a", "b", "ž"]
        assert turn.read[0].surprise is None  # nothing came before it
        assert [piece.surprise for piece in turn.read[1:]] == pytest.approx([1.3863] * 2, abs=1e-3)  # ln 4
        shares = [row[2] for row in pane.query(NextTokens).first().rows]
        assert shares == pytest.approx([0.25] * 4)
        assert await give("abž") == first  # the same seed, from the same fresh state
        more = await give("")
        assert column.talk.turns[-1].after is not None
        pane.action_retry()
        await until(pilot, pane, lambda: not pane.feed.writing and bool(column.talk.turns[-1].made))
        assert column.talk.turns[-1].completed != more

        text = column.talk.turns[-1].completed
        await give(f"/save here {tmp_path / 'here.state'}")
        await until(pilot, pane, lambda: "also in" in pane.query_one(StatusLine).text)
        await give("/batch 3")
        assert sorted(turn.seed for turn in pane.stage.choices.turns) == [3, 4, 5]
        await pilot.press("1")
        await until(pilot, pane, lambda: len(column.talk.turns) == 4)
        await pilot.press("f6", "1")
        await until(pilot, pane, lambda: len(column.talk.turns[-1].made) == 1 and not pane.client.busy)
        assert column.talk.turns[-1].made[0].surprise == pytest.approx(1.3863, abs=1e-3)
        await give(f"/restore {tmp_path / 'here.state'}")
        await until(pilot, pane, lambda: len(column.talk.turns) == 1)
        assert column.talk.turns[0].prompt.endswith(text)
        assert len(await give("")) == 20


def test_what_changed_since_the_training_comes_before_what_the_model_is() -> None:
    said = "idea.py was edited since this model was trained; its figures may not be the model's"
    event = Event(event="loaded", arch="idea", tokenizer="char", step=12, notes=(said,))
    assert (
        Loaded(Path("a"), (0, 0, 0), (0, 0), event).describe().startswith(f"{said} · step 12 · idea · char")
    )
