"""Each finding that the doctor makes, from the text that gives rise to it to the change that answers it."""

import pytest

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.convert import convert
from rnn_tui.corpus.decoding import TextReport
from rnn_tui.corpus.findings import Finding, text_findings
from rnn_tui.corpus.remedies import Present, answered, encoding_in, remedy
from rnn_tui.corpus.snapshot import snapshot
from rnn_tui.errors import InputError
from rnn_tui.training.config import resolve
from rnn_tui.training.data import read_data
from rnn_tui.training.survey import measure, remedies

PROSE = "".join(f"Line {number} of quite a plain text, which goes on and on.\n" for number in range(800))


def measured(tmp_path, text, **settings):
    path = tmp_path / "text.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    corpus = {"source": str(path), **settings.pop("corpus", {})}
    config = resolve([("test", {"corpus": corpus, **settings})]).config
    found = measure(config, read_data(config), with_baselines=False)
    return config, found, {f.text: cure for f, cure in remedies(config, found)}


def cure_for(words, cures):
    (cure,) = {cures[text] and (cures[text].path, repr(cures[text].value)) for text in cures if words in text}
    return cure


@pytest.mark.parametrize(
    ("text", "settings", "words", "expected"),
    [
        (PROSE.replace("\n", "\r\n"), {}, "end in CRLF", ("corpus.normalise", ("unix-newlines",))),
        (PROSE + "\0", {}, "NUL", ("corpus.normalise", ("drop-controls",))),
        (PROSE + "\x07", {}, "control characters", ("corpus.normalise", ("drop-controls",))),
        (PROSE + "cafe\u0301", {}, "accents", ("corpus.normalise", ("compose",))),
        (PROSE + "éZ", {}, "only in held-out", ("tokenizers", None)),
        (PROSE.lower() + "ZZ", {}, "only in held-out", ("corpus.normalise", ("lowercase",))),
        (PROSE + "é", {}, "only in held-out", ("corpus.normalise", ("transliterate",))),
        (PROSE + "天", {}, "only in held-out", ("tokenizers", None)),
        # 450 tokens train: 449 // 64 windows
        ("ab" * 250, {}, "but one step with", ("data.batch_size", 7)),
        ("ab" * 30, {}, "but one step with", ("data.seq_len", 1)),
        # 38,781 tokens train: 2 steps of 256 windows of 64, 10 of 60
        (PROSE, {"data": {"batch_size": 256}}, "an epoch has only", ("data.batch_size", 60)),
        (PROSE, {"corpus": {"validation": 0}}, "no validation split", ("corpus.validation", 0.1)),
        (PROSE, {"corpus": {"validation": 0.01}}, "validation has only", ("corpus.validation", 0.02)),
        (PROSE * 2, {}, "of the lines occurred before", ("corpus.normalise", ("drop-repeated-lines",))),
        (PROSE * 2, {}, "lies in passages of", ("corpus.normalise", ("drop-repeated-lines",))),
        (PROSE.replace("\n", " ") * 2, {}, "lies in passages of", None),  # no lines to leave out
        ("".join(f"w{number} " for number in range(2000)), {"tokenizer": {"name": "word"}}, "only once in training",
         ("tokenizer.options", {"min_frequency": 2})),
        (PROSE, {"tokenizer": {"name": "word", "options": {"max_vocabulary": 5}}}, "training tokens are unknown",
         ("tokenizer.options", {})),
        ("".join(f"w{number} " for number in range(2000)), {"tokenizer": {"name": "word"}}, "held-out tokens are",
         ("tokenizers", None)),
        ("same,n\n" + "".join(f"7,{n % 9}\n" for n in range(4000)), {"task": {"name": "series"}}, "same number",
         ("task.columns", ("n",))),
        ("ab\tba\n" * 400, {"task": {"name": "aligned"}}, "have the source of",
         ("corpus.normalise", ("drop-repeated-lines",))),
    ],
)  # fmt: skip
def test_each_finding_has_its_remedy(tmp_path, text, settings, words, expected):
    assert cure_for(words, measured(tmp_path, text, **settings)[2]) == (
        expected and (expected[0], repr(expected[1]))
    )


def test_a_remedy_removes_its_finding(tmp_path):
    text = (PROSE * 2).replace("\n", "\r\n") + "\0 cafe\u0301"
    steps = ["unix-newlines", "drop-controls", "compose", "drop-repeated-lines"]
    _, before, _ = measured(tmp_path, text)
    _, after, cures = measured(tmp_path, text, corpus={"normalise": steps})
    assert sum(finding.level != "ok" for finding in before.findings) >= 5
    told = [finding.text for finding in after.findings if finding.level == "ok"]
    assert told == [
        "1,600 lines end in CRLF: seen to by the step unix-newlines",
        "1 NUL characters are in the text: seen to by the step drop-controls",
    ]
    assert not [text for text in cures if "occurred before" in text or "accents" in text]
    assert cures[told[0]] is None


def test_what_no_setting_answers():
    series = Finding(
        "note", "30% of the validation rows of column a lie outside the range of the training rows"
    )
    assert remedy(series, None, Present()) is None
    held = Finding("note", "validation has only 20 tokens; its loss will be noisy")
    assert remedy(held, None, Present(validation=0.3)) is None  # as much as may be held out


def test_findings_about_other_things_are_left_alone():
    found = text_findings(TextReport(crlf=3, bom=True))
    assert answered(found, ()) == tuple(found)
    assert [finding.level for finding in answered(found, ("unix-newlines",))] == ["note", "ok"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Où est le café de l'été? " * 200, "ISO-8859-1"),
        ("天地玄黄宇宙洪荒" * 300, "GB18030"),
        ("one two\n" * 200, "UTF-16"),
    ],
)
def test_a_text_in_another_encoding_is_converted(tmp_path, folders, text, encoding):
    path = tmp_path / "old.txt"
    path.write_bytes(text.encode(encoding))
    try:
        report = snapshot(CorpusConfig(source=str(path))).report
    except InputError as error:
        words = str(error)
    else:
        words = next(f.fix for f in text_findings(report) if "not UTF-8" in f.text)
    assert encoding_in(words) == encoding
    told = []
    copy = convert(path, encoding, progress=lambda *what: told.append(what))
    assert copy.read_text() == text
    assert folders in copy.parents
    assert told[-1] == ("converting", path.stat().st_size, path.stat().st_size)
    assert convert(path, encoding) == copy  # made once
    assert path.read_bytes() == text.encode(encoding)


def test_what_cannot_be_converted(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(InputError, match="not GB18030 either"):
        convert(path, "GB18030")
    with pytest.raises(InputError, match="is not known here"):
        convert(path, "no-such")
    with pytest.raises(InputError, match="No such file"):
        convert(tmp_path / "none", "UTF-16")
    assert encoding_in("a binary file, not text") == ""
