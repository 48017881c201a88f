"""What goes into or comes out of a named layer of any torch model, read through a forward hook."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from scorecraft.errors import ScorecraftError, nearest

Side = Literal["input", "output"]


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return a module of a model by its name in ``model.named_modules()``; "" is the model itself.

    Raises `ScorecraftError` with the nearest names where there is none of that name.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        known = difflib.get_close_matches(name, [layer for layer in layers if layer], n=10, cutoff=0)
        raise ScorecraftError(f"the model has no layer '{name}': {nearest(name, known)}")
    return layers[name]


def read_layer(
    model: nn.Module, layer: str, inputs: Any, *, side: Side = "output", batch_size: int = 256
) -> tuple[Tensor, ...]:
    """Return the tensors that a layer gives out, or takes in, over all inputs, on the CPU, without gradients.

    The model runs in evaluation mode and is left as it was. A layer may give another number of rows than there are
    inputs, as the boxes of an image do.

    Args:
        model: any torch model.
        layer: name of the layer, see `find_layer`; it must run exactly once in a pass.
        inputs: see `batches_of`.
        side: "output" or "input" of the layer.
        batch_size: inputs in a pass.

    Raises `ScorecraftError` for an unknown layer, no inputs, a layer that does not run once a pass, and one that
    gives no tensors.
    """
    module = find_layer(model, layer)
    seen: list[tuple[Tensor, ...]] = []
    # What goes in is kept before the layer runs, and both are copied: layers may change tensors in place.
    if side == "input":
        handle = module.register_forward_pre_hook(lambda _, taken: seen.append(_tensors(layer, taken)))
    else:
        handle = module.register_forward_hook(lambda _, __, given: seen.append(_tensors(layer, given)))
    parameter = next(model.parameters(), None)
    try:
        with evaluating(model), torch.no_grad():
            for passes, part in enumerate(batches_of(inputs, batch_size)):
                model(_fitting(part, parameter))
                if len(seen) != passes + 1:
                    ran = len(seen) - passes
                    raise ScorecraftError(f"layer '{layer}': expected it to run once a pass, it ran {ran} times")
    finally:
        handle.remove()
    if not seen:
        raise ScorecraftError(f"layer '{layer}': expected at least 1 input")
    return tuple(torch.cat(values) for values in zip(*seen, strict=True))


def batches_of(inputs: Any, batch_size: int) -> Iterator[Any]:
    """Yield the inputs of a model in parts: those of an iterable as they come, the rest ``batch_size`` at a time.

    Args:
        inputs: a tensor or array, split along its first axis; a list, whose parts are lists; or any other iterable of
            batches, as a ``DataLoader`` is: of a batch that is a tuple or list, the first is taken.
        batch_size: inputs in a part.

    Raises `ScorecraftError` for a batch size below 1 or what is none of these.
    """
    if batch_size < 1:
        raise ScorecraftError(f"batch_size: expected at least 1, got {batch_size}")
    if is_batched(inputs):
        yield from (batch[0] if isinstance(batch, tuple | list) else batch for batch in inputs)
        return
    if not hasattr(inputs, "__len__"):
        raise ScorecraftError(f"inputs: expected a tensor, array, list or iterable, got {type(inputs).__name__}")
    for start in range(0, len(inputs), batch_size):
        part = inputs[start : start + batch_size]
        # Copied, since a file that is mapped cannot be written to, of which torch warns.
        yield part if isinstance(part, Tensor | Sequence) else torch.tensor(np.asarray(part))


def is_batched(inputs: Any) -> bool:
    """Return whether inputs are an iterable of batches, as a ``DataLoader`` is, and not rows that can be sliced."""
    return isinstance(inputs, Iterable) and not (isinstance(inputs, Tensor | Sequence) or hasattr(inputs, "__array__"))


def all_rows(x: Any, batch_size: int) -> Tensor:
    """Return inputs as one tensor."""
    return (
        torch.cat([torch.as_tensor(part) for part in batches_of(x, batch_size)])
        if is_batched(x)
        else torch.as_tensor(x)
    )


def noting_classes(batches: Iterable[Any], classes: list[Any]) -> Iterator[Any]:
    """Yield the inputs of batches, and keep the classes that stand beside them."""
    for batch in batches:
        inputs, *rest = batch if isinstance(batch, tuple | list) else (batch,)
        classes.extend(rest[:1])
        yield inputs


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and each of its modules back in its own mode afterwards."""
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, was in training:
            module.training = was


def _fitting(part: Any, parameter: Tensor | None) -> Any:
    """Return a batch on the model's device: numbers in the model's own precision, tokens and lists as they are."""
    if parameter is None or not isinstance(part, Tensor):
        return part
    return part.to(parameter.device, parameter.dtype if part.is_floating_point() else part.dtype)


def _tensors(layer: str, values: Any) -> tuple[Tensor, ...]:
    several = values if isinstance(values, tuple) else (values,)
    if not several or not all(isinstance(value, Tensor) and value.ndim for value in several):
        raise ScorecraftError(f"layer '{layer}': expected tensors, got {type(values).__name__}; name a layer inside it")
    return tuple(value.detach().to("cpu", copy=True) for value in several)
