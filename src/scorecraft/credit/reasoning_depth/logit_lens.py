"""The logit lens: the next-token distribution that a model would give if it stopped after an earlier layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jaxtyping import Float
from torch import Tensor

from scorecraft.errors import ScorecraftError

Map = Callable[[Tensor], Tensor]
"""A function of hidden states, such as a model's final norm or its unembedding."""


def late_layers(count: int) -> tuple[int, ...]:
    """Return every second layer j with ``count / 2 <= j < count``: 15, 17, ..., 29 of 30.

    Args:
        count: number of layers; they are counted from 1, and the last is the model's own output.

    Raises `ScorecraftError` for a model of fewer than two layers.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886; which layers
    it takes is not known.
    """
    if count < 2:
        raise ScorecraftError(f"late_layers: a model of {count} layers has none before its last; expected at least 2")
    return tuple(range((count + 1) // 2, count, 2))


def checked_layers(layers: Sequence[int], count: int) -> tuple[int, ...]:
    """Return the layers in order, once each.

    Args:
        layers: counted from 1.
        count: number of layers of the model.

    Raises `ScorecraftError` for no layer, the last one (which would be compared with itself) or one that is not there.
    """
    chosen = tuple(sorted(set(layers)))
    if not chosen:
        raise ScorecraftError("reasoning depth: no layers are given; expected some of 1 to the one before the last")
    if chosen[0] < 1 or chosen[-1] >= count:
        raise ScorecraftError(
            f"reasoning depth: layers {list(chosen)} of a model of {count}; expected numbers from 1 to {count - 1}, "
            "since the last layer is what the others are compared with"
        )
    return chosen


def logit_lens(
    hidden: Float[Tensor, "layer token width"], norm: Map, unembed: Map, chunk: int = 64
) -> Iterator[Tensor]:
    """Yield ``log softmax(unembed(norm(h_j(t))))`` for ``chunk`` tokens at a time, ``[layer, chunk, vocabulary]``.

    Args:
        hidden: states between layers, before the final norm.
        norm: the model's final norm.
        unembed: hidden states to logits; a callable, not a matrix, since some heads have a bias or a soft cap.
        chunk: how many tokens' distributions are held at a time.

    Source: nostalgebraist, 2020, interpreting GPT: the logit lens.
    """
    if chunk < 1:
        raise ScorecraftError(f"logit_lens: expected a chunk of at least 1 token, got {chunk}")
    for start in range(0, hidden.shape[1], chunk):
        yield unembed(norm(hidden[:, start : start + chunk])).float().log_softmax(-1)
