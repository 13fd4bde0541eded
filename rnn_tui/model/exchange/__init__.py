"""Weights to and from other programs: a plain state dict of torch.nn in a safetensors file, and ONNX.

`twin` is a model as plain torch would write it; `torch_file` writes its weights, `back` makes a model of such a file,
of our own making (`notes` is what it says beside the weights) or a stranger's (`finding`, `vocabulary`). `onnx_file`
writes ONNX: `onnx_layers` out of the operators that torch.nn's layers have there, `onnx_step` out of the traced step of
any cell.
"""
