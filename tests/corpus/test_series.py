import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.series import Scaling, SeriesSplit, prepare_series, prepare_series_with
from rnn_tui.errors import InputError, UsageError


def write(path: Path, text: str | bytes, **settings: object) -> CorpusConfig:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return CorpusConfig(source=str(path), **({"validation": 0.0} | settings))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,-2\n0.5,3e2\n", ("1", "2")),
        ("1;-2\n0.5;3e2", ("1", "2")),
        ("1\t-2\r\n0.5\t3e2\r\n", ("1", "2")),
        ("  1   -2\n\n\n0.5 300  \n   \n", ("1", "2")),
        ("a,b\n1,-2\n0.5,300\n", ("a", "b")),
        ('"a; b"; c\n 1 ;-2\n"0.5";300\n', ("a; b", "c")),
        (b"\xef\xbb\xbfa b\n1 -2\n0.5 300\n", ("a", "b")),
        (",b\n1,-2\n0.5,300\n", ("1", "b")),
    ],
)
def test_the_forms_of_a_table(tmp_path: Path, text: str | bytes, names: tuple[str, ...]) -> None:
    series = prepare_series(write(tmp_path / "t.csv", text))
    assert series.scaling.columns == names
    assert series.values.tolist() == [[1, -2], [0.5, 300]]
    assert (series.name, series.values.dtype) == ("t", np.float64)


def test_one_number_a_line(tmp_path: Path) -> None:
    assert prepare_series(write(tmp_path / "a", "3\n1\n2")).values.tolist() == [[3], [1], [2]]
    named = prepare_series(write(tmp_path / "b", "degrees, in the shade\n3\n1\n2\n".replace(",", "")))
    assert (named.scaling.columns, named.values.tolist()) == (("degrees in the shade",), [[3], [1], [2]])


def test_line_ends_are_no_matter_of_a_series(tmp_path: Path) -> None:
    assert prepare_series(write(tmp_path / "t", "1\r\n2\r\n")).snapshot.notes == ()
    bad = prepare_series(write(tmp_path / "u", b"caf\xe9\r\n1\r\n2\r\n"))
    assert len(bad.snapshot.notes) == 1
    assert "not UTF-8" in bad.snapshot.notes[0]


def test_scaling_knows_the_training_rows_only(tmp_path: Path) -> None:
    config = write(tmp_path / "t", "1,10\n3,10\n5,40\n1000,-7\n-50,0\n", validation=0.4)
    series = prepare_series(config)
    assert series.splits == {
        "train": SeriesSplit("train", 0, 3),
        "validation": SeriesSplit("validation", 3, 5),
    }
    # by hand: mean 3, variance (4 + 0 + 4) / 3; mean 20, variance (100 + 100 + 400) / 3
    assert series.scaling.mean == pytest.approx((3, 20))
    assert series.scaling.std == pytest.approx(((8 / 3) ** 0.5, 200**0.5))
    train, validation = series.scaled("train"), series.scaled("validation")
    assert train.dtype == np.float32
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(0), 1, rtol=1e-6)
    assert validation[0] == pytest.approx([(1000 - 3) / (8 / 3) ** 0.5, (-7 - 20) / 200**0.5])
    np.testing.assert_allclose(
        series.scaling.invert(validation), [[1000, -7], [-50, 0]], rtol=1e-6, atol=1e-5
    )
    with pytest.raises(UsageError, match="no split 'vaildation', only train, validation; did you mean"):
        series.split("vaildation")


def test_no_scaling(tmp_path: Path) -> None:
    series = prepare_series(write(tmp_path / "t", "1\n5\n9\n"), scale="none")
    assert series.scaling == Scaling(("1",), (0.0,), (1.0,))
    assert series.scaled("train").tolist() == [[1], [5], [9]]


def test_a_constant_column_is_shifted_and_told(tmp_path: Path) -> None:
    # the mean of three 0.1 is not 0.1 in binary, and their deviation not 0
    series = prepare_series(write(tmp_path / "t", "a,b\n1,0.1\n2,0.1\n4,0.1\n5,7.1\n", validation=0.25))
    assert series.scaling.std[1] == 1.0
    assert series.snapshot.notes == (
        "column b has the same number in every training row; it is shifted to 0, not scaled",
    )
    assert series.scaled("validation")[0, 1] == pytest.approx(7.0)


def test_the_first_rows(tmp_path: Path) -> None:
    config = write(tmp_path / "t", "x\n1\n2\n3\n4\nnot reached\n", first_tokens=4, validation=0.25)
    assert prepare_series(config).values.ravel().tolist() == [1, 2, 3, 4]
    few = prepare_series(write(tmp_path / "few", "1\n2\n", first_tokens=4))
    assert few.snapshot.notes == ("the series has only 2 rows, fewer than the first 4 asked for",)


def test_chosen_columns(tmp_path: Path) -> None:
    config = write(tmp_path / "t", "date,open,close\n2020-01-01,1,2\n2020-01-02,3,5\n")
    assert prepare_series(config, columns=("close", "2")).values.tolist() == [[2, 1], [5, 3]]
    assert prepare_series(config, columns=("3",)).scaling.columns == ("close",)
    with pytest.raises(
        InputError, match=r"line 2, column date: '2020-01-01' is no finite number; .*task\.columns"
    ):
        prepare_series(config)
    for columns, message in (
        (("clos",), "no column 'clos', only date, open, close; did you mean 'close'"),
        (("0",), "no column '0'"),
        (("4",), "no column '4'"),
        (("close", "3"), "column '3' is named twice"),
    ):
        with pytest.raises(UsageError, match=message):
            prepare_series(config, columns=columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\n1\n\ntwo\n", "t: line 4, column x: 'two' is no finite number; correct it$"),
        ("x,y\n1,2\n3,\n", "line 3, column y: the cell is empty"),
        ("1\nnan\n", "line 2, column 1: 'nan' is no finite number"),
        ("1e999\n1\n", "line 1, column 1: '1e999' is no finite number"),
        ("1_000\n1\n2\n", None),  # a name
        ("1\n1_000\n", "'1_000' is no finite number"),
        ("1,5;2\n3;4\n", "line 1, column 1: '1,5' is no finite number"),
        ("1,2\n3\n", "line 2 has 1 columns, the first line 2; every row needs the same columns"),
        ("1,2\n3,4,5\n", "line 2 has 3 columns"),
        ("a,a\n1,2\n", "line 1: two columns are called 'a'"),
        ('a,b\n1,"2\n', "line 2: unexpected end of data"),
        ("\n \n", "only blank lines"),
        ("x\n", "0 rows leave 0 to train on, at least 2 are needed"),
        ("1\n", "1 rows leave 1 to train on"),
        ("1e300\n-1e300\n0\n", "column 1 are too large or too close together"),
        ("1e-300\n2e-300\n", "column 1 are too large or too close together"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, text: str, message: str | None) -> None:
    config = write(tmp_path / "t", text)
    if message is None:
        assert prepare_series(config).scaling.columns == ("1_000",)
        return
    with pytest.raises(InputError, match=message):
        prepare_series(config)


def test_numbers_that_a_model_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too large for the model"):
        prepare_series(write(tmp_path / "t", "1\n1e40\n"), scale="none")
    with pytest.raises(InputError, match="too large for the model"):
        prepare_series(write(tmp_path / "t", "1\n2\n3\n1e40\n", validation=0.25))


def test_steps_of_a_text_are_refused(tmp_path: Path) -> None:
    config = write(tmp_path / "t", "1\n2\n", normalise=("lowercase",))
    for make in (prepare_series, lambda c: prepare_series_with(c, Scaling(("1",), (0.0,), (1.0,)))):
        with pytest.raises(UsageError, match=r"corpus\.normalise \(lowercase\) is for text"):
            make(config)


def test_other_data_for_a_model(tmp_path: Path) -> None:
    scaling = Scaling(("close", "open"), (1.0, 2.0), (10.0, 100.0))
    named = prepare_series_with(write(tmp_path / "a", "open,x,close\n1,2,3\n4,5,6\n"), scaling)
    assert named.values.tolist() == [[3, 1], [6, 4]]
    assert named.scaled("train")[0].tolist() == pytest.approx([0.2, -0.01])
    bare = prepare_series_with(write(tmp_path / "b", "3 1\n6 4\n"), scaling)
    assert bare.values.tolist() == named.values.tolist()
    assert bare.scaling == named.scaling == scaling
    with pytest.raises(UsageError, match="no column 'close', only 1, 2, 3"):
        prepare_series_with(write(tmp_path / "c", "3 1 2\n6 4 5\n"), scaling)
    with pytest.raises(UsageError, match="no column 'close', only clse, open; did you mean 'clse'"):
        prepare_series_with(write(tmp_path / "d", "clse,open\n6,4\n7,4\n"), scaling)
    # a model of columns without names, in another order than they stand
    by_number = Scaling(("2", "1"), (0.0, 0.0), (1.0, 1.0))
    assert prepare_series_with(write(tmp_path / "e", "3 1\n6 4\n"), by_number).values.tolist() == [
        [1, 3],
        [4, 6],
    ]


def test_what_the_fingerprint_covers(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(10))
    config = write(tmp_path / "t", text)
    first = prepare_series(config)
    assert prepare_series(config).fingerprint == first.fingerprint
    assert prepare_series(write(tmp_path / "copy", text)).fingerprint == first.fingerprint
    assert prepare_series_with(config, first.scaling).fingerprint == first.fingerprint
    others = [
        prepare_series(write(tmp_path / "other", text + "7,7\n")),
        prepare_series(write(tmp_path / "t", text, validation=0.2)),
        prepare_series(write(tmp_path / "t", text, test=0.2)),
        prepare_series(write(tmp_path / "t", text, first_tokens=5)),
        prepare_series(config, columns=("a",)),
        prepare_series(config, columns=("b", "a")),
        prepare_series(config, scale="none"),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x\n1\n2\n")))
    config = CorpusConfig(source="-", validation=0.0)
    assert prepare_series(config, keep_in=tmp_path).values.ravel().tolist() == [1, 2]
    assert prepare_series(config, keep_in=tmp_path).values.ravel().tolist() == [1, 2]


def test_the_corpus_sine() -> None:
    """d2l's series: sin(0.01 t) + N(0, 0.2); persistence errs by twice the variance of the noise."""
    noise = np.random.Generator(np.random.PCG64(2024)).normal(0, 0.2, 1000)
    expected = np.sin(0.01 * np.arange(1, 1001)) + noise
    series = prepare_series(CorpusConfig(source="sine", validation=0.4))
    np.testing.assert_allclose(series.values[:, 0], expected, atol=5.1e-7)
    assert series.scaling.columns == ("x",)
    assert (series.splits["train"].end, series.splits["validation"].end) == (600, 1000)
    steps = np.diff(series.values[599:, 0])
    assert (steps**2).mean() == pytest.approx(2 * 0.04, rel=0.1)


def test_torch_is_not_needed() -> None:
    code = "import sys, rnn_tui.corpus.series, rnn_tui.tasks.rows; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
