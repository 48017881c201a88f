"""Log-sigmoid-centred rewards: the log-probability of being better than a reference, and their logical and and or."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

# From so many rewards on, all of them in [0, 1] says that they are no logits.
ENOUGH_TO_TELL = 8


@implements("reward-transform")
def lsc(
    r: Float[Tensor, "*reward"], r_ref: Float[Tensor, "*reference"] | float, *, temperature: float = 1.0
) -> Float[Tensor, "*utility"]:
    """Return ``u = log sigmoid((r - r_ref) / temperature)``, the log-probability that an answer beats the reference.

    The slope ``1 - sigmoid(r - r_ref)`` is 1 far below the reference, 1/2 at it, and goes to 0 above: rewards count in
    full until they are good, and hardly beyond. A shift of a prompt's rewards changes nothing, but their scale does:
    they must be Bradley-Terry logits. With one reward it changes no best-of-n, being monotone; under an advantage
    standardised by group its curvature stays. A KL coefficient means another thing with it than without: compare at
    equal KL divergence from the base policy.

    Args:
        r: rewards, logits; infinite ones are allowed.
        r_ref: the reward of what is just good enough, of a shape that broadcasts with ``r``, finite.
        temperature: divides the difference, above 0.

    Raises `ScorecraftError` for NaN, a reference that is not finite, a temperature that is not above 0, or shapes that
    do not broadcast. Warns where all of 8 or more rewards are in [0, 1], which are no logits: nothing saturates then.

    Source: Transforming and Combining Rewards for Aligning Large Language Models, 2024, arXiv 2402.00742.
    """
    if not 0 < temperature < float("inf"):
        raise ScorecraftError(f"log-sigmoid: temperature is {temperature:g}; expected a number above 0")
    reference = torch.as_tensor(r_ref, dtype=r.dtype, device=r.device)
    _check_numbers("reward", r, finite=False)
    _check_numbers("reference", reference, finite=True)
    try:
        torch.broadcast_shapes(r.shape, reference.shape)
    except RuntimeError:
        shapes = f"{tuple(reference.shape)} and {tuple(r.shape)}"
        raise ScorecraftError(f"log-sigmoid: references and rewards do not broadcast: {shapes}") from None
    if r.numel() >= ENOUGH_TO_TELL and bool(((r >= 0) & (r <= 1)).all()):
        warnings.warn(
            "log-sigmoid: all rewards are in [0, 1], so they are no logits and good ones hardly differ from bad ones; "
            "give log(p / (1 - p)) of probabilities, or a small temperature",
            ScorecraftWarning,
            stacklevel=2,
        )
    return F.logsigmoid((r - reference) / temperature)


@implements("reward-transform")
def combine_and(
    rewards: Float[Tensor, "property ..."],
    refs: Float[Tensor, "property ..."] | Sequence[float],
    *,
    weights: Sequence[float] | None = None,
) -> Float[Tensor, "*answer"]:
    """Return ``sum_m w_m log sigmoid(r_m - ref_m)``: with weights 1 the log-probability that all properties are good.

    That is so where judgements of the properties are independent given prompt and answer. A weight is the inverse of
    the property's own KL coefficient.

    Args:
        rewards: one row for each property, logits.
        refs: references, one for each property or of a shape that broadcasts with ``rewards``.
        weights: one for each property, at least 0; None for 1 each.

    Raises `ScorecraftError` for no property, weights that are negative or not one for each property, and as `lsc`.

    Source: Transforming and Combining Rewards for Aligning Large Language Models, 2024, arXiv 2402.00742.
    """
    utilities = _utilities("combine_and", rewards, refs)
    if weights is None:
        return utilities.sum(0)
    if len(weights) != len(rewards) or not all(0 <= weight < float("inf") for weight in weights):
        raise ScorecraftError(
            f"combine_and: expected {len(rewards)} weights of at least 0, one for each property, got {list(weights)}"
        )
    # A property of weight 0 does not count, not even where it is hopeless (0 times minus infinity).
    kept = [weight * row for weight, row in zip(weights, utilities, strict=True) if weight > 0]
    return torch.stack(kept).sum(0) if kept else torch.zeros_like(utilities[0])


@implements("reward-transform")
def combine_or(
    rewards: Float[Tensor, "property ..."], refs: Float[Tensor, "property ..."] | Sequence[float]
) -> Float[Tensor, "*answer"]:
    """Return ``log(1 - prod_m (1 - sigmoid(r_m - ref_m)))``: the log-probability that some property is good.

    Args:
        rewards: one row for each property, logits.
        refs: references, one for each property or of a shape that broadcasts with ``rewards``.

    Raises as `combine_and`.

    Source: the companion of the sum in arXiv 2402.00742 by De Morgan's law; it is not in the paper.
    """
    utilities = _utilities("combine_or", rewards, refs)
    centred = torch.as_tensor(rewards) - _references(rewards, refs)
    found = utilities[0]
    for good, difference in zip(utilities[1:], centred[1:], strict=True):
        # P(a or b) = P(b) + (1 - P(b)) P(a), in logarithms, so that nothing is lost near 0 or 1.
        found = torch.logaddexp(good, F.logsigmoid(-difference) + found)
    return found.clamp(max=0)


@implements("reward-transform")
def bon_tilt(u: Float[Tensor, "prompt sample"], gamma: float) -> Float[Tensor, "prompt sample"]:
    """Return ``softmax(u / gamma)`` over the samples: the policy that maximises ``E[u] - gamma KL`` among them.

    Args:
        u: utilities of samples of the base policy; minus infinity for what must not be chosen.
        gamma: weight of the KL divergence from the base policy, above 0.

    Raises `ScorecraftError` for NaN, plus infinity, a prompt whose utilities are all minus infinity, no samples, or a
    gamma that is not above 0.

    Source: arXiv 2402.00742, section 2 (the optimum of KL-regularised reinforcement learning).
    """
    if not 0 < gamma < float("inf"):
        raise ScorecraftError(f"bon_tilt: gamma is {gamma:g}; expected a number above 0")
    _check_numbers("utility", u, finite=False)
    best = u.max(1).values if u.shape[1] else torch.full((len(u),), -float("inf"))
    if bool(best.isinf().any()):
        row = int(best.isinf().nonzero()[0, 0])
        raise ScorecraftError(f"bon_tilt: prompt {row} has no sample of finite utility, or one of plus infinity")
    return ((u - best[:, None]) / gamma).softmax(1)


def _utilities(function: str, rewards: Tensor, refs: Tensor | Sequence[float]) -> Tensor:
    if not len(rewards):
        raise ScorecraftError(f"{function}: no property to combine; give at least one row of rewards")
    return lsc(rewards, _references(rewards, refs))


def _references(rewards: Tensor, refs: Tensor | Sequence[float]) -> Tensor:
    if isinstance(refs, Tensor):
        return refs.to(rewards.dtype)
    if len(refs) != len(rewards):
        raise ScorecraftError(f"log-sigmoid: {len(refs)} references for {len(rewards)} properties; give one for each")
    return torch.tensor(list(refs), dtype=rewards.dtype).view(-1, *[1] * (rewards.ndim - 1))


def _check_numbers(what: str, values: Tensor, *, finite: bool) -> None:
    bad = ~values.isfinite() if finite else values.isnan()
    if bool(bad.any()):
        place = int(bad.flatten().nonzero()[0, 0])
        found = float(values.flatten()[place])
        raise ScorecraftError(f"log-sigmoid: {what} {place} is {found:g}; leave out what has no value")
