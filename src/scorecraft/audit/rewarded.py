"""Scoring written completions by a whole composition of rewards, so that place and luck can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.audit.honest_work import HonestWork
from scorecraft.context import Context
from scorecraft.problem import Problem
from scorecraft.rewards.combination import Combination
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts_from_texts import rollouts_from_texts
from scorecraft.tasks.task import Task

Table = NDArray[np.float64]

PROBLEMS_AT_ONCE = 64


@dataclass(frozen=True)
class Rewarded:
    """What is probed: rewards with transforms and their combination, on a task.

    policy: for rewards that ask one, and for its tokenizer; without it a token is a character. load_policy: finds other
    policies for rewards that name one.
    """

    task: Task
    rewards: Mapping[str, Reward]
    combination: Combination
    policy: Any = None
    load_policy: Callable[[str], Any] | None = None

    def score(
        self, problems: Sequence[Problem], texts: Sequence[Sequence[str]], generator: torch.Generator
    ) -> tuple[Table, dict[str, Table]]:
        """Return the totals and every reward's weighted value, ``[problem, completion]``; NaN where there is none.

        Args:
            problems: each with its own completions, which are one group.
            texts: as many for each problem.
            generator: of the random numbers that rewards draw.
        """
        totals: list[Table] = []
        values: dict[str, list[Table]] = {name: [] for name in self.rewards}
        for start in range(0, len(problems), PROBLEMS_AT_ONCE):
            part = slice(start, start + PROBLEMS_AT_ONCE)
            total, each = self._score_batch(problems[part], texts[part], generator)
            totals.append(total)
            for name, table in each.items():
                values[name].append(table)
        return np.concatenate(totals), {name: np.concatenate(tables) for name, tables in values.items()}

    def _score_batch(
        self, problems: Sequence[Problem], texts: Sequence[Sequence[str]], generator: torch.Generator
    ) -> tuple[Table, dict[str, Table]]:
        flat = [text for row in texts for text in row]
        shape = (len(problems), len(texts[0]))
        tokens: dict[str, Any] = {}
        if self.policy is not None:
            end = self.policy.tokenizer.eos_token_id
            tokens["token_ids"] = [[*self.policy.encode(text), *([] if end is None else [end])] for text in flat]
            tokens["prompt_ids"] = [self.policy.encode_prompt(problem.prompt) for problem in problems]
        group = np.arange(shape[0]).repeat(shape[1]).tolist()
        rollouts = rollouts_from_texts([problem.prompt for problem in problems], flat, problems, group, **tokens)
        context = Context(self.task, generator, policy=self.policy, load_policy=self.load_policy)
        scored = {name: (part, part.score(rollouts, context)) for name, part in self.rewards.items()}
        table = self.combination(scored, rollouts, context)
        totals = torch.where(table.valid, table.total, torch.nan).double().numpy().reshape(shape)
        values = {
            name: (part.weight * scores.values).double().numpy().reshape(shape)
            for name, (part, scores) in scored.items()
        }
        return totals, values


@dataclass(frozen=True)
class Passes:
    """Three scorings of the same completions: in order, in reverse order, and in order again.

    Each has the totals and every reward's weighted value, ``[problem, completion]``.
    """

    forward: tuple[Table, dict[str, Table]]
    backward: tuple[Table, dict[str, Table]]
    again: tuple[Table, dict[str, Table]]

    @classmethod
    def of(
        cls, rewarded: Rewarded, works: Sequence[HonestWork], texts: Sequence[Sequence[str]], seed: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Passes:  # fmt: skip
        """Score the completions of every problem three times; ``progress`` is told how many times are done."""
        problems = [work.problem for work in works]
        generator = torch.Generator().manual_seed(seed)
        done: list[tuple[Table, dict[str, Table]]] = []
        for number, turned in enumerate((False, True, False)):
            if progress:
                progress(number, 3)
            shown = [row[::-1] if turned else row for row in texts]
            totals, values = rewarded.score(problems, shown, generator)
            if turned:
                totals, values = totals[:, ::-1], {name: table[:, ::-1] for name, table in values.items()}
            done.append((totals, values))
        if progress:
            progress(3, 3)
        return cls(*done)

    def totals(self) -> Table:
        """Return the totals, averaged over both orders."""
        return (self.forward[0] + self.backward[0]) / 2

    def parts(self) -> dict[str, Table]:
        """Return every reward's weighted value, averaged over both orders; 0 where it has none."""
        return {
            name: (np.nan_to_num(table) + np.nan_to_num(self.backward[1][name])) / 2
            for name, table in self.forward[1].items()
        }
