from rnn_tui.errors import (
    BusyError,
    DiskError,
    DivergedError,
    InputError,
    OutOfMemoryError,
    PluginError,
    RnnTuiError,
    UsageError,
)
from rnn_tui.inference.reports import AlignedReport, EvaluationReport, SeriesReport
from rnn_tui.inference.transcribe import Transcription
from rnn_tui.library.loaded import ModelInfo
from rnn_tui.library.loading import import_weights, load
from rnn_tui.library.model import Model
from rnn_tui.library.reading import Next, Reading, Stream
from rnn_tui.library.run import History, Run, list_runs, open_run
from rnn_tui.library.scoring import Scores
from rnn_tui.library.starting import configure, train
from rnn_tui.model.exchange.onnx_file import ExportedOnnx
from rnn_tui.model.exchange.torch_file import Exported
from rnn_tui.runs.eventline import Event
from rnn_tui.training.config import RunConfig as Config

__all__ = [
    "AlignedReport",
    "BusyError",
    "Config",
    "DiskError",
    "DivergedError",
    "EvaluationReport",
    "Event",
    "Exported",
    "ExportedOnnx",
    "History",
    "InputError",
    "Model",
    "ModelInfo",
    "Next",
    "OutOfMemoryError",
    "PluginError",
    "Reading",
    "RnnTuiError",
    "Run",
    "Scores",
    "SeriesReport",
    "Stream",
    "Transcription",
    "UsageError",
    "configure",
    "import_weights",
    "list_runs",
    "load",
    "open_run",
    "train",
]

__version__: str
