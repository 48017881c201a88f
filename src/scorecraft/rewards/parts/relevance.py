"""The part of the regularised relevance reward."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, PrivateAttr, model_validator

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Outcome, Problem
from scorecraft.rewards.embedders import (
    CenteredEmbedder,
    HashEmbedder,
    LsaEmbedder,
    MeanPooledEmbedder,
    contriever,
    lm_mean,
)
from scorecraft.rewards.relevance import (
    CONSTRAINED,
    OPEN_ENDED,
    Embedder,
    R3Reward,
    clean_query,
    copied_share,
    query_type,
)
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


@implements("relevance-reward")
@register("reward", "relevance")
class RelevanceReward(Reward):
    """How relevant a completion is to its prompt, times its length and its freedom from repetition (R^3).

    embedder: "hash" and "lsa" need no model; "lm-mean" mean-pools ``model`` (a folder, a hub name, or "reference" for
        the recipe's reference policy); "contriever" is the paper's.
    dim: of hash and lsa. center: take the mean over the first ``fit_on`` training prompts off all vectors; lsa is
        fitted on those prompts and their solutions.
    query_types: "auto" reads ``query_type`` of the problem's metadata, or goes by rule; "open", "closed" hold for all.
    The reference of a query with a fixed answer is the problem's solution, or its answer where there is none.
    max_len, length, repetition, relevance, branching, strip, in_end: see `R3Reward`.
    """

    embedder: Literal["hash", "lsa", "lm-mean", "contriever"] = "hash"
    model: str | None = None
    dim: int = Field(4096, ge=2)
    center: bool = False
    fit_on: int = Field(256, ge=2)
    query_types: Literal["auto", "open", "closed"] = "auto"
    max_len: int = Field(512, ge=1)
    length: bool = True
    repetition: bool = True
    relevance: bool = True
    branching: bool = True
    strip: bool = True
    in_end: float | None = Field(None, gt=0)
    system: str | None = None

    _embed: Embedder | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _fits_together(self) -> RelevanceReward:
        if (self.embedder == "lm-mean") != (self.model is not None):
            raise ValueError("embedder: lm-mean and model belong together; give both or neither")
        if self.embedder == "hash" and self.dim & (self.dim - 1):
            raise ValueError(f"embedder hash needs a dim that is a power of 2, such as 4096, got {self.dim}")
        if self.branching and not self.relevance:
            raise ValueError("without relevance nothing is left of the branch for fixed answers; set branching: false")
        return self

    def traits(self) -> Traits:
        """Return that its factors matter by size, and that length without the penalty pays for repetition."""
        own = super().traits() + Traits(
            relies_on=(Note(Trait.MAGNITUDE, "it pays in proportion to relevance and length"),)
        )
        if self.repetition or not self.length or self.weight <= 0:
            return own
        text = "relevance times length pays for saying the query over and over; set repetition: true"
        return own + Traits(brings=(Note(Trait.FARMING, text, "Regularized Relevance Reward, 2024, arXiv 2402.03469"),))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each completion; its factors and what it copies from the prompt are in the metrics."""
        problems = rollouts.problem_of
        queries = [clean_query(problem.prompt, system=self.system) for problem in problems]
        reward = R3Reward(
            self._opened(context), self.max_len, self.length, self.repetition, self.relevance, self.branching,
            self.strip, self.in_end,
        )  # fmt: skip
        found = reward.components(
            queries,
            rollouts.texts,
            qtypes=[self._type(problem, query) for problem, query in zip(problems, queries, strict=True)],
            references=[problem.gold or problem.answer for problem in problems],
        )
        copied = [copied_share(query, text) for query, text in zip(queries, rollouts.texts, strict=True)]
        metrics = {name: values.float() for name, values in found.items() if name != "reward"}
        metrics["copied"] = torch.tensor(copied, dtype=torch.float32)
        return Scores(found["reward"].float(), (Outcome.SCORED,) * len(queries), metrics=metrics)

    def _type(self, problem: Problem, query: str) -> str:
        if self.query_types != "auto":
            return OPEN_ENDED if self.query_types == "open" else CONSTRAINED
        return str(problem.metadata.get("query_type") or query_type(query))

    def _opened(self, context: Context) -> Embedder:
        """Return the embedder, made at its first use: it depends on the options and the task alone."""
        if self._embed is None:
            embed = self._made(context)
            if self.center:
                embed = CenteredEmbedder.fit(embed, [clean_query(p.prompt) for p in self._first(context)])
            self._embed = embed
        return self._embed

    def _made(self, context: Context) -> Embedder:
        if self.embedder == "hash":
            return HashEmbedder(self.dim)
        if self.embedder == "lsa":
            texts = [text for p in self._first(context) for text in (clean_query(p.prompt), p.gold or p.answer)]
            return LsaEmbedder.fit(texts, self.dim)
        if self.embedder == "contriever":
            return contriever()
        if self.model != "reference":
            return lm_mean(str(self.model))
        if context.reference is None:
            raise ScorecraftError("reward 'relevance': model 'reference' needs a 'kl' section in the recipe")
        frozen: Any = context.reference
        return MeanPooledEmbedder(frozen.model, frozen.tokenizer)

    def _first(self, context: Context) -> list[Problem]:
        return context.task.problems("train", 0, self.fit_on)
