"""Laws of a tokenizer."""

import hashlib
import json
import re
import sys
from typing import Any, ClassVar

import numpy as np

from rnn_tui.plugin import API_VERSION, Tokenizer
from rnn_tui.plugin.options import make_options, option_infos
from rnn_tui.plugin.testing import examples
from rnn_tui.plugin.testing.elsewhere import ask
from rnn_tui.plugin.testing.examples import for_all
from rnn_tui.plugin.testing.laws import broken, raised
from rnn_tui.plugin.testing.option_ends import ends
from rnn_tui.plugin.tokenizer import Ids

SAMPLE = (
    'It\'s a small text: 2 lines, some marks... and --well-- "quotes"!\n'
    "\tNaïve café, ελληνικά, 床前明月光, かな; 😀 e\u0301.\r\n\n   The end  \n"
)


_SURROGATE = re.compile("[\ud800-\udfff]")


class TokenizerLaws:
    """Subclass, set `tokenizer_class`, and let pytest collect it.

    Attributes:
        tokenizer_class: The class under test, importable by its name from its module.
        options: Its options, where they are not the defaults.
        text: What it is trained on.
    """

    tokenizer_class: ClassVar[type[Tokenizer]]
    options: ClassVar[dict[str, Any]] = {}
    text: ClassVar[str] = SAMPLE

    # ------------------------------------------------------------------------------------------ the laws

    def test_it_declares_itself(self) -> None:
        tokenizer, name = self.trained(), self.tokenizer_class.__name__
        if not isinstance(tokenizer, Tokenizer):
            raise broken(f"{name}.train gave a {type(tokenizer).__name__}", expected="a Tokenizer")
        if tokenizer.api_version != API_VERSION:
            raise broken(
                f"api_version of {name}", expected=str(API_VERSION), came=repr(tokenizer.api_version)
            )
        if not (self.tokenizer_class.__doc__ or "").strip():
            raise broken(f"{name} has no docstring; `plugins show` prints it, its first line stands in lists")
        for info in option_infos(self.tokenizer_class.Options):
            if not info.help:
                raise broken(
                    f"option {info.name} has no help",
                    likely='write its type as Annotated[..., Meta(description="...")]',
                )

    def test_every_option_trains_at_its_ends(self) -> None:
        """Each choice, each switch, the least and the greatest value of each number."""
        for info in option_infos(self.tokenizer_class.Options):
            for value in ends(info):
                what = f"a tokenizer with option {info.name}={value!r} was trained, and encoded its text"
                try:
                    tokenizer = self.train([self.text], **{info.name: value})
                    self.check_ids(tokenizer, tokenizer.encode(self.text), self.text)
                    tokenizer.decode(tokenizer.encode(self.text))
                except AssertionError as error:
                    raise AssertionError(f"{what}\n{error}") from error
                except Exception as error:
                    raise broken(
                        what,
                        expected="ids, since its declaration allows that value",
                        came=raised(error),
                        likely="the bounds or choices of the option are wider than what works"
                        if self._works()
                        else "nothing of this option: with its defaults it fails, too, see the other laws",
                    ) from error

    def test_round_trip_of_the_training_text(self) -> None:
        tokenizer = self.trained()
        self.check_round_trip(tokenizer, self.text)

    def test_round_trip_of_parts_of_the_training_text(self) -> None:
        tokenizer, last = self.trained(), len(self.text)

        def law(length: int, start: int) -> None:
            self.check_round_trip(tokenizer, self.text[start : start + length])

        for_all(law, length=examples.numbers(last), start=examples.numbers(last))

    def test_any_text_has_ids(self) -> None:
        """All of Unicode, lone surrogates included: nothing raises; what does not come back is told by `unknown`."""
        tokenizer = self.trained()

        def law(text: str) -> None:
            ids = tokenizer.encode(text)
            self.check_ids(tokenizer, ids, text)
            self.check_round_trip(tokenizer, text)
            unknown = tokenizer.unknown(text)
            if bool(unknown) != (tokenizer.unknown_id is not None and tokenizer.unknown_id in ids):
                raise broken(
                    f"unknown({text!r})",
                    expected=f"symbols just where encode gives unknown_id, which is {tokenizer.unknown_id}",
                    came=f"{unknown}, and the ids {ids.tolist()}",
                    likely="unknown() and encode() ask two different tables",
                )

        for_all(law, 200, text=examples.any_text(self.text))

    def test_encoding_streams(self) -> None:
        """However text is cut into pieces, the ids are those of the whole."""
        tokenizer = self.trained()

        def law(pieces: list[str]) -> None:
            parts = list(tokenizer.encode_stream(iter(pieces)))
            for part in parts:
                self.check_ids(tokenizer, part, "".join(pieces))
            streamed = np.concatenate([np.zeros(0, np.int64), *parts]).tolist()
            whole = tokenizer.encode("".join(pieces)).tolist()
            if streamed != whole:
                raise broken(
                    f"encode_stream({pieces!r}), joined",
                    expected=f"{whole}, as encode gives for the whole",
                    came=f"{streamed}",
                    likely="a token ends where a piece does: hold back what may still grow",
                )

        for_all(law, 60, pieces=examples.pieces())

    def test_training_streams(self) -> None:
        """However the training text is cut into pieces, the tokenizer is the same.

        The pieces are whatever the host happens to read at once. A library that makes something of the ends of what it
        is given, as those do that count words, is given blocks of a fixed size instead, or whole lines.
        """

        def law(pieces: list[str]) -> None:
            cut, whole = self.train(pieces).to_state(), self.train(["".join(pieces)]).to_state()
            if cut != whole:
                raise broken(
                    f"train({pieces!r}), beside train of the whole text in one piece",
                    expected=_short(whole),
                    came=_short(cut),
                    likely="a word is counted as two where a piece ends: collect the pieces into blocks of a fixed "
                    "size, or into whole lines",
                )

        for_all(law, 30, pieces=examples.pieces())

    def test_decoding_streams(self) -> None:
        """Tokens one by one give the text of all, for any tokens at all."""
        tokenizer = self.trained()

        def law(ids: list[int]) -> None:
            decoder = tokenizer.decoder()
            streamed = "".join([*map(decoder.push, ids), decoder.flush()])
            whole = tokenizer.decode(ids)
            if not isinstance(whole, str):
                raise broken(f"decode({ids})", expected="text", came=f"a {type(whole).__name__}")
            if streamed != whole:
                raise broken(
                    f"the tokens {ids} were pushed into decoder() one by one, then flush()",
                    expected=f"{whole!r}, as decode gives",
                    came=f"{streamed!r}",
                    likely=self._of_streams(tokenizer, ids, streamed),
                )
            if (again := tokenizer.decode(np.array(ids, np.int64))) != whole:
                raise broken(
                    f"decode of {ids} as an array", expected=f"{whole!r}, as of a list", came=repr(again)
                )

        for_all(law, ids=examples.tokens(tokenizer.vocab_size))

    def test_streamed_text_has_no_half_characters(self) -> None:
        tokenizer = self.trained()
        text = "é明😀a" + self.text
        decoder = tokenizer.decoder()
        tokens = tokenizer.encode(text).tolist()
        for token, piece in zip([*tokens, None], [*map(decoder.push, tokens), decoder.flush()], strict=True):
            if "\ufffd" in piece and not tokenizer.unknown(text):
                raise broken(
                    f"the tokens of {text[:12]!r}... were pushed into decoder() one by one",
                    expected="whole characters, or nothing yet",
                    came=f"{piece!r} at token {token}" if token is not None else f"{piece!r} from flush()",
                    likely="bytes are decoded token by token: use codecs.getincrementaldecoder('utf-8')",
                )

    def test_empty_text(self) -> None:
        tokenizer = self.trained()
        ids = tokenizer.encode("")
        self.check_ids(tokenizer, ids, "")
        if len(ids) or tokenizer.decode(ids) != "":
            raise broken(
                "an empty text was encoded and decoded",
                expected="no ids and an empty text",
                came=f"{ids.tolist()} and {tokenizer.decode(ids)!r}",
                likely="a token that marks the beginning or the end of a text is added",
            )
        for texts in ([], [""]):
            if self.train(texts).vocab_size < 1:
                raise broken(f"train({texts})", expected="a vocabulary of 1 or more", came="0")

    def test_every_token_can_be_shown(self) -> None:
        tokenizer = self.trained()
        for token in range(tokenizer.vocab_size):
            text = tokenizer.token_text(token)
            if not isinstance(text, str) or not text:
                raise broken(
                    f"token_text({token})",
                    expected="some text for a table",
                    came=repr(text),
                    likely="a token that is no whole character, or a special one, needs a visible form",
                )

    def test_state_survives_json(self) -> None:
        tokenizer = self.trained()
        state = tokenizer.to_state()
        what = "to_state() was written as JSON, read and given to from_state()"
        again = self.tokenizer_class.from_state(json.loads(json.dumps(state)))
        if again.to_state() != state:
            raise broken(f"{what}, then to_state()", expected=_short(state), came=_short(again.to_state()))
        for name, mine, given in (
            ("vocab_size", again.vocab_size, tokenizer.vocab_size),
            ("unknown_id", again.unknown_id, tokenizer.unknown_id),
            ("the ids of the text", again.encode(self.text).tolist(), tokenizer.encode(self.text).tolist()),
        ):
            if mine != given:
                raise broken(f"{what}; {name}", expected=_short(given), came=_short(mine))
        try:
            state = self.train([f"{self.text}\ud800\udfff"]).to_state()
        except Exception:
            return  # it takes no such text: files in UTF-8 have none
        try:
            json.dumps(state, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise broken(
                "it was trained on a text with lone surrogates, and to_state() was written as JSON in UTF-8",
                came=raised(error),
                likely="surrogates are taken into the vocabulary: they are no characters; leave them out, so that they "
                "are unknown",
            ) from error

    def test_a_hostile_state_is_refused(self) -> None:
        """Model files come from strangers: what is no state raises ValueError, what looks like one does no harm.

        A state that is only strange (a value that stands twice, a key too many) may also be taken, where what comes of
        it is a whole tokenizer: a library's own form is not for its wrapper to check in every point.
        """
        state = self.trained().to_state()
        hostile: list[Any] = [None, [], "state", 7]
        hostile += [{**state, key: bad} for key in state for bad in (None, 7, [7], [None], {"a": 1})]
        hostile += [{"nonsense": 1}] if state else []
        strange: list[Any] = [{**state, "nonsense": 1}]
        strange += [
            {**state, key: value * 2} for key, value in state.items() if isinstance(value, str | list)
        ]
        for bad in [*hostile, *strange]:
            what = f"from_state({_short(bad)})"
            try:
                tokenizer = self.tokenizer_class.from_state(bad)
            except ValueError:
                continue
            except Exception as error:
                raise broken(
                    what,
                    expected="ValueError, which tells that the file is damaged",
                    came=raised(error),
                    likely="check the keys and types of the state first; turn errors of a library into ValueError",
                ) from error
            if any(bad is each for each in hostile):
                raise broken(
                    what, expected="ValueError", came="a tokenizer", likely="the state is not looked at"
                )
            try:
                self.check_ids(tokenizer, tokenizer.encode(self.text), self.text)
                tokenizer.decode(range(tokenizer.vocab_size))
            except Exception as error:
                raise broken(
                    what,
                    expected="ValueError, or a tokenizer that works",
                    came=f"one that does not: {str(error) if isinstance(error, AssertionError) else raised(error)}",
                ) from error

    def test_same_text_same_ids_in_every_process(self) -> None:
        """Whatever the seed of string hashing; and without torch."""
        here = self.facts()
        attributes = {"tokenizer_class": self.tokenizer_class, "options": self.options, "text": self.text}
        for seed in (1, 2):
            there = ask(TokenizerLaws, "tokenizer_class", attributes, seed)
            what = f"it was trained in another process, with PYTHONHASHSEED={seed}"
            if there["torch"]:
                raise broken(
                    what,
                    expected="torch not to be imported, which lists and the screen never load",
                    came="torch in sys.modules",
                    likely="it is imported by the tokenizer's module, or by something that module imports",
                )
            if there["state"] != here["state"] or there["ids"] != here["ids"]:
                raise broken(
                    what,
                    expected=f"the same vocabulary and ids: {_short(here['begin'])}",
                    came=_short(there["begin"]),
                    likely="the order of a set, or of equal counts, decides: sort by frequency, then by symbol",
                )

    # ------------------------------------------------------------------------------------------ what they use

    def _works(self) -> bool:
        """Whether it trains, encodes and decodes as it is."""
        try:
            tokenizer = self.trained()
            self.check_ids(tokenizer, ids := tokenizer.encode(self.text), self.text)
            tokenizer.decode(ids)
        except Exception:
            return False
        return True

    def _of_streams(self, tokenizer: Tokenizer, ids: list[int], streamed: str) -> str:
        """Return the likely cause of a text that comes otherwise token by token than in one."""
        if streamed == "".join(tokenizer.decode([number]) for number in ids):
            return (
                "the decoder decodes each token by itself: hold back what is no whole character yet, as "
                "codecs.getincrementaldecoder('utf-8') does, or whatever depends on the next token"
            )
        return "the decoder treats the first or last token of a text otherwise than decode"

    def trained(self) -> Tokenizer:
        return self.train([self.text])

    def train(self, texts: list[str], **options: Any) -> Tokenizer:
        chosen = make_options(
            self.tokenizer_class.Options, {**self.options, **options}, owner=self.tokenizer_class.__name__
        )
        return self.tokenizer_class.train(iter(texts), chosen)

    def facts(self) -> dict[str, Any]:
        """Return what must be the same in every process, and whether torch is loaded in this one."""
        tokenizer = self.trained()
        state = json.dumps(tokenizer.to_state(), sort_keys=True)
        ids = tokenizer.encode(self.text)
        return {
            "state": hashlib.sha256(state.encode()).hexdigest(),
            "ids": hashlib.sha256(ids.tobytes()).hexdigest(),
            "begin": [ids[:12].tolist(), state[:120]],
            "torch": "torch" in sys.modules,
        }

    def check_round_trip(self, tokenizer: Tokenizer, text: str) -> None:
        """Raise unless a text without unknown symbols comes back; a lone surrogate may come back as U+FFFD."""
        if tokenizer.unknown(text):
            return
        ids = tokenizer.encode(text)
        found = tokenizer.decode(ids)
        if found not in (text, _SURROGATE.sub("\ufffd", text)):
            raise broken(
                f"{text!r} was encoded and decoded; unknown() names no symbol of it",
                expected="the text",
                came=f"{found!r}, from the ids {ids[:40].tolist()}",
                likely="it is normalised, lower-cased or stripped, or decode puts or drops spaces: what does not come "
                "back is to be told by unknown()",
            )

    def check_ids(self, tokenizer: Tokenizer, ids: Ids, text: str) -> None:
        """Raise unless `ids` is a vector of the smallest unsigned type, every one below `vocab_size`."""
        what, wanted = f"encode({_short(text)})", np.min_scalar_type(tokenizer.vocab_size - 1)
        if not isinstance(ids, np.ndarray) or ids.ndim != 1:
            raise broken(what, expected="a NumPy array of one dimension", came=f"a {type(ids).__name__}")
        if ids.dtype != wanted:
            raise broken(
                what,
                expected=f"{wanted}, the smallest unsigned type for {tokenizer.vocab_size} ids",
                came=str(ids.dtype),
                likely="return np.array(ids, np.min_scalar_type(self.vocab_size - 1))",
            )
        if ids.size and int(ids.max()) >= tokenizer.vocab_size:
            raise broken(
                what, expected=f"ids below vocab_size, {tokenizer.vocab_size}", came=f"{int(ids.max())}"
            )


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 160 else f"{shown[:120]}... ({len(shown):,} characters)"
