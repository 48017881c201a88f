"""The part of the density-ratio reward."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Outcome
from scorecraft.rewards.density_ratio import Normalize
from scorecraft.rewards.density_ratio_reward import DensityRatioReward, PromptTo
from scorecraft.rewards.endpoint_logprobs import EndpointLogprobs
from scorecraft.rewards.finite import finite_scores
from scorecraft.rewards.judging_prompt import Exemplar, KeywordRouter, LogprobRouter, Router, judging_prompt
from scorecraft.rewards.response_logprobs import LogProbFn, PolicyLogprobs, messages_of
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


class Domain(BaseModel):
    """A domain of queries: how it is recognised, and its prompt.

    patterns: regular expressions, for the router "keyword". about: what it is about, for the router "logprob".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patterns: tuple[str, ...] = ()
    about: str = ""
    criterion: str | None = None
    exemplars: tuple[Exemplar, ...] = ()


@implements("density-ratio-reward")
@register("reward", "density-ratio")
class DensityRatio(Reward):
    """How much likelier the answer is under a strong model than under a weak one.

    strong, weak: a built-in policy, a folder, or a server as ``http://host:port/v1#model``; loaded at the first batch.
    normalize: divide by the strong model's tokens ("mean"), by characters ("char") or by nothing ("sum").
    system: an instruction before every query, for both models. criterion, exemplars: what to judge by.
    domains, router: prompts by kind of query, told apart by "keyword" or by the strong model itself ("logprob").
    apply_prompt_to: "both", or the "strong" model alone. mask_special: leave special tokens out of the sums.
    """

    strong: str = Field(min_length=1)
    weak: str = Field(min_length=1)
    normalize: Normalize = "mean"
    system: str | None = None
    criterion: str | None = None
    exemplars: tuple[Exemplar, ...] = ()
    domains: dict[str, Domain] = Field(default_factory=dict)
    router: Literal["keyword", "logprob"] = "keyword"
    apply_prompt_to: PromptTo = "both"
    mask_special: bool = False

    @model_validator(mode="after")
    def _domains_are_recognised(self) -> DensityRatio:
        if self.domains and (self.criterion or self.exemplars):
            raise ValueError("criterion and exemplars go to every query, and domains to their own: give one of the two")
        for name, domain in self.domains.items():
            if self.router == "keyword" and not domain.patterns:
                raise ValueError(f"domain '{name}' has no patterns, so router 'keyword' never finds it")
        if self.router == "keyword":
            try:
                self._keywords()
            except ScorecraftError as error:
                raise ValueError(str(error)) from error
        return self

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each answer, with both models' sums; an empty answer has no value."""
        if len(rollouts) == 0:
            return Scores.of([])
        texts, problems = rollouts.texts, rollouts.problem_of
        said = [row for row, text in enumerate(texts) if text.strip()]
        prompts = [messages_of(problems[row].prompt, self.system) for row in said]
        found = self._reward(context).ratios(prompts, [texts[row] for row in said])
        columns = {"strong": found.strong, "weak": found.weak, "tokens": found.tokens}
        missing = torch.full((len(texts),), float("nan"))
        place = torch.tensor(said, dtype=torch.int64)
        scores = finite_scores(
            torch.zeros(len(texts)).index_copy(0, place, found.values),
            {name: missing.index_copy(0, place, values) for name, values in columns.items()},
        )
        silent = torch.ones(len(texts), dtype=torch.bool).index_fill(0, place, False)
        outcomes = tuple(
            Outcome.ABSTAINED if quiet else outcome
            for quiet, outcome in zip(silent.tolist(), scores.outcomes, strict=True)
        )
        values = torch.where(silent, missing, scores.values)
        return Scores(values, outcomes, metrics={**scores.metrics, "empty": silent.float()})

    def _reward(self, context: Context) -> DensityRatioReward:
        strong = self._model(self.strong, context)
        # One name is one model, so that a reward which is always 0 is told.
        weak = strong if self.weak == self.strong else self._model(self.weak, context)
        return DensityRatioReward(
            strong, weak, self.normalize, self.criterion, self.exemplars,
            self._router(strong), {name: judging_prompt(d.criterion, d.exemplars) for name, d in self.domains.items()},
            self.apply_prompt_to,
        )  # fmt: skip

    def _router(self, strong: LogProbFn) -> Router | None:
        if not self.domains:
            return None
        if self.router == "keyword":
            return self._keywords()
        return LogprobRouter(strong, {name: domain.about for name, domain in self.domains.items()})

    def _keywords(self) -> KeywordRouter:
        return KeywordRouter({name: domain.patterns for name, domain in self.domains.items()})

    def _model(self, name: str, context: Context) -> Any:
        if name.startswith(("http://", "https://")):
            return EndpointLogprobs.parse(name)
        if context.load_policy is None:
            raise ScorecraftError(
                f"reward '{self.name}' needs the model '{name}', and nothing here loads models; use it in training, or "
                "take a server ('http://host:port/v1#model')"
            )
        return PolicyLogprobs(context.load_policy(name), self.mask_special)
