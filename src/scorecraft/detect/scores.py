"""How far an input is from what a classifier was trained on, read off its logits; higher means further out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.errors import ScorecraftError, ScorecraftWarning

LogitScore = Literal["msp", "max-logit", "entropy", "energy"]


def msp_score(logits: Float[Tensor, "*shape"], temperature: float = 1.0, dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return the negative maximum softmax probability, ``-max_c softmax(z / T)_c``.

    Args:
        logits: with the classes along ``dim``: ``[row, class]``, or ``[image, class, y, x]`` with ``dim=1``.
        temperature: T, above 0.
        dim: of the classes.

    Raises `ScorecraftError` for logits that are not finite, no class, or a temperature that is not above 0; warns of a
    single class, whose probability is always 1.

    Source: A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks, 2017,
    arXiv 1610.02136.
    """
    z = checked_logits("msp_score", logits, dim, temperature)
    _warn_of_one_class("msp_score", z, dim)
    return -(z / temperature).softmax(dim).amax(dim)


def max_logit_score(logits: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return the negative maximum logit, ``-max_c z_c``.

    Args and errors as `msp_score`.

    Source: Scaling Out-of-Distribution Detection for Real-World Settings, 2022, arXiv 1911.11132.
    """
    return -checked_logits("max_logit_score", logits, dim).amax(dim)


def entropy_score(logits: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return the entropy of the softmax in nats, ``-sum_c p_c log p_c``, where a p of 0 adds 0.

    Args, errors and warnings as `msp_score`.

    Source: Entropy Maximization and Meta Classification for Out-of-Distribution Detection in Semantic Segmentation,
    2021, arXiv 2012.06575.
    """
    z = checked_logits("entropy_score", logits, dim)
    _warn_of_one_class("entropy_score", z, dim)
    return torch.special.entr(z.softmax(dim)).sum(dim)


def energy_score(logits: Float[Tensor, "*shape"], temperature: float = 1.0, dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return the free energy, ``-T log sum_c exp(z_c / T)``.

    Args and errors as `msp_score`.

    Source: Energy-based Out-of-distribution Detection, 2020, arXiv 2010.03759, eq. 4.
    """
    z = checked_logits("energy_score", logits, dim, temperature)
    return -temperature * (z / temperature).logsumexp(dim)


LOGIT_SCORES: dict[LogitScore, Callable[..., Tensor]] = {
    "msp": msp_score,
    "max-logit": max_logit_score,
    "entropy": entropy_score,
    "energy": energy_score,
}


def odin_score(
    model: Callable[[Tensor], Any],
    inputs: Float[Tensor, "row ..."],
    temperature: float = 1000.0,
    epsilon: float = 0.0014,
    std: Sequence[float] | None = None,
) -> Float[Tensor, " row"]:
    """Return ODIN's score: the MSP at a high temperature of inputs moved a small step towards their own class.

    ``x' = x - epsilon * sign(grad_x CE(z(x) / T, argmax z(x)))``, score ``-max softmax(z(x') / T)``.

    Args:
        model: returns logits ``[row, class]``; in evaluation mode. Its parameters get no gradient.
        inputs: ``[row, channel, ...]``, or any shape where ``std`` is not given.
        temperature: T, above 0.
        epsilon: length of the step in units of the inputs before they were divided by ``std``; .0014 in the paper's
            search for CIFAR-10.
        std: standard deviation that each channel was divided by, by which the step is divided too.

    Raises `ScorecraftError` for a model in training mode, logits that are not ``[row, class]``, a std for another
    number of channels, and what `msp_score` refuses.

    Source: Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks, 2018,
    arXiv 1706.02690, eq. 2.
    """
    if isinstance(model, nn.Module) and model.training:
        raise ScorecraftError("odin_score: the model is in training mode; call model.eval() first")
    with torch.enable_grad():
        moved = inputs.detach().clone().requires_grad_()
        logits = model(moved)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ScorecraftError(f"odin_score: expected a model that returns logits [row, class], got {found}")
        tempered = checked_logits("odin_score", logits, -1, temperature) / temperature
        loss = F.cross_entropy(tempered, tempered.argmax(-1), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moved)
    step = gradient.sign()
    if std is not None:
        if inputs.ndim < 2 or len(std) != inputs.shape[1] or not all(deviation > 0 for deviation in std):
            raise ScorecraftError(
                f"odin_score: expected a std above 0 for every channel, got {list(std)} for inputs of shape "
                f"{tuple(inputs.shape)}"
            )
        step = step / step.new_tensor(list(std)).view(1, -1, *([1] * (step.ndim - 2)))
    with torch.no_grad():
        return msp_score(model(inputs.detach() - epsilon * step), temperature)


def checked_logits(name: str, logits: Tensor, dim: int, temperature: float = 1.0) -> Tensor:
    """Return logits in float32 at least, in which a sum of exponentials is exact enough; refuse what is no logits."""
    if not logits.is_floating_point() or logits.ndim < 1 or not -logits.ndim <= dim < logits.ndim:
        raise ScorecraftError(
            f"{name}: expected logits in floating point with the classes along dim {dim}, got {logits.dtype} of shape "
            f"{tuple(logits.shape)}"
        )
    if logits.shape[dim] == 0:
        raise ScorecraftError(f"{name}: logits of shape {tuple(logits.shape)} have no class along dim {dim}")
    if not temperature > 0:
        raise ScorecraftError(f"{name}: expected a temperature above 0, got {temperature}")
    bad = ~torch.isfinite(logits)
    if bad.any():
        place = tuple(bad.nonzero()[0].tolist())
        raise ScorecraftError(f"{name}: logit {place} is {logits[place].item()}; expected finite numbers")
    return logits if logits.dtype == torch.float64 else logits.float()


def _warn_of_one_class(name: str, logits: Tensor, dim: int) -> None:
    if logits.shape[dim] == 1:
        warnings.warn(f"{name}: with a single class every score is the same", ScorecraftWarning, stacklevel=3)
