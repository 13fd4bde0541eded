"""What safety costs a run: how long it stands still for a checkpoint, and what log, status and mailbox take."""

import json
import statistics

import fault_runs as runs

from rnn_tui.training import checkpoint


def measured(folder, steps, every):
    """Train a run whose checkpoints hold 10 MB; return what `fault_jobs.cost` says of it, and the size of one in MB."""
    run = runs.small_run(
        folder / "runs",
        "saving",
        runs.write_text(folder),
        model={"arch": "nn-lstm", "hidden_size": 450, "num_layers": 1},
        data={"seq_len": 16, "batch_size": 32},
        budget={"steps": steps},
        watch={"log_every": 0, "validate_every": 10_000, "sample_length": 0},
        checkpoint={"every_steps": every},
    )
    result = folder / "result.json"
    assert runs.server().fork("cost", run, result=str(result)).wait() == 0, run.log_path.read_text()
    newest = checkpoint.find(run.checkpoints)[0]
    size = sum(entry["size"] for entry in newest.manifest["files"].values()) / 1e6
    return json.loads(result.read_text()), size


def test_what_checkpoints_log_and_mailbox_cost(tmp_path, amount, figures):
    """Only what is far too much fails: a machine may be busy."""
    steps, every = amount((16, 4), (300, 10))
    saving, size = measured(tmp_path, steps, every)
    assert 9 < size < 12
    stalls = saving["stalls"]
    assert len(stalls) == steps // every
    assert min(stalls) < 1
    step = statistics.median(saving["steps"])
    shares = {what: seconds / sum(saving["steps"]) for what, seconds in saving["told"].items()}
    assert sum(shares.values()) < 0.2
    figures(
        "cost",
        f"a checkpoint of {size:.0f} MB holds training up for {1e3 * statistics.median(stalls):.0f} ms, at most "
        f"{1e3 * max(stalls):.0f} ms, a step takes {1e3 * step:.0f} ms",
    )
    parts = ", ".join(f"{what} {100 * share:.2f} %" for what, share in shares.items())
    figures("cost", f"{parts} of the time of the steps")
    beside = statistics.median(saving["steps"][every::every])
    apart = statistics.median(saving["steps"][every // 2 :: every])
    figures(
        "cost", f"a step while one is written takes {beside / apart:.2f} times as long as between two of them"
    )
