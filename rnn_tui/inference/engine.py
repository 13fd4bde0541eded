"""The prompt engine: `python -m rnn_tui.inference.engine`, a child process that owns torch for a face that does not.

It reads one JSON object a line from standard input and answers with one a line on standard output. Whatever a plugin
prints goes to standard error. It ends when its input does, or when its parent dies.

    {"id": 1, "op": "load", "slot": "main", "path": "…/model.safetensors", "device": "cpu"}
        → {"id": 1, "event": "loaded", "slot", "task", "arch", "tokenizer", "vocab_size", "parameters", "step",
           "validation_loss", "chars_per_token", "unknown_text", "mtime", "notes"}
           At most 4 models are held, one in each slot. Replaces the one in this slot; its states are forgotten. If it
           fails, the one before stays. The path may be that of a checkpoint folder (`checkpoints/step-…`), whose model
           is compared with the manifest before it is read. `unknown_text` is how the unknown token is shown, null
           where nothing is unknown. `notes` are sentences on plugins that changed since the model was trained.
    {"op": "unload", "slot": "main"}    no answer; the slot is empty, its states are forgotten

    {"id": 2, "op": "generate", "slot": "main", "from": null, "prompt": "…", "settings": {"temperature": 0.8, …}}
        → {"id": 2, "event": "prompt", "pieces": [PIECE, …], "tokens": n, "unknown": ["ž"]}
           The pieces are the last 4,096 of the prompt's tokens.
        → {"id": 2, "event": "pieces", "pieces": [PIECE, …]}      at most every 50 ms
        → {"id": 2, "event": "done", "state": 7, "reason": "length" | "stop" | "cancelled", "tokens": n, "seconds": s,
           "seed": n or null, "next": [[id, text, probability], …], "copied": {…} or null, "not_compared": "why"}
           `copied` is what `rnn_tui.corpus.copied.Copied` says of the completion and the training text; null where
           nothing was compared, and then `not_compared` says why. The first answer waits up to 3 s for it.
           `from` is a state of an earlier answer, or null for a fresh start. Reason "cancelled" while the prompt was
           still being read gives back the `from` it was given as `state`.
           A model of the task aligned answers one line with the labels of its tokens, from a fresh state and the most
           probable ones: `from` and the settings mean nothing to it, `state` is null and the reason "transcribed".
           It is refused in what follows, but for a look inside.
    {"id": 3, "op": "batch", "slot": "main", "from": null, "prompt": "…", "settings": {…}, "n": 5}
        → "prompt" as above
        → {"id": 3, "event": "progress", "tokens": n}      drawn so far, of all rows; at most every 250 ms
        → {"id": 3, "event": "row", "row": i, "pieces": [PIECE, …], "state": k, "reason", "tokens", "seed", "next",
           "copied", "not_compared"}      each when it is complete, in any order
           A cancel gives what there is of the others, with the reason "cancelled".
        → {"id": 3, "event": "done", "state": null, "reason": "length" | "cancelled", "tokens": total, "seconds": s}
           Row i, from 0, has the seed of the settings (or a fresh one) plus i, and is the text that this seed gives
           alone, up to rounding. n is at most 64, n times the length at most 50,000 tokens.
    {"id": 4, "op": "next", "slot": "main", "from": null, "prompt": "…", "top": 10}
        → {"id": 4, "event": "next", "next": [[id, text, probability], …]}      `top` of them, at most 50
    {"id": 5, "op": "push", "slot": "main", "from": 7, "token": 12, "top": 10}
        → {"id": 5, "event": "pushed", "state": 8, "piece": PIECE, "next": [[id, text, probability], …]}
           Reads this token, picked from the table of what comes next.

    {"id": 6, "op": "save", "state": 8, "path": "…", "text": "what was read and written so far"}
        → {"id": 6, "event": "saved", "path", "bytes"}
           Writes a state to a file, see `state_file`: over another file of this kind, never over anything else. Of the
           text, the last 100,000 characters are kept. The folder has to be there.
    {"id": 7, "op": "restore", "slot": "main", "path": "…", "top": 10}
        → {"id": 7, "event": "restored", "state": 9, "text": "…", "next": [[id, text, probability], …]}
           Refused, in a sentence, where the model in the slot is not the one the state was saved of.

    {"id": 8, "op": "read" | "units" | …}      looks into a model: `inspect_requests` has these and their answers

    {"op": "cancel", "target": 2}       no answer of its own; request 2 ends with reason "cancelled", or with an error
    {"op": "forget", "state": 7}        no answer
    {"op": "quit"}                      no answer; so does the end of the input

PIECE is {"text", "token", "surprise", "entropy", "rank"}: rank 0 is the most probable token; the last three are null
where nothing came before, and some are in the answers of a model of the task aligned. In a prompt, a token that
stands for a symbol which the vocabulary lacks has also {"unknown": true, "source": "ž"}, the source being empty where
the tokenizer does not let it be told.

Any failure is {"id": n, "event": "error", "message": "one line", "exit_code": k}, with id null for a line that
holds none, and the engine goes on. Requests are done one after the other; `cancel` works at once. Settings are those
of `SamplingConfig`. The newest 256 states are kept, of all slots together; a state belongs to its slot and goes with
its model. `slot` is "main" where it is left out. NaN and infinity are sent as null.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from rnn_tui.errors import OutOfMemoryError, RnnTuiError, UsageError, is_out_of_memory
from rnn_tui.files import write_all
from rnn_tui.inference import inspect_requests, requests
from rnn_tui.inference.requests import Inbox
from rnn_tui.inference.slots import Slots
from rnn_tui.model.provenance import changed_plugins
from rnn_tui.plugin.loading import blamed
from rnn_tui.runs.process import die_with_parent


class Engine:
    """Does one request after the other and writes the answers to `output`, a file descriptor."""

    def __init__(self, inbox: Inbox, output: int) -> None:
        self._inbox = inbox
        self._output = output
        self._slots = Slots()

    def serve(self) -> None:
        """Work until the input ends."""
        while (request := self._inbox.take()) is not None:
            try:
                self._do(request)
            except Exception as error:  # an engine that dies takes all states with it
                failure = explain(error)
                self._say(request.id, "error", message=one_line(failure), exit_code=failure.exit_code)
            self._inbox.finish(request.id)

    def _say(self, number: int | None, event: str, **fields: Any) -> None:
        write_all(self._output, msgspec.json.encode({"id": number, "event": event, **fields}) + b"\n")

    def _do(self, request: requests.Request | requests.Refused) -> None:
        match request:
            case requests.Refused():
                raise UsageError(request.message)
            case requests.Forget():
                self._slots.forget(request.state)
            case requests.Unload():
                self._slots.unload(request.slot)
            case requests.Load():
                self._load(request)
            case requests.Save():
                self._save(request)
            case requests.Restore():
                self._restore(request)
            case requests.Cancel() | requests.Quit():
                raise AssertionError("the inbox keeps these")
            case _:
                self._answer(request)

    def _load(self, request: requests.Load) -> None:
        loaded = self._slots.load(request.slot, Path(request.path), request.device)
        header, training = loaded.header, loaded.header.training
        assert header.tokenizer is not None  # of a model of tokens
        self._say(
            request.id,
            "loaded",
            slot=request.slot,
            task=header.task,
            arch=header.architecture["name"],
            tokenizer=header.tokenizer["name"],
            vocab_size=loaded.tokenizer.vocab_size,
            parameters=loaded.reader.model.parameter_count(),
            step=training.get("step"),
            validation_loss=training.get("validation_loss"),
            chars_per_token=training.get("chars_per_token"),
            unknown_text=loaded.unknown,
            mtime=loaded.mtime,
            notes=changed_plugins(header),
        )

    def _save(self, request: requests.Save) -> None:
        from rnn_tui.inference.state_file import save_state

        loaded, primed = self._slots.kept(request.state)
        size = save_state(
            Path(request.path),
            primed,
            request.text,
            reader=loaded.reader,
            header=loaded.header,
            model=loaded.identity,
        )
        self._say(request.id, "saved", path=request.path, bytes=size)

    def _restore(self, request: requests.Restore) -> None:
        from rnn_tui.inference.generate import next_tokens
        from rnn_tui.inference.state_file import read_state

        loaded = self._slots.writer(request.slot)
        primed, text = read_state(
            Path(request.path),
            reader=loaded.reader,
            tokenizer=loaded.tokenizer,
            model=loaded.identity,
        )
        self._say(
            request.id,
            "restored",
            state=self._slots.keep(loaded, primed),
            text=text,
            next=next_tokens(primed.logits, loaded.tokenizer, request.top),
        )

    def _answer(
        self, request: requests.Generate | requests.Next | requests.Push | inspect_requests.Inspect
    ) -> None:
        """Answer what may take long, and can be cancelled meanwhile."""
        from rnn_tui.inference import continuing

        say = partial(self._say, request.id)
        cancelled = partial(self._inbox.cancelled, request.id)
        try:
            match request:
                case requests.Batch():
                    continuing.complete_several(request, self._slots, say, cancelled)
                case requests.Generate():
                    continuing.complete(request, self._slots, say, cancelled)
                case requests.Next():
                    continuing.look_ahead(request, self._slots, say, cancelled)
                case requests.Push():
                    continuing.push(request, self._slots, say, cancelled)
                case _:
                    from rnn_tui.inference import inspecting

                    loaded = self._slots.model(request.slot)
                    model, labels = loaded.reader.model, loaded.labels
                    inspecting.answer(request, model, loaded.tokenizer, say, cancelled, labels=labels)
        except continuing.Cancelled:
            raise UsageError("cancelled") from None


def explain(error: Exception) -> RnnTuiError:
    """Turn any exception into one with a sentence and an exit code."""
    if isinstance(error, RnnTuiError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(
            f"not enough memory for this; use a smaller model or another device ({one_line(error)})"
        )
    if culprit := blamed(error):
        return culprit
    return RnnTuiError(f"the prompt engine failed: {type(error).__name__}: {one_line(error)}")


def one_line(error: Exception) -> str:
    """Return an error's text as one line of at most 500 characters that any encoder takes."""
    return " ".join(str(error).split())[:500].encode("utf-8", "replace").decode()


def take_standard_output() -> int:
    """Keep the real standard output for the protocol, and send everything else that is printed to standard error.

    Done on the level of file descriptors too, so that a library in C cannot get in between.
    """
    output = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return output


def main() -> int:
    """Serve standard input until it ends; return the exit code."""
    if not die_with_parent():
        return 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the face's to handle
    output = take_standard_output()
    source = open(0, "rb", closefd=False)  # noqa: SIM115  closing it would wait for the thread that reads
    try:
        Engine(Inbox(source), output).serve()
    except (
        OSError
    ) as error:  # nobody reads the answers any more; an orderly end would wait for that thread too
        os._exit(0 if isinstance(error, BrokenPipeError) else 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
