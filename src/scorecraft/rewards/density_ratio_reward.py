"""The density-ratio reward of conversations and responses: two models, a prompt for both, a router between prompts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.rewards.density_ratio import Normalize, density_ratio
from scorecraft.rewards.judging_prompt import Exemplar, Router, judging_prompt
from scorecraft.rewards.response_logprobs import (
    Conversation,
    LogProbFn,
    ResponseLogprobs,
    messages_of,
    padded,
)

PromptTo = Literal["both", "strong"]


@dataclass(frozen=True, eq=False)
class DensityRatios:
    """Rewards of responses with what they came from.

    values: the rewards, infinite where a response is impossible. strong, weak: each model's own sum, and tokens:
    the strong model's, so that a model alone can be compared with.
    """

    values: Float32[Tensor, " response"]
    strong: Float32[Tensor, " response"]
    weak: Float32[Tensor, " response"]
    tokens: Float32[Tensor, " response"]

    @property
    def infinite(self) -> int:
        """The number of responses that a model holds impossible."""
        return int(self.values.isinf().sum())


@implements("density-ratio-reward")
@dataclass(frozen=True, eq=False)
class DensityRatioReward:
    """How much likelier a response is under the strong model than under the weak one; nothing is trained.

    strong, weak: score responses, as `PolicyLogprobs`, `EndpointLogprobs` or any function like them.
    normalize: see `density_ratio`.
    criterion, exemplars: the prompt of every query, without a router.
    router: says which domain of ``domains`` a query belongs to; an unknown one gets no prompt.
    domains: prompts by domain, as `judging_prompt` returns them.
    apply_prompt_to: "both" models, as the paper does, or "strong" alone, which contrasts the prompts.
    """

    strong: LogProbFn
    weak: LogProbFn
    normalize: Normalize = "mean"
    criterion: str | None = None
    exemplars: tuple[Exemplar, ...] = ()
    router: Router | None = None
    domains: Mapping[str, str | None] = field(default_factory=dict)
    apply_prompt_to: PromptTo = "both"

    def __post_init__(self) -> None:
        if self.domains and self.router is None:
            raise ScorecraftError("DensityRatioReward: prompts by domain need a router that says which a query gets")
        prompted = self.apply_prompt_to == "strong" and (
            any(self.domains.values()) or judging_prompt(self.criterion, self.exemplars) is not None
        )
        if self.strong is self.weak and not prompted:
            warnings.warn(
                "DensityRatioReward: strong and weak are one model with one prompt, so the reward is identically 0",
                ScorecraftWarning,
                stacklevel=3,
            )

    def __call__(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Float32[Tensor, " response"]:
        """Return the reward of each response to its prompt."""
        return self.ratios(prompts, responses).values

    def ratios(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> DensityRatios:
        """Return the rewards with both models' sums.

        Args:
            prompts: what each response answers: a text, or messages.
            responses: the final assistant turns.
        """
        above, below = self._scores(prompts, responses)
        (strong, strong_mask), (weak, weak_mask) = padded(above), padded(below)
        characters = torch.tensor([len(response) for response in responses], dtype=torch.int64)
        values = density_ratio(strong, strong_mask, weak, weak_mask, normalize=self.normalize, characters=characters)
        above_sum, below_sum = strong.masked_fill(~strong_mask, 0.0).sum(1), weak.masked_fill(~weak_mask, 0.0).sum(1)
        return DensityRatios(values, above_sum, below_sum, strong_mask.sum(1).float())

    def explain(self, prompt: Conversation, response: str) -> list[tuple[str, float]]:
        """Return each token of a response with ``log pi_strong - log pi_weak``, where both models have the same tokens.

        Raises `ScorecraftError` where they do not.
        """
        (above,), (below,) = self._scores([prompt], [response])
        if above.tokens != below.tokens:
            raise ScorecraftError(
                f"explain: the strong model has {len(above.tokens)} tokens here and the weak one {len(below.tokens)}, "
                "not the same; only their sums can be compared"
            )
        kept = above.counts & below.counts
        ratio = torch.where(kept, above.logprobs - below.logprobs, torch.zeros_like(above.logprobs))
        return list(zip(above.tokens, ratio.tolist(), strict=True))

    def prompt_for(self, query: Conversation) -> str | None:
        """Return the system turn that a query gets."""
        if self.router is None:
            return judging_prompt(self.criterion, self.exemplars)
        asked = [turn["content"] for turn in messages_of(query) if turn["role"] == "user"]
        domain = self.router(asked[-1] if asked else "")
        return None if domain is None else self.domains.get(domain)

    def _scores(
        self, prompts: Sequence[Conversation], responses: Sequence[str]
    ) -> tuple[Sequence[ResponseLogprobs], Sequence[ResponseLogprobs]]:
        if len(prompts) != len(responses):
            raise ScorecraftError(f"DensityRatioReward: {len(prompts)} prompts, but {len(responses)} responses")
        systems = [self.prompt_for(prompt) for prompt in prompts]
        prompted = [messages_of(prompt, system) for prompt, system in zip(prompts, systems, strict=True)]
        plain = prompted if self.apply_prompt_to == "both" else [messages_of(prompt) for prompt in prompts]
        return self.strong(prompted, responses), self.weak(plain, responses)
