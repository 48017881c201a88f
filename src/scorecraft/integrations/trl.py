"""Rewards in TRL: one function for a whole recipe, or one for each of its rewards.

    from scorecraft.integrations.trl import reward_function
    GRPOTrainer(model, reward_funcs=[reward_function("recipe.yaml")], train_dataset=...)

The data set needs the columns that the recipe's rewards look at: by default ``answer``, and where the task's checker
wants them ``gold`` and ``metadata`` (a mapping, or JSON text of one, which no data set format bends). Every further
column is handed on with the metadata. `rows` makes such a data set of a recipe's own task.

A reward that does not apply, abstains or fails gives None, which TRL leaves out; how often is logged, and counted in
``RewardFunction.counts``. Completions of equal prompts (and answers) are taken for a group, across all workers where
a part compares completions. What a reward remembers is not saved with TRL's checkpoints.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from scorecraft.errors import ScorecraftError
from scorecraft.integrations.composition import (
    Composition,
    conversation_text,
    key_of,
    load_composition,
    problem_of,
)
from scorecraft.problem import Outcome
from scorecraft.recipes.recipe import Recipe
from scorecraft.rollouts import Rollouts
from scorecraft.rollouts_from_texts import group_rows, rollouts_from_texts
from scorecraft.scores import RewardTable
from scorecraft.tasks.task import Split


class RewardFunction:
    """A reward as TRL calls it: columns in, one number or None for each completion out.

    counts: how many rollouts each reward scored, abstained on or failed at, by ``(reward, outcome)``.
    """

    def __init__(
        self,
        composition: Composition,
        *,
        answer: str | None = "answer",
        gold: str = "gold",
        metadata: str = "metadata",
        group_size: int | None = None,
        name: str | None = None,
    ) -> None:
        """Take a composition and the names of the data set's columns; see `reward_function`."""
        if group_size is not None and group_size < 1:
            raise ScorecraftError(f"group_size: expected at least 1, got {group_size}")
        self.composition, self.group_size = composition, group_size
        self.answer, self.gold, self.metadata = answer, gold, metadata
        self.counts: Counter[tuple[str, str]] = Counter()
        self.__name__ = name or composition.name

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        *,
        trainer_state: Any = None,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        environments: Any = None,
        **columns: Sequence[Any],
    ) -> list[float | None]:
        """Return the total of each completion, None where there is none.

        Args:
            prompts: texts, or lists of messages, of which the last is what the problem asks.
            completions: texts, or lists of messages.
            completion_ids: their tokens; without them a token is a character.
            trainer_state: of TRL's trainer, for rewards that follow the training's progress.
            log_metric: TRL's; told the mean of every reward and the share of what had no value.
            log_extra: TRL's; not used.
            environments: TRL's; not used.
            columns: every other column of the data set, one value for each completion.

        Raises `ScorecraftError` where the answers are missing or the rewards cannot be applied.
        """
        del log_extra, environments
        self.composition.refuse_policy(
            "TRL hands a reward function texts and tokens only",
            "train with scorecraft.integrations.trl_trainer.RecipeTrainer",
        )
        if self.answer is not None and self.answer not in columns:
            raise ScorecraftError(
                f"reward '{self.__name__}': the data set has no column '{self.answer}' (it has "
                f"{', '.join(columns) or 'none but the prompt'}); name the column with the true answers, as in "
                "answer='solution', or say answer=None where no reward looks at them"
            )
        table = {"prompts": list(prompts), "completions": list(completions), **{k: list(v) for k, v in columns.items()}}
        if completion_ids is not None:
            table["completion_ids"] = [_numbers(ids) for ids in completion_ids]
        own = slice(0, len(completions))
        rank, world_size = _workers()
        if world_size > 1 and self.composition.scope != "rollout":
            table, own = _of_all_workers(table, rank, world_size)
            rank, world_size = 0, 1  # every worker scores the whole batch, with the same random numbers
        rollouts = self.rollouts(table)
        step, steps = _progress(trainer_state)
        rewards = self.composition.score(rollouts, step=step, steps=steps, rank=rank, world_size=world_size)
        self._count(rewards, own, log_metric)
        totals = zip(rewards.total[own].tolist(), rewards.valid[own].tolist(), strict=True)
        return [total if valid else None for total, valid in totals]

    def rollouts(self, table: dict[str, list[Any]]) -> Rollouts:
        """Return TRL's columns as rollouts.

        Args:
            table: "prompts", "completions", perhaps "completion_ids", and every column of the data set.
        """
        count = len(table["completions"])
        known = (self.answer, self.gold, self.metadata)
        held = [table[name] if name in table else [None] * count for name in known]
        taken = {"prompts", "completions", "completion_ids", *known}
        more = {name: values for name, values in table.items() if name not in taken}
        keys = [key_of(*values) for values in zip(table["prompts"], *held, strict=True)]
        group, firsts = group_rows(self._blocks(keys))
        answers, golds, metadata = held
        problems = [
            problem_of(
                conversation_text(table["prompts"][row], last=True), answers[row], golds[row], metadata[row],
                {name: values[row] for name, values in more.items()},
            )
            for row in firsts
        ]  # fmt: skip
        prompts = [conversation_text(table["prompts"][row]) for row in firsts]
        texts = [conversation_text(completion) for completion in table["completions"]]
        return rollouts_from_texts(prompts, texts, problems, group, token_ids=table.get("completion_ids"))

    def _blocks(self, keys: list[str]) -> list[Any]:
        """Tell equal prompts that are asked twice apart, where the size of a group is known."""
        size = self.group_size
        if size is None:
            return keys
        if len(keys) % size or any(len(set(keys[start : start + size])) > 1 for start in range(0, len(keys), size)):
            raise ScorecraftError(
                f"reward '{self.__name__}': expected each prompt {size} times in a row (group_size), which is not how "
                f"these {len(keys)} completions come; give num_generations as group_size, or leave it out"
            )
        return [row // size for row in range(len(keys))]

    def _count(self, rewards: RewardTable, own: slice, log_metric: Callable[[str, float], None] | None) -> None:
        for part, scores in rewards.parts.items():
            outcomes = Counter(str(outcome) for outcome in scores.outcomes[own])
            self.counts.update({(part, outcome): number for outcome, number in outcomes.items()})
            if log_metric is None:
                continue
            mean = float(scores.values[own].nanmean())
            if not math.isnan(mean) and len(rewards.parts) > 1:
                log_metric(f"{self.__name__}/{part}", mean)
            total = max(sum(outcomes.values()), 1)
            for outcome in Outcome:
                if outcome is not Outcome.SCORED and outcomes[str(outcome)]:
                    log_metric(f"{self.__name__}/{part}/{outcome}", outcomes[str(outcome)] / total)


def reward_function(
    source: Recipe | Path | str,
    *,
    reward: str | None = None,
    overrides: Sequence[str] = (),
    answer: str | None = "answer",
    gold: str = "gold",
    metadata: str = "metadata",
    group_size: int | None = None,
    name: str | None = None,
    policy: Any = None,
    seed: int = 0,
) -> RewardFunction:
    """Return a recipe's rewards with transforms and combination as one function for TRL's ``reward_funcs``.

    Args:
        source: a recipe (as in ``Recipe(reward="rlcr", task="confidence")``), a YAML file, or a ready recipe's name.
        reward: only this one of its rewards, without its weight; else all, combined as the recipe says.
        overrides: ``key.path=value``, laid over a recipe that is read by name or from a file.
        answer: name of the column with the true answers; None where no reward looks at them.
        gold: name of the column with worked solutions, if there is one.
        metadata: name of the column with what the task's checker needs, if there is one.
        group_size: TRL's ``num_generations``; needed only where the same prompt may be asked twice in a batch.
        name: in TRL's logs; else the file's or the reward's.
        policy: a `scorecraft.lm.policy.Policy`, for rewards that ask one.
        seed: of the random numbers that rewards draw.

    Raises `ScorecraftError` for a recipe that is none, or a reward that it does not have.
    """
    composition = load_composition(source, reward=reward, overrides=overrides, policy=policy, seed=seed)
    return RewardFunction(composition, answer=answer, gold=gold, metadata=metadata, group_size=group_size, name=name)


def reward_functions(
    source: Recipe | Path | str, *, overrides: Sequence[str] = (), **options: Any
) -> tuple[list[RewardFunction], list[float]]:
    """Return one function for each reward of a recipe, and the weights for ``GRPOConfig(reward_weights=...)``.

    TRL then logs each under its name and adds them up, so the recipe's combination must be the weighted sum. There is
    one difference to the whole recipe in one function: where one reward fails, TRL adds up the others.

    Args:
        source: as in `reward_function`.
        overrides: as in `reward_function`.
        options: everything else that `reward_function` takes but ``reward`` and ``name``.

    Raises `ScorecraftError` for a combination that is no weighted sum.
    """
    whole = load_composition(source, overrides=overrides).recipe
    if whole.combination.name != "weighted-sum":
        raise ScorecraftError(
            f"reward_functions: TRL adds rewards up, and this recipe's combination is '{whole.combination.name}'; use "
            "reward_function for the recipe as a whole"
        )
    functions = [reward_function(whole, reward=name, **options) for name in whole.reward]
    return functions, [part.weight for part in whole.reward.values()]


def rows(
    source: Recipe | Path | str,
    count: int,
    *,
    split: Split = "train",
    start: int = 0,
    conversational: bool = False,
) -> list[dict[str, Any]]:
    """Return problems of a recipe's task as rows for ``datasets.Dataset.from_list``.

    Args:
        source: as in `reward_function`.
        count: how many.
        split: "train" or "test".
        start: position of the first.
        conversational: prompts as lists of messages.
    """
    from scorecraft.runs.files import json_text

    problems = load_composition(source).recipe.task.problems(split, start, count)
    return [
        {
            "prompt": [{"role": "user", "content": problem.prompt}] if conversational else problem.prompt,
            "answer": problem.answer,
            "gold": problem.gold,
            "metadata": json_text(problem.metadata),
        }
        for problem in problems
    ]


def _numbers(ids: Any) -> list[int]:
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)


def _progress(state: Any) -> tuple[int, int]:
    step, steps = getattr(state, "global_step", 0) or 0, getattr(state, "max_steps", 0) or 0
    return int(step), max(int(steps), 1)


def _workers() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _of_all_workers(table: dict[str, list[Any]], rank: int, world_size: int) -> tuple[dict[str, list[Any]], slice]:
    """Return the columns of all workers one below the other, and which rows are this worker's."""
    everyone: list[dict[str, list[Any]]] = [{}] * world_size
    torch.distributed.all_gather_object(everyone, table)
    start = sum(len(part["completions"]) for part in everyone[:rank])
    joined = {name: [value for part in everyone for value in part[name]] for name in table}
    return joined, slice(start, start + len(table["completions"]))
