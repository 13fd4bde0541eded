"""From settings to a running worker: the one way both faces start a run. Free of torch.

Everything that can be wrong is found before anything is written: settings, plugin options, the corpus, whether
one batch fits. Preparing the corpus here also fills the cache that the worker then reads.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnn_tui import __version__
from rnn_tui.corpus.snapshot import Progress
from rnn_tui.corpus.sources import check_source
from rnn_tui.errors import BusyError, InputError, RnnTuiError, UsageError
from rnn_tui.plugin.describe import check_options
from rnn_tui.plugin.registry import plugin_record
from rnn_tui.runs.folder import RunFolder, check_name, create_run, is_run, remove_run
from rnn_tui.runs.status import run_state
from rnn_tui.runs.supervisor import start_worker
from rnn_tui.training.config import Layer, Resolved, RunConfig, resolve, to_dict
from rnn_tui.training.data import prepare_data
from rnn_tui.training.estimate import check_memory
from rnn_tui.training.warm_start import check_warm_start, keep, note_of


def prepare_run_config(layers: Sequence[Layer]) -> Resolved:
    """Merge the layers and check them as far as that is cheap: settings, plugin options, that the corpus exists.

    Raises:
        UsageError, InputError, PluginError: naming the layer or the plugin.
    """
    resolved = resolve(layers)
    config = resolved.config
    arch = check_options("architecture", config.model.arch, config.model.options)
    tokenizer = check_options("tokenizer", config.tokenizer.name, config.tokenizer.options)
    if config.corpus.source != "-":
        check_source(config.corpus.source)
    check_device(config.runtime.device)
    if config.runtime.engine == "graph" and config.runtime.device == "auto":
        try:
            check_device("cuda")
        except UsageError:
            raise UsageError("engine graph exists on cuda only, and there is none here") from None
    return Resolved(
        replace(
            config,
            model=replace(config.model, options=arch),
            tokenizer=replace(config.tokenizer, options=tokenizer),
            corpus=replace(config.corpus, source=lasting_source(config.corpus.source)),
        ),
        resolved.origins,
    )


def check_device(name: str) -> None:
    """Refuse a device by name that is not here. A child asks torch, which this process does without.

    Raises:
        UsageError: naming the devices that are.
    """
    if name in ("auto", "cpu"):
        return
    asked = subprocess.run(
        [sys.executable, "-P", "-m", "rnn_tui.model.device", name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if asked.returncode == UsageError.exit_code:
        raise UsageError(asked.stderr.strip())


def lasting_source(source: str) -> str:
    """Return a path that still leads to the file when the run is resumed from another folder.

    Raises:
        InputError: for one that is not UTF-8: config.toml cannot hold it.
    """
    lasting = str(Path(source).absolute()) if source != "-" and os.path.exists(source) else source
    try:
        lasting.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{lasting}: the path is not UTF-8, so that a run cannot note it; rename it, or pass the text as standard "
            "input, with '-'"
        ) from None
    return lasting


def create(
    runs_dir: Path,
    name: str | None,
    config: RunConfig,
    *,
    progress: Progress | None = None,
    warm_start: Path | None = None,
) -> RunFolder:
    """Create the folder of a run, ready for `runs.supervisor.start_worker`.

    A run of the same name that failed before its first step is replaced: nothing is lost with it.

    Args:
        warm_start: a model file with whose weights the run begins.

    Raises:
        RnnTuiError: as `prepare_data` and `create_run`; nothing is left behind.
    """
    if name is not None:
        check_name(name)
        _clear_unstarted(runs_dir, name)
    model = None if warm_start is None else check_warm_start(warm_start, config)
    if config.corpus.source != "-":
        check_memory(config, prepare_data(config, progress=progress, made_by=model))
    about: dict[str, Any] = {
        "id": secrets.token_hex(8),
        "created": time.time(),
        "rnn_tui": __version__,
        "architecture": plugin_record("architecture", config.model.arch),
        "tokenizer": plugin_record("tokenizer", config.tokenizer.name),
    }
    if model is not None:
        about["warm_start"] = note_of(model)
    run = create_run(runs_dir, name, to_dict(config) | {"about": about})
    try:
        if warm_start is not None:
            keep(warm_start, run)
        if config.corpus.source == "-":
            prepared = prepare_data(config, progress=progress, keep_in=run.path, made_by=model)
            check_memory(config, prepared)
    except BaseException:
        remove_run(run)
        raise
    return run


def start(
    runs_dir: Path,
    name: str | None,
    config: RunConfig,
    *,
    progress: Progress | None = None,
    warm_start: Path | None = None,
) -> RunFolder:
    """Create a run and start its worker, detached. Raises as `create` and `start_worker`; then leaves no run."""
    run = create(runs_dir, name, config, progress=progress, warm_start=warm_start)
    try:
        start_worker(run)
    except RnnTuiError:
        remove_run(run)
        raise
    return run


def _clear_unstarted(runs_dir: Path, name: str) -> None:
    run = RunFolder(runs_dir / name)
    if not is_run(run.path):
        return
    view = run_state(run)
    trained = (view.status.step if view.status else 0) or run.newest_checkpoint_step()
    if view.state == "failed" and not trained:
        remove_run(run)
    else:
        raise BusyError(
            f"there is already a run named {name} in {runs_dir}; choose another name or remove it"
        )
