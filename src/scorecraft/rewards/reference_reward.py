"""The reward of what is just good enough, prompt by prompt, from rewards of the base policy."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

ReferenceKind = Literal["auto", "quantile", "gaussian-quantile", "mean", "constant", "response"]
KINDS: tuple[ReferenceKind, ...] = ("auto", "quantile", "gaussian-quantile", "mean", "constant", "response")
QUANTILE = 0.85
# From so many samples on, "auto" takes the empirical quantile.
MANY = 100


@implements("reward-transform")
def reference_of(
    base_rewards: Float[Tensor, "prompt sample"], *, kind: ReferenceKind = "auto", q: float = QUANTILE
) -> Float[Tensor, " prompt"]:
    """Return the reference reward of every prompt.

    "gaussian-quantile": ``mean + z_q std`` (population standard deviation); "quantile": the empirical quantile,
    linearly interpolated; "auto": the first below 100 samples, else the second; "mean"; "response": the reward of the
    one given reference answer, such as a canned refusal.

    Args:
        base_rewards: rewards of the base policy's samples at every prompt.
        kind: how the reference is taken from them.
        q: which quantile, in (0, 1).

    Raises `ScorecraftError` for rewards that are not finite, fewer than 2 samples for a quantile, none for a mean,
    other than one for "response", a q outside (0, 1), or an unknown kind.

    Source: Transforming and Combining Rewards for Aligning Large Language Models, 2024, arXiv 2402.00742.
    """
    _check_kind(kind, q)
    if kind == "constant":
        raise ScorecraftError("reference reward: a constant is not estimated; give it as it is")
    samples = base_rewards.shape[1]
    if not bool(base_rewards.isfinite().all()):
        row = int((~base_rewards.isfinite()).any(1).nonzero()[0, 0])
        raise ScorecraftError(f"reference reward: prompt {row} has a reward that is not a finite number")
    if kind == "response" and samples != 1:
        raise ScorecraftError(f"reference reward: 'response' takes the reward of one answer a prompt, got {samples}")
    least = 1 if kind in ("mean", "response") else 2
    if samples < least:
        raise ScorecraftError(f"reference reward: '{kind}' needs at least {least} samples a prompt, got {samples}")
    if kind in ("mean", "response"):
        return base_rewards.mean(1)
    if kind == "quantile" or (kind == "auto" and samples >= MANY):
        return base_rewards.quantile(q, dim=1)
    z = torch.special.ndtri(torch.tensor(q, dtype=torch.float64)).item()
    return base_rewards.mean(1) + z * base_rewards.std(1, correction=0)


@implements("reward-transform")
class ReferenceReward:
    """References by prompt, fitted to the base policy's rewards.

    kind, q: see `reference_of`; "constant" gives ``value`` for every prompt and needs no fit. fallback: "global" gives
    a prompt that was not fitted the mean of the fitted references, with a warning; None refuses it.

    Raises `ScorecraftError` for options out of their range.

    Source: Transforming and Combining Rewards for Aligning Large Language Models, 2024, arXiv 2402.00742.
    """

    def __init__(
        self,
        kind: ReferenceKind = "auto",
        *,
        q: float = QUANTILE,
        value: float = 0.0,
        fallback: Literal["global"] | None = None,
    ) -> None:
        _check_kind(kind, q)
        if not abs(value) < float("inf"):
            raise ScorecraftError(f"reference reward: value is {value:g}; expected a finite number")
        if fallback not in (None, "global"):
            raise ScorecraftError(f"reference reward: unknown fallback '{fallback}'; expected 'global' or None")
        self.kind: ReferenceKind = kind
        self.q, self.value, self.fallback = q, value, fallback
        self._references: dict[Hashable, float] = {}

    @property
    def references(self) -> Mapping[Hashable, float]:
        """What was fitted, by prompt."""
        return self._references

    def fit(self, base_rewards: Float[Tensor, "prompt sample"], prompt_ids: Sequence[Hashable]) -> ReferenceReward:
        """Take the references of these prompts from the base policy's rewards, over those of earlier fits.

        Raises `ScorecraftError` as `reference_of`, and for numbers of rows and prompts that differ.
        """
        if len(prompt_ids) != len(base_rewards):
            raise ScorecraftError(
                f"reference reward: {len(base_rewards)} rows of rewards for {len(prompt_ids)} prompts"
            )
        if self.kind != "constant":
            found = reference_of(base_rewards, kind=self.kind, q=self.q).tolist()
            self._references |= dict(zip(prompt_ids, found, strict=True))
        return self

    def __call__(self, prompt_ids: Sequence[Hashable]) -> Float[Tensor, " prompt"]:
        """Return the reference of every prompt.

        Raises `ScorecraftError` for a prompt without one; with the fallback, only where nothing was fitted at all.
        """
        if self.kind == "constant":
            return torch.full((len(prompt_ids),), self.value)
        missing = [prompt for prompt in prompt_ids if prompt not in self._references]
        if missing and (self.fallback is None or not self._references):
            raise ScorecraftError(
                f"reference reward: nothing was fitted for prompt {missing[0]!r}; fit it to rewards of the base "
                "policy, or take fallback 'global'"
            )
        common = sum(self._references.values()) / max(len(self._references), 1)
        if missing:
            warnings.warn(
                "reference reward: prompts without rewards of the base policy get the mean of the other prompts' "
                "references",
                ScorecraftWarning,
                stacklevel=2,
            )
        return torch.tensor([self._references.get(prompt, common) for prompt in prompt_ids], dtype=torch.float32)


def _check_kind(kind: str, q: float) -> None:
    if kind not in KINDS:
        raise ScorecraftError(f"reference reward: unknown kind '{kind}'; expected one of {', '.join(KINDS)}")
    if not 0 < q < 1:
        raise ScorecraftError(f"reference reward: q is {q:g}; expected a quantile between 0 and 1")
