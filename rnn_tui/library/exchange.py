"""Writing a model that is in memory for programs that know nothing of rnn-tui."""

from typing import TYPE_CHECKING, Literal, get_args

from rnn_tui.errors import UsageError
from rnn_tui.library import arguments
from rnn_tui.library.loaded import Loaded
from rnn_tui.library.places import StrPath, file_to_write

if TYPE_CHECKING:
    from rnn_tui.model.exchange.onnx_file import ExportedOnnx
    from rnn_tui.model.exchange.torch_file import Exported

Format = Literal["torch", "onnx"]
Graph = Literal["sequence", "step"]


def write(
    model: Loaded, path: StrPath, form: Format, *, graph: Graph | None, identity_embedding: bool
) -> "Exported | ExportedOnnx":
    """Do what `Model.export` does, and raise what it raises."""
    target = file_to_write(path)
    arguments.choice("format", form, get_args(Format))
    if graph is not None:
        arguments.choice("graph", graph, get_args(Graph))
    arguments.switch("identity_embedding", identity_embedding)
    if form == "torch" and (graph or target.suffix == ".onnx"):
        what = "graph" if graph else f"the ending of {target.name}"
        raise UsageError(f"{what} is for format='onnx'; give that, too")
    if form == "onnx" and identity_embedding:
        raise UsageError("identity_embedding goes with format='torch'; leave it out")
    if target.exists() and model.path.exists() and target.samefile(model.path):
        raise UsageError(f"{target}: cannot be replaced by what is made of it; choose another name")
    if model.module is None or model.module.device.type != "cpu":
        raise UsageError(
            "a model is exported from torch on the CPU; load it with backend='torch', device='cpu'"
        )
    from rnn_tui.tasks.evaluation import evaluation_mode

    with model.turns.take(), evaluation_mode(model.module):
        if form == "onnx":
            from rnn_tui.model.exchange.onnx_file import export_onnx

            return export_onnx(model.module, model.header, model.tokenizer, target, graph=graph or "sequence")
        from rnn_tui.model.exchange.torch_file import export_torch

        return export_torch(model.module, model.header, model.tokenizer, target, identity=identity_embedding)
