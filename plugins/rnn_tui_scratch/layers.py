"""Weights of these cells to and from torch.nn, which keeps a matrix as (outputs, inputs) and has two biases."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.RNNBase)


@torch.no_grad()
def give_weights(layer: Layer, W: Tensor, U: Tensor, b: Tensor) -> Layer:
    """Fill a layer with W (I, G H), U (H, G H) and b (G H), in torch's order of gates; its second bias is zeros."""
    for target, source in zip(layer.all_weights[0], (W.T, U.T, b, torch.zeros_like(b)), strict=True):
        target.copy_(source)
    return layer


@torch.no_grad()
def take_weights(layer: nn.RNNBase, W: Tensor, U: Tensor, b: Tensor) -> None:
    """Fill W, U and b with what is in a layer, its two biases added up."""
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    for target, source in zip((W, U, b), (w_ih.T, w_hh.T, b_ih + b_hh), strict=True):
        target.copy_(source)
