"""Hidden states between a model's layers, and the norm and unembedding that turn them into distributions.

Works with any Hugging Face causal model, through its own forward pass and whatever it names its norm. The logits of
a batch are never held; whoever wants them unembeds the states that are of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError

# What architectures call the norm after their last layer, and where it may lie below the base model.
NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f")
INSIDE = ("", "decoder", "language_model")


@dataclass(frozen=True, eq=False)
class Lens:
    """How hidden states become logits: ``unembed(norm(h))``."""

    norm: Callable[[Tensor], Tensor]
    unembed: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class HiddenStates:
    """What a forward pass left between the layers.

    layers: which, counted from 1.
    late: states after each of them, before the final norm.
    final: states after the last layer and the final norm.
    real: True before the padding; what stands elsewhere means nothing.
    attention: from token (row) to token (column), mean over the heads of the same layers; None where not asked for.
    """

    layers: tuple[int, ...]
    late: Float[Tensor, "layer row token width"]
    final: Float[Tensor, "row token width"]
    real: Bool[Tensor, "row token"]
    attention: Float32[Tensor, "row token token"] | None


def layer_count(model: Any) -> int:
    """Return how many layers a model has."""
    return int(model.config.get_text_config().num_hidden_layers)


def lens_of(model: Any) -> Lens:
    """Return a model's final norm and unembedding.

    Args:
        model: a Hugging Face causal model.

    Raises `ScorecraftError` where it has none that is found; give a `Lens` of two callables then.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    base = getattr(model, "base_model", model)
    places = [base, *(getattr(base, name) for name in INSIDE if name and hasattr(base, name))]
    named = [getattr(place, name, None) for place in places for name in NORMS]
    norms = [norm for norm in named if isinstance(norm, torch.nn.Module)]
    if head is None or not norms:
        lacking = "unembedding" if head is None else f"final norm (looked for {', '.join(NORMS)})"
        raise ScorecraftError(
            f"{type(model).__name__}: found no {lacking}; give them as lens=Lens(norm, unembed), two callables that "
            "turn the states of a layer into logits"
        )
    return Lens(norms[0], head)


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Let a model compute its attention in the plain way, which alone can return it, and restore what it had.

    Raises `ScorecraftError` for a model that cannot.
    """
    before = getattr(model.config, "_attn_implementation", None)
    if before == "eager":
        yield
        return
    try:
        model.set_attn_implementation("eager")
    except (AttributeError, ValueError, NotImplementedError) as error:
        raise ScorecraftError(
            f"{type(model).__name__}: cannot compute attention eagerly ({str(error).splitlines()[0]}); load it with "
            "attn_implementation='eager', or go without attention"
        ) from error
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@torch.no_grad()
def hidden_states(
    model: Any,
    tokens: Int64[Tensor, "row token"],
    lengths: Int64[Tensor, " row"],
    layers: Sequence[int],
    *,
    attention: bool = False,
    lens: Lens | None = None,
) -> HiddenStates:
    """Return the states after the given layers and after the final norm, without gradient.

    Args:
        model: a Hugging Face causal model (of a `Policy`: its ``model``).
        tokens: rows padded on the right.
        lengths: tokens of each row before its padding, at least one.
        layers: counted from 1; the last one is always there as ``final``.
        attention: also return the attention; the model then computes it eagerly, which takes
            ``layers * heads * token^2`` numbers for each row.
        lens: norm and unembedding; those of `lens_of` where not given.

    Raises `ScorecraftError` for a layer that is not there or the last, a model that does not return its states or its
    attention, or whose logits are not the unembedding of its last states (as with a cap on logits that ``lens`` lacks).
    """
    count = layer_count(model)
    outside = [layer for layer in layers if not 1 <= layer < count]
    if outside:
        raise ScorecraftError(f"hidden_states: layer {outside[0]} of a model of {count}; expected 1 to {count - 1}")
    lens = lens or lens_of(model)
    real = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    options = {"attention_mask": real.long(), "use_cache": False, "logits_to_keep": 1, "output_hidden_states": True}
    if attention:
        with eager_attention(model):
            output = model(input_ids=tokens, output_attentions=True, **options)
    else:
        output = model(input_ids=tokens, **options)
    states = output.hidden_states
    if states is None or len(states) != count + 1:
        raise ScorecraftError(
            f"{type(model).__name__}: returned {0 if states is None else len(states)} hidden states, expected the "
            f"embeddings and one for each of its {count} layers"
        )
    _check_lens(model, lens, states[-1], output.logits)
    late = torch.stack([states[layer] for layer in layers]) if layers else states[-1][None][:0]
    attended = _mean_attention(model, output.attentions, layers, count) if attention else None
    return HiddenStates(tuple(layers), late, states[-1], real, attended)


def _mean_attention(model: Any, attentions: Any, layers: Sequence[int], count: int) -> Tensor:
    """Return the mean over heads and the given layers."""
    if not attentions or len(attentions) != count or any(attentions[layer - 1] is None for layer in layers):
        raise ScorecraftError(
            f"{type(model).__name__}: returned no attention of every layer; load it with attn_implementation='eager', "
            "or go without attention"
        )
    return torch.stack([attentions[layer - 1].float().mean(1) for layer in layers]).mean(0)


def _check_lens(model: Any, lens: Lens, final: Tensor, logits: Tensor) -> None:
    """Raise where unembedding the last states does not give the model's own logits."""
    if not len(final):
        return
    found, own = lens.unembed(final[:1, -1]).float(), logits[:1, -1].float()
    close = 1e-3 if final.dtype == torch.float32 else 5e-2
    if found.shape != own.shape or not torch.allclose(found, own, rtol=close, atol=close, equal_nan=True):
        raise ScorecraftError(
            f"{type(model).__name__}: its logits are not the unembedding of its last hidden states, as where they are "
            "scaled or capped; give lens=Lens(norm, unembed) whose unembed does all that follows the final norm"
        )
