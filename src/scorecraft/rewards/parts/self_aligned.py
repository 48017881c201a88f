"""The part of the self-aligned reward."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

from jaxtyping import Float32
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.parts import register
from scorecraft.rewards.finite import finite_scores
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.self_aligned import (
    StandaloneContext,
    copied_share,
    linear_factor,
    sar_token_scores,
    self_aligned_reward,
    sequence_perplexity,
    standalone_logprobs,
    standalone_prompt,
)
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


@implements("self-aligned-reward")
@register("reward", "self-aligned")
class SelfAligned(Reward):
    """The relative drop in an answer's perplexity once the query is shown; meant to stand beside correctness.

    weight: the paper's alpha. Alone, the reward collapses: it does not know right from wrong.
    context: what stands before the stand-alone completion; see `standalone_prompt`.
    empty_query: what the user of "empty_chat" says.
    system, chat: as in the recipe's sampling, so that the two contexts differ in the query alone.
    clip, use_log, use_denominator, use_comparison, term_clip, eps: see `self_aligned_reward`.
    schedule: factors at the first and the last step of training, linear between.
    """

    asks_policy: ClassVar[bool] = True
    weight: float = 0.2
    context: StandaloneContext | tuple[int, ...] = "empty_chat"
    empty_query: str = ""
    system: str | None = None
    chat: Literal["auto", "always", "never"] = "auto"
    clip: tuple[float, float] | None = (-1.0, 1.0)
    use_log: bool = False
    use_denominator: bool = True
    use_comparison: bool = True
    term_clip: float | None = Field(default=None, gt=0)
    eps: float = Field(default=0.0, ge=0)
    schedule: tuple[float, float] = (1.0, 1.0)

    @model_validator(mode="after")
    def _clip_is_a_range(self) -> SelfAligned:
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ValueError(f"clip: expected the lower bound below the upper one, got {list(self.clip)}")
        return self

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each completion, with both perplexities and the share earned by copying the query."""
        if len(rollouts) == 0:
            return Scores.of([])
        policy = context.policy
        if policy is None:
            raise ScorecraftError(
                f"reward '{self.name}' scores each answer again without its query and needs the policy; "
                "it works in training, not on texts alone"
            )
        given, mask = rollouts.logprobs.float(), rollouts.mask
        alone = self._standalone(rollouts, policy) if self.use_comparison else given
        values = self_aligned_reward(
            given, alone, mask, clip=self.clip, use_log=self.use_log, use_denominator=self.use_denominator,
            use_comparison=self.use_comparison, term_clip=self.term_clip, eps=self.eps,
        )  # fmt: skip
        metrics = {"perplexity": sequence_perplexity(given, mask)}
        if self.use_comparison:
            query = [policy.encode(problem.prompt) for problem in rollouts.problem_of]
            metrics["standalone_perplexity"] = sequence_perplexity(alone, mask)
            metrics["copied_share"] = copied_share(sar_token_scores(given, alone, mask), rollouts.tokens, mask, query)
        return finite_scores(values * linear_factor(*self.schedule, context.step, context.steps), metrics)

    def _standalone(self, rollouts: Rollouts, policy: Any) -> Float32[Tensor, "rollout token"]:
        """Return the log-probabilities of the completions after the stand-alone context."""
        prompt = standalone_prompt(
            policy, context=self.context, empty_query=self.empty_query, system=self.system, chat=self.chat
        )
        asked = rollouts.prompt_tokens[0, -int(rollouts.prompt_lengths[0]) :].tolist()
        expected = policy.encode_prompt(rollouts.problems[0].prompt, system=self.system, chat=self.chat)
        if self.context == "empty_chat" and asked != expected:
            warnings.warn(
                f"reward '{self.name}': the prompts were not made with system {self.system!r} and chat '{self.chat}', "
                "so its two contexts differ in more than the query; set both as in the recipe's sampling",
                ScorecraftWarning,
                stacklevel=3,
            )
        rows = zip(rollouts.tokens.tolist(), rollouts.lengths.tolist(), strict=True)
        completions = [tokens[:length] for tokens, length in rows]
        found = standalone_logprobs(policy, completions, prompt=prompt, temperature=rollouts.temperature)
        return F.pad(found, (0, rollouts.mask.shape[1] - found.shape[1]))
