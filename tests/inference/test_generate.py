import itertools
import math

import numpy as np
import pytest
import torch

from rnn_tui.errors import DivergedError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import (
    PROMPT_PIECES,
    generate,
    measure,
    next_tokens,
    prime,
    start_token,
)
from rnn_tui.inference.torch_reader import TorchReader, sample_text
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin

GREEDY = SamplingConfig(greedy=True, length=12)


def lstm(tokenizer, *, dropout=0.0, num_layers=1, seed=0):
    torch.manual_seed(seed)
    config = ModelConfig(hidden_size=16, num_layers=num_layers, dropout=dropout)
    return build_model(load_plugin("architecture", "lstm"), {}, config, tokenizer.vocab_size).eval()


def text_of(pieces):
    return "".join(piece.text for piece in pieces)


# -- the prompt ---------------------------------------------------------------------------------------------------


def test_surprise_and_entropy_of_a_prompt_worked_out_by_hand(markov, char_tokenizer):
    tokenizer = char_tokenizer("aab")  # ids: <unk> 0, a 1, b 2
    reader = TorchReader(markov([[1 / 3, 1 / 3, 1 / 3], [0.25, 0.25, 0.5], [0.125, 0.75, 0.125]]))
    primed = prime(reader, tokenizer, "aba")
    assert [piece.text for piece in primed.pieces] == ["a", "b", "a"]
    assert [piece.token for piece in primed.pieces] == [1, 2, 1]
    assert math.isnan(primed.pieces[0].surprise)
    assert primed.pieces[1].surprise == pytest.approx(-math.log(0.5), rel=1e-5)
    assert primed.pieces[1].entropy == pytest.approx(1.5 * math.log(2), rel=1e-5)
    assert primed.pieces[2].surprise == pytest.approx(-math.log(0.75), rel=1e-5)
    assert np.exp(primed.logits).tolist() == pytest.approx([0.25, 0.25, 0.5], rel=1e-5)
    assert primed.state[0].item() == 3
    assert primed.tokens == 3


def test_a_prompt_in_two_parts_equals_one(char_tokenizer):
    tokenizer = char_tokenizer("abcdefgh \n")
    reader = TorchReader(lstm(tokenizer, num_layers=2))
    whole = prime(reader, tokenizer, "abc defgh")
    parts = prime(reader, tokenizer, " defgh", prime(reader, tokenizer, "abc"))
    torch.testing.assert_close(parts.logits, whole.logits)
    surprise = [piece.surprise for piece in parts.pieces]
    assert surprise == pytest.approx([piece.surprise for piece in whole.pieces[3:]], rel=1e-4)


def test_a_prompt_longer_than_a_window(char_tokenizer):
    tokenizer = char_tokenizer("ab")
    reader = TorchReader(lstm(tokenizer))
    text = "abba" * 300
    state, ids = reader.model.initial_state(1), tokenizer.encode(text)
    with torch.inference_mode():
        for token in ids.tolist():
            logits, state = reader.model.step(torch.tensor([token]), state)
    primed = prime(reader, tokenizer, text)
    np.testing.assert_allclose(primed.logits, logits[0], rtol=1e-4, atol=1e-5)
    assert len(primed.pieces) == 1200
    assert sum(math.isnan(piece.surprise) for piece in primed.pieces) == 1


def test_only_the_end_of_a_very_long_prompt_is_kept_as_pieces(markov, char_tokenizer):
    tokenizer = char_tokenizer("ab")
    seen = []
    primed = prime(
        TorchReader(markov(torch.full((3, 3), 1 / 3))),
        tokenizer,
        "ab" * 50_000 + "a",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert primed.tokens == 100_001
    assert len(primed.pieces) == PROMPT_PIECES
    assert text_of(primed.pieces) == ("ba" * PROMPT_PIECES)[:PROMPT_PIECES]
    assert primed.state[0].item() == 100_001
    assert seen[-1] == (100_001, 100_001)


def test_a_long_prompt_is_not_cut_within_a_character(markov, byte_tokenizer):
    primed = prime(TorchReader(markov(torch.full((256, 256), 1 / 256))), byte_tokenizer, "漢" * 3000)
    # 4,096 is 1,365 characters of three bytes and the last byte of one more
    assert text_of(primed.pieces) == "漢" * 1366


@pytest.mark.parametrize(("corpus", "start"), [("a b\n", "\n"), ("a b", " "), ("ab", "a")])
def test_an_empty_prompt_starts_from_the_declared_token(markov, char_tokenizer, corpus, start):
    tokenizer = char_tokenizer(corpus)
    expected = tokenizer.encode(start)[0]
    assert start_token(tokenizer) == expected
    probabilities = torch.rand(tokenizer.vocab_size, tokenizer.vocab_size)
    primed = prime(TorchReader(markov(probabilities)), tokenizer, "")
    assert np.exp(primed.logits).tolist() == pytest.approx(probabilities[expected].tolist(), rel=1e-4)
    assert (primed.pieces, primed.tokens) == ((), 0)


def test_an_empty_prompt_after_something_changes_nothing(char_tokenizer):
    tokenizer = char_tokenizer("abc")
    reader = TorchReader(lstm(tokenizer))
    primed = prime(reader, tokenizer, "abc")
    again = prime(reader, tokenizer, "", primed)
    assert again.logits is primed.logits
    assert again.state is primed.state
    assert again.pieces == ()


def test_unknown_symbols_are_read_and_reported(markov, char_tokenizer):
    tokenizer = char_tokenizer("ab")
    primed = prime(TorchReader(markov(torch.full((3, 3), 1 / 3))), tokenizer, "žažλ")
    assert primed.unknown == ("ž", "λ")
    assert [piece.token for piece in primed.pieces] == [0, int(tokenizer.encode("a")[0]), 0, 0]
    assert primed.state[0].item() == 4


def test_lone_surrogates_are_answered(markov, char_tokenizer, byte_tokenizer):
    for tokenizer in (char_tokenizer("ab"), byte_tokenizer):
        reader = TorchReader(markov(torch.full((tokenizer.vocab_size,) * 2, 1 / tokenizer.vocab_size)))
        assert prime(reader, tokenizer, "a\ud800b").tokens in (3, 5)


def test_a_model_that_gives_nan_is_refused(markov, char_tokenizer):
    reader = TorchReader(markov(torch.full((3, 3), 1 / 3)))
    with torch.no_grad():
        reader.model.head.weight[1, 1] = math.nan
    with pytest.raises(DivergedError):
        prime(reader, char_tokenizer("ab"), "a")


def test_giving_up_in_the_middle_of_a_prompt(markov, char_tokenizer):
    class GivenUp(Exception):
        pass

    def progress(done, total):
        raise GivenUp

    reader = TorchReader(markov(torch.full((3, 3), 1 / 3)))
    reader.model.train()
    with pytest.raises(GivenUp):
        prime(reader, char_tokenizer("ab"), "ab" * 1000, progress=progress)
    assert reader.model.training


def test_entropy_where_tokens_are_impossible():
    [(surprise, entropy, _)] = measure(np.array([[0.0, 0.0, -math.inf]]), np.array([0]))
    assert surprise == pytest.approx(math.log(2))
    assert entropy == pytest.approx(math.log(2))


# -- the continuation ---------------------------------------------------------------------------------------------


def test_greedy_spells_what_the_model_knows(spelling, byte_tokenizer):
    reader = TorchReader(spelling("hεlo wørd"))
    primed = prime(reader, byte_tokenizer, "h")
    generation = generate(reader, byte_tokenizer, primed, SamplingConfig(greedy=True, length=10))
    pieces = list(generation)
    assert text_of(pieces) == "εlo wørd"
    # one piece for each byte; the first of two bytes is no text yet
    assert [piece.text for piece in pieces[:3]] == ["", "ε", "l"]
    assert (generation.reason, generation.tokens, generation.seed) == ("length", 10, None)


@pytest.mark.parametrize("length", range(0, 10))
def test_no_half_characters_wherever_it_ends_and_goes_on(spelling, byte_tokenizer, length):
    reader = TorchReader(spelling("ab漢e字d"))
    first = generate(
        reader,
        byte_tokenizer,
        prime(reader, byte_tokenizer, "a"),
        SamplingConfig(temperature=0, length=length),
    )
    start = text_of(first)
    second = generate(reader, byte_tokenizer, first.primed, SamplingConfig(temperature=0, length=9 - length))
    assert "\ufffd" not in start
    assert start + text_of(second) == "b漢e字d"


def test_pieces_carry_the_models_own_surprise(markov, char_tokenizer):
    tokenizer = char_tokenizer("aab")
    reader = TorchReader(markov([[1 / 3, 1 / 3, 1 / 3], [0.25, 0.25, 0.5], [0.125, 0.75, 0.125]]))
    # whatever the rules: surprise and entropy are those of the model at temperature 1, unknown token included
    config = SamplingConfig(temperature=0.01, top_k=1, seed=3, length=2)
    pieces = list(generate(reader, tokenizer, prime(reader, tokenizer, "a"), config))
    assert [piece.text for piece in pieces] == ["b", "a"]
    assert [piece.surprise for piece in pieces] == pytest.approx([-math.log(0.5), -math.log(0.75)], rel=1e-5)
    assert pieces[0].entropy == pytest.approx(1.5 * math.log(2), rel=1e-5)


def test_the_unknown_token_is_never_drawn(markov, char_tokenizer):
    tokenizer = char_tokenizer("ab")
    reader = TorchReader(markov([[0.98, 0.01, 0.01]] * 3))
    for config in (SamplingConfig(seed=1, temperature=1, length=200), SamplingConfig(greedy=True, length=5)):
        drawn = {piece.token for piece in generate(reader, tokenizer, prime(reader, tokenizer, "a"), config)}
        assert drawn <= {1, 2}


def test_drawn_pairs_follow_the_model(markov, char_tokenizer):
    """8,000 tokens from a known chain: each transition within five standard deviations of its probability."""
    tokenizer = char_tokenizer("aab")
    reader = TorchReader(markov([[1 / 3, 1 / 3, 1 / 3], [1e-9, 0.3, 0.7], [1e-9, 0.8, 0.2]]))
    config = SamplingConfig(temperature=1, seed=11, length=8_000)
    text = "a" + text_of(generate(reader, tokenizer, prime(reader, tokenizer, "a"), config))
    for pair, probability in {"aa": 0.3, "ab": 0.7, "ba": 0.8, "bb": 0.2}.items():
        of = sum(text[i] == pair[0] for i in range(8_000))
        count = sum(text[i : i + 2] == pair for i in range(8_000))
        assert abs(count - of * probability) < 5 * math.sqrt(of * probability * (1 - probability))


def test_a_seed_fixes_the_text_and_none_draws_one(char_tokenizer):
    tokenizer = char_tokenizer("abcdefgh")
    reader = TorchReader(lstm(tokenizer))
    primed = prime(reader, tokenizer, "a")

    def run(seed):
        generation = generate(reader, tokenizer, primed, SamplingConfig(seed=seed, length=60, temperature=1))
        return text_of(generation), generation.seed

    assert run(5) == run(5)
    assert run(5)[0] != run(6)[0]
    text, seed = run(None)
    assert run(seed) == (text, seed)


def test_continuing_equals_going_on(char_tokenizer):
    tokenizer = char_tokenizer("abcdefgh")
    reader = TorchReader(lstm(tokenizer))
    primed = prime(reader, tokenizer, "a")
    whole = list(generate(reader, tokenizer, primed, SamplingConfig(greedy=True, length=20)))
    first = generate(reader, tokenizer, primed, SamplingConfig(greedy=True, length=8))
    start = list(first)
    rest = list(generate(reader, tokenizer, first.primed, SamplingConfig(greedy=True, length=12)))
    assert start + rest == whole
    # the snapshot that was started from is unharmed: a branch from it is the same again
    assert list(generate(reader, tokenizer, primed, SamplingConfig(greedy=True, length=20))) == whole


def test_generated_text_read_as_a_prompt_gives_the_same_state(char_tokenizer):
    tokenizer = char_tokenizer("abcdefgh")
    reader = TorchReader(lstm(tokenizer, num_layers=2))
    generation = generate(
        reader,
        tokenizer,
        prime(reader, tokenizer, "ab"),
        SamplingConfig(seed=1, length=30),
    )
    text = text_of(generation)
    torch.testing.assert_close(prime(reader, tokenizer, "ab" + text).logits, generation.primed.logits)


def test_stop_text_across_pieces_is_cut_and_read(spelling, byte_tokenizer):
    reader = TorchReader(spelling("abcdefgh"))
    primed = prime(reader, byte_tokenizer, "a")
    generation = generate(
        reader, byte_tokenizer, primed, SamplingConfig(greedy=True, length=20, stop=("ef", "zz"))
    )
    assert text_of(generation) == "bcd"
    assert (generation.reason, generation.tokens) == ("stop", 5)
    rest = generate(reader, byte_tokenizer, generation.primed, SamplingConfig(greedy=True, length=2))
    assert text_of(rest) == "gh"


def test_what_only_begins_a_stop_text_is_given_after_all(spelling, byte_tokenizer):
    reader = TorchReader(spelling("abcdefgh"))
    primed = prime(reader, byte_tokenizer, "a")
    for length in range(8):
        generation = generate(
            reader,
            byte_tokenizer,
            primed,
            SamplingConfig(greedy=True, length=length, stop=("cdx", "gh!")),
        )
        assert text_of(generation) == "bcdefgh"[:length]
        assert generation.reason == "length"


def test_cancelling_gives_what_was_held_back(spelling, byte_tokenizer):
    reader = TorchReader(spelling("abcdefgh"))
    generation = generate(
        reader,
        byte_tokenizer,
        prime(reader, byte_tokenizer, "a"),
        SamplingConfig(greedy=True, length=20, stop=("cdefz",)),
    )
    pieces = iter(generation)
    assert next(pieces).text == "b"
    generation.cancel()
    assert text_of(pieces) == ""
    assert (generation.reason, generation.tokens) == ("cancelled", 1)
    assert (
        text_of(generate(reader, byte_tokenizer, generation.primed, SamplingConfig(greedy=True, length=2)))
        == "cd"
    )


# -- what must not be disturbed -----------------------------------------------------------------------------------


def test_sampling_leaves_training_as_it_was(char_tokenizer):
    tokenizer = char_tokenizer("abcdefgh \n")
    model = lstm(tokenizer, dropout=0.5, num_layers=2).train()
    before = torch.random.get_rng_state()
    text = sample_text(model, tokenizer, "ab", SamplingConfig(seed=4, length=40))
    assert len(text) == 40
    assert model.training
    assert model.core.training
    assert torch.equal(before, torch.random.get_rng_state())
    # dropout was off: the same text again, and the same as in evaluation mode
    assert sample_text(model.eval(), tokenizer, "ab", SamplingConfig(seed=4, length=40)) == text
    assert not model.training
    assert not torch.is_inference_mode_enabled()
    model.train()
    model(torch.zeros(2, 3, dtype=torch.long), model.initial_state(2))[0].sum().backward()


def test_sampling_beside_training_holds_a_plugin_that_draws_noise(markov, char_tokenizer):
    model = markov(torch.full((3, 3), 1 / 3))
    cell = model.core.layers[0].cell
    step = cell.step
    cell.step = lambda x, state: step(x + 0 * torch.rand(1), state)
    before = torch.random.get_rng_state()
    sample_text(model, char_tokenizer("ab"), "a", SamplingConfig(length=5))
    assert torch.equal(before, torch.random.get_rng_state())


def test_streaming_does_not_leak_inference_mode_and_closing_restores_the_mode(char_tokenizer):
    tokenizer = char_tokenizer("abcdefgh")
    reader = TorchReader(lstm(tokenizer).train())
    before = torch.random.get_rng_state()
    pieces = iter(
        generate(
            reader,
            tokenizer,
            prime(reader, tokenizer, "a"),
            SamplingConfig(length=100),
        )
    )
    next(pieces)
    assert not torch.is_inference_mode_enabled()
    pieces.close()
    assert reader.model.training
    assert torch.equal(before, torch.random.get_rng_state())


def test_next_tokens_are_the_models_distribution(markov, char_tokenizer):
    tokenizer = char_tokenizer("aab")
    reader = TorchReader(markov([[1 / 3, 1 / 3, 1 / 3], [0.2, 0.3, 0.5], [0.125, 0.75, 0.125]]))
    found = next_tokens(prime(reader, tokenizer, "a").logits, tokenizer, top=2)
    assert [(token, text) for token, text, _ in found] == [(2, "b"), (1, "a")]
    assert [probability for *_, probability in found] == pytest.approx([0.5, 0.3], rel=1e-5)
    assert len(next_tokens(np.zeros(3), tokenizer)) == 3


def test_words(markov):
    plugin = load_plugin("tokenizer", "word")
    tokenizer = plugin.train(["a b a b"], plugin.Options())
    ids = tokenizer.encode("a b a b").tolist()
    table = torch.full((tokenizer.vocab_size,) * 2, 1e-9)
    for this, following in itertools.pairwise(ids):
        table[this, following] = 1.0
    model = markov(table)
    assert sample_text(model, tokenizer, "a", SamplingConfig(greedy=True, length=3)) == " b a b"
