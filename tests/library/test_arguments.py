"""Wrong inputs of every public function: one line that names the argument, as UsageError, before anything is done."""

import numpy as np
import pytest

import rnn_tui


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # texts
        (lambda m: m.generate(5), "prompt must be a text, not 5"),
        (lambda m: m.stream(b"a"), "prompt must be a text, not b'a'"),
        (lambda m: m.read(None), "text must be a text, not None"),
        (lambda m: m.score(None), "text must be a text, not None"),
        (lambda m: m.read("a").read(["b"]), "text must be a text, not ['b']"),
        (lambda m: m.read("a").score(1), "text must be a text, not 1"),
        # how it is drawn
        (lambda m: m.generate("a", n=0), "n must be a whole number from 1, or None for one text, not 0"),
        (lambda m: m.generate("a", n=True), "n must be a whole number from 1, or None for one text, not True"),
        (lambda m: m.generate("a", n=2.0), "n must be a whole number from 1, or None for one text, not 2.0"),
        (lambda m: m.generate("a", length=-1), "sampling setting length must be a whole number from 0 up to "
                                               "10000000, not -1"),
        (lambda m: m.generate("a", length="9"), "sampling setting length must be a whole number from 0 up to "
                                                "10000000, not '9'"),
        (lambda m: m.generate("a", seed=1.5), "sampling setting seed must be a whole number from 0 below "
                                              "4.61168601842739e+18, or none, not 1.5"),
        (lambda m: m.generate("a", top_p=0), "sampling setting top_p must be a number above 0 up to 1, not 0"),
        (lambda m: m.generate("a", greedy=1), "sampling setting greedy must be true or false, not 1"),
        (lambda m: m.generate("a", stop=5), "sampling setting stop must be at most 64 texts, none of them empty, "
                                            "not 5"),
        (lambda m: m.generate("a", stop=["b", ""]), "sampling setting stop must be at most 64 texts, none of them "
                                                    "empty, not ('b', '')"),
        (lambda m: m.generate("a", temprature=1), "there is no sampling setting 'temprature'; did you mean "
                                                  "'temperature'?"),
        (lambda m: m.stream("a", temprature=1), "there is no sampling setting 'temprature'; did you mean "
                                                "'temperature'?"),
        (lambda m: m.read("a").generate(temprature=1), "there is no sampling setting 'temprature'; did you mean "
                                                       "'temperature'?"),
        (lambda m: m.stream("a", n=2), "a stream is one continuation; generate(n=…) returns several"),
        (lambda m: m.read("a").next(top="x"), "top must be a whole number from 0, not 'x'"),
        (lambda m: m.read("a").next(-1), "top must be a whole number from 0, not -1"),
        # what is measured
        (lambda m: m.evaluate(lanes=0), "lanes must be a whole number from 1 to 4096, not 0"),
        (lambda m: m.evaluate(lanes=-1), "lanes must be a whole number from 1 to 4096, not -1"),
        (lambda m: m.evaluate(lanes=2.5), "lanes must be a whole number from 1 to 4096, not 2.5"),
        (lambda m: m.evaluate(lanes=4097), "lanes must be a whole number from 1 to 4096, not 4097"),
        (lambda m: m.evaluate(split=3), "split must be a text, not 3"),
        (lambda m: m.evaluate(cold="no"), "cold must be True or False, not 'no'"),
        (lambda m: m.evaluate(dynamic=1), "dynamic must be True or False, not 1"),
        (lambda m: m.evaluate(5), "corpus must be a text or a path, not 5"),
        # files that are written
        (lambda m: m.save("."), "path must name the file to write, and '.' is a folder; add a name"),
        (lambda m: m.save(""), "path must name the file to write, and '' is a folder; add a name"),
        (lambda m: m.save("new/"), "path must name the file to write, and 'new/' is a folder; add a name"),
        (lambda m: m.save("a\0b"), r"path must be a text or a path, not 'a\x00b'"),
        (lambda m: m.save(None), "path must be a text or a path, not None"),
        (lambda m: m.export("runs"), "path must name the file to write, and 'runs' is a folder; add a name"),
        (lambda m: m.export("x", "onyx"), "format must be one of torch, onnx, not 'onyx'; did you mean 'onnx'?"),
        (lambda m: m.export("x.onnx"), "the ending of x.onnx is for format='onnx'; give that, too"),
        (lambda m: m.export("x", graph="step"), "graph is for format='onnx'; give that, too"),
        (lambda m: m.export("x", "onnx", graph="loop"), "graph must be one of sequence, step, not 'loop'"),
        (lambda m: m.export("x", "onnx", identity_embedding=True), "identity_embedding goes with format='torch'; "
                                                                   "leave it out"),
        # models and runs
        (lambda m: rnn_tui.load(5), "target must be a text or a path, not 5"),
        (lambda m: rnn_tui.load("fox", device=None), "device must be a text, not None"),
        (lambda m: rnn_tui.load("fox", backend=["torch"]), "backend must be one of torch, numpy, not ['torch']"),
        (lambda m: rnn_tui.load("fox", runs_dir=3), "runs_dir must be a text or a path, not 3"),
        (lambda m: rnn_tui.open_run(b"fox"), "name must be a text or a path, not b'fox'"),
        (lambda m: rnn_tui.list_runs(7), "runs_dir must be a text or a path, not 7"),
        (lambda m: rnn_tui.open_run("fox").model(backend="jax"), "backend must be one of torch, numpy, not 'jax'"),
        (lambda m: rnn_tui.open_run("fox").wait("x"), "on_event must be a function, not 'x'"),
        (lambda m: rnn_tui.open_run("fox").resume(detach="y"), "detach must be True or False, not 'y'"),
        (lambda m: rnn_tui.train(corpus="fox.txt", name=5), "name must be a text, not 5"),
        (lambda m: rnn_tui.train(corpus="fox.txt", warm_start=5), "warm_start must be a text or a path, not 5"),
        (lambda m: rnn_tui.train(corpus="fox.txt", on_event=1), "on_event must be a function, not 1"),
        (lambda m: rnn_tui.train(corpus="fox.txt", detach=None), "detach must be True or False, not None"),
        (lambda m: rnn_tui.configure(5), "config must be a Config, the name of a recipe or a dict of sections, not "
                                         "int"),
        (lambda m: rnn_tui.configure(model={3: 4}), "settings: there is no setting model.3"),
        (lambda m: rnn_tui.configure({3: 4}), "config: there is no setting '3'"),
        (lambda m: rnn_tui.configure(lr=object), "settings: optim.lr must be a number above 0 up to 1000000, not "
                                                 "<class 'object'>"),
        (lambda m: rnn_tui.import_weights(5), "path must be a text or a path, not 5"),
        (lambda m: rnn_tui.import_weights("x", like="a", vocabulary="b"), "give like or a vocabulary, not both"),
        (lambda m: rnn_tui.import_weights("x", corpus="b"), "corpus goes with a vocabulary; give that, too"),
        (lambda m: rnn_tui.import_weights("x", options=[1]), "options must be a dict, not [1]"),
        (lambda m: rnn_tui.import_weights("x", arch=1), "arch must be a text, not 1"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(model, call, message):
    with pytest.raises(rnn_tui.UsageError) as caught:
        call(model)
    assert str(caught.value) == message


def test_the_numbers_of_numpy_are_numbers(model):
    found = model.generate(
        "a", length=np.int64(5), seed=np.uint32(3), n=np.int16(1), temperature=np.float32(0.5)
    )
    assert found == model.generate("a", length=5, seed=3, n=1, temperature=0.5)
    assert len(model.read("a").next(np.int64(2))) == 2
    assert rnn_tui.configure(hidden_size=np.int64(8), lr=np.float64(0.5)) == rnn_tui.configure(
        hidden_size=8, lr=0.5
    )


def test_other_models_name_their_arguments_too(untrained):
    with pytest.raises(rnn_tui.UsageError, match=r"^text must be a text, not 5$"):
        rnn_tui.load(untrained("aligned")).label(5)
    with pytest.raises(rnn_tui.UsageError, match=r"^steps must be a whole number from 1, not '2'$"):
        rnn_tui.load(untrained("series")).forecast([[1.0, 2.0]], "2")


def test_what_is_not_there_is_told_as_what_it_is(here, model):
    for path, message in {
        here / "tiny": f"{here}/tiny: there is no such file or folder",
        "./tiny": "./tiny: there is no such file or folder",
        here: f"there is no run at {here}: it is not the folder of one",
    }.items():
        with pytest.raises(rnn_tui.InputError) as caught:
            rnn_tui.load(path)
        assert str(caught.value) == message
    with pytest.raises(rnn_tui.InputError, match=r"^there is no run at .*/tiny: no such folder$"):
        rnn_tui.open_run(here / "tiny")
    with pytest.raises(rnn_tui.DiskError, match=r"^could not write /nowhere/x: "):
        model.save("/nowhere/x")
