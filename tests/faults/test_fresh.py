"""Fresh processes train to the same bits, though the vector maths of torch's library is chosen in a race."""

import collections
import shutil

import fault_runs as runs

from rnn_tui.runs.layout import RunFolder


def hashes(folder, threads, count, **how):
    """Train one small run in so many fresh processes; return how often each hash of all bits came out.

    Large enough that its vector maths runs on more than one thread: a gate has 256 x 200 elements, and torch gives a
    thread 32,768 at a time.
    """
    run = runs.small_run(
        folder / "runs",
        "fresh",
        runs.write_text(folder),
        corpus={"validation": 0.0, "test": 0.0},
        model={"hidden_size": 200, "num_layers": 1},
        data={"seq_len": 2, "batch_size": 256},
        budget={"steps": 2},
        watch={"sample_length": 0},
        checkpoint={"every_steps": 1000},
        runtime={"threads": threads, "device": "cpu", "engine": "loop", "exact": True},
    )
    found = collections.Counter()
    for number in range(count):
        copy = RunFolder(shutil.copytree(run.path, run.path.with_name(f"fresh-{number}")))
        result = folder / f"hash-{number}"
        assert runs.server("bare").fork("fresh", copy, result=str(result), **how).wait() == 0, (
            copy.log_path.read_text()
        )
        found[result.read_text()] += 1
        shutil.rmtree(copy.path)
    shutil.rmtree(run.path)
    return found


def test_fresh_processes_are_equal(tmp_path, amount, figures):
    for threads in amount((2,), (2, 4)):
        found = hashes(tmp_path, threads, count := amount(6, 300))
        assert len(found) == 1, found
        figures("fresh", f"0 of {count} fresh processes differ at {threads} threads")


def test_one_other_bit_is_found(tmp_path, amount, figures):
    """What the race does to a process: one element of one function is another in its last bit.

    Without the warm-up that is what happens to some; how many is told, since none need be.
    """
    whole, slipped = (hashes(tmp_path, 2, 1, slip=slip) for slip in (False, True))
    assert whole != slipped
    figures("fresh", "broken: one last bit of 2 million logarithms; found")
    if count := amount(0, 300):
        found = hashes(tmp_path, 2, count, warm_up=False)
        differing = count - found.most_common(1)[0][1]
        figures(
            "fresh", f"broken: no warm-up of the vector maths; {differing} of {count} processes differ here"
        )
