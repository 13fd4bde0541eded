"""rnn-tui: a terminal workbench for recurrent language models, and the same as a library.

    import rnn_tui

    run = rnn_tui.train(corpus="book.txt", arch="gru", minutes=3)
    model = run.model()                        # or rnn_tui.load("gru-book-1"), or a model file
    print(model.generate("Once upon", seed=1))

Each name is imported on first use: `import rnn_tui` itself loads neither torch nor NumPy. `rnn_tui.plugin` is what
the author of an architecture or a tokenizer imports. docs/library.md has the reference.
"""

import os

__version__ = "0.1.0"

# As it is imported, torch would read the metadata of every installed package for devices of its own, which nobody can
# choose here, and fail where one of them is damaged: a plugin's, too.
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

# What type checkers see of these names stands in __init__.pyi, beside this file; a test compares the two.
_HOMES = {
    "errors": "BusyError DiskError DivergedError InputError OutOfMemoryError PluginError RnnTuiError UsageError",
    "inference.reports": "AlignedReport EvaluationReport SeriesReport",
    "inference.transcribe": "Transcription",
    "library.loading": "import_weights load",
    "library.model": "Model",
    "library.loaded": "ModelInfo",
    "library.reading": "Next Reading Stream",
    "library.run": "History Run list_runs open_run",
    "library.scoring": "Scores",
    "library.starting": "configure train",
    "model.exchange.onnx_file": "ExportedOnnx",
    "model.exchange.torch_file": "Exported",
    "runs.eventline": "Event",
    "training.config": "Config",
}
_ELSEWHERE = {"Config": "RunConfig"}

__all__ = sorted(name for names in _HOMES.values() for name in names.split())


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names.split():
            import importlib

            found = getattr(importlib.import_module(f"{__name__}.{home}"), _ELSEWHERE.get(name, name))
            globals()[name] = found  # asked for once
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
