"""Rewards in verl: custom reward functions that its own loader takes, for one completion or for a batch.

    reward:
      custom_reward_function:
        path: pkg://scorecraft.integrations.verl
        name: compute_score
        reward_kwargs: {recipe: /data/recipe.yaml, tokenizer: /models/mine, missing: 0.0}

`compute_score` is called with one completion at a time, as verl's reward loop does. A recipe with a part that compares
completions is refused there; `compute_scores` takes a batch, as the manager "batch" of ``verl.workers.reward_manager``
hands it over (verl 0.9's reward loop has no such manager).

What the rewards look at comes from ``ground_truth`` and ``extra_info``: "prompt" (or "question"), "gold", "metadata" (a
mapping, or JSON text of one), and "index", which with the prompt tells groups apart. `rows` makes such data of a
recipe's own task. verl hands over text only, so the policy's tokenizer must be named for rewards that count tokens.
Random numbers and what a reward remembers are each process's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.integrations.composition import (
    Composition,
    conversation_text,
    key_of,
    load_composition,
    problem_of,
)
from scorecraft.problem import Problem
from scorecraft.recipes.recipe import Recipe
from scorecraft.rollouts import Rollouts
from scorecraft.rollouts_from_texts import group_rows, rollouts_from_texts
from scorecraft.scores import RewardTable
from scorecraft.tasks.task import Split

# What verl puts into extra_info on the way; no part of the problem.
_OF_VERL = ("num_turns", "rollout_reward_scores", "experiment_name")
# Further arguments that verl's managers pass to a reward function.
_PASSED_ON = ("reward_router_address", "reward_model_tokenizer")
_ASKED = ("prompt", "question")
CHARACTERS = "characters"


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    recipe: str,
    tokenizer: str,
    reward: str | None = None,
    overrides: Sequence[str] = (),
    missing: float | None = None,
    seed: int = 0,
    **passed_on: Any,
) -> dict[str, float]:
    """Return the total of one completion as "score", each reward as "reward/NAME", and "scored", 1 or 0.

    Args:
        data_source: verl's name of the data set; not used.
        solution_str: the completion.
        ground_truth: the true answer.
        extra_info: see the module.
        recipe: a YAML file, or a ready recipe's name; read once in each process.
        tokenizer: folder or hub name of the policy's tokenizer, by which tokens are counted (without the one that ends
            a completion), or "characters".
        reward: only this one of its rewards, without its weight.
        overrides: ``key.path=value``, laid over the recipe.
        missing: "score" where the rewards abstain or fail; without it such a completion is an error, since verl has
            no way to leave one out.
        seed: of the random numbers that rewards draw.
        passed_on: what verl's managers pass on; not used.

    Raises `ScorecraftError` for a recipe or a tokenizer that is none, a part that compares completions, and a
    completion without a total where ``missing`` is not given.
    """
    del data_source
    composition = _composition(str(recipe), reward, tuple(map(str, overrides)), int(seed))
    composition.refuse_policy(
        "verl hands a reward function texts only", "leave it out, or train with scorecraft or TRL's RecipeTrainer"
    )
    composition.require(
        "rollout",
        "verl's compute_score sees one completion at a time",
        "use compute_scores with verl's batch reward manager, or leave it out of the recipe",
    )
    _check_arguments(passed_on)
    rollouts = _rollouts([solution_str], [ground_truth], [extra_info], tokenizer, [None])
    return _results(composition.score(rollouts), missing)[0]


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    *,
    recipe: str,
    tokenizer: str,
    reward: str | None = None,
    overrides: Sequence[str] = (),
    missing: float | None = None,
    seed: int = 0,
    **passed_on: Any,
) -> list[dict[str, float]]:
    """Return what `compute_score` returns for each completion of a batch, with parts that compare completions.

    Completions of a group are those whose ``extra_info`` has the same prompt, question and index, and which have the
    same ground truth. For parts that look at the whole batch, the batch is what verl hands over in one call.

    Args:
        data_sources: verl's names of the data sets.
        solution_strs: the completions.
        ground_truths: the true answers.
        extra_infos: see the module.
        recipe: as in `compute_score`.
        tokenizer: as in `compute_score`.
        reward: as in `compute_score`.
        overrides: as in `compute_score`.
        missing: as in `compute_score`.
        seed: as in `compute_score`.
        passed_on: as in `compute_score`.

    Raises as `compute_score`, and `ScorecraftError` where a part compares completions and nothing tells the prompts.
    """
    composition = _composition(str(recipe), reward, tuple(map(str, overrides)), int(seed))
    composition.refuse_policy(
        "verl hands a reward function texts only", "leave it out, or train with scorecraft or TRL's RecipeTrainer"
    )
    _check_arguments(passed_on)
    infos = list(extra_infos) if extra_infos is not None else [None] * len(solution_strs)
    keys = [_group_key(source, info) for source, info in zip(data_sources, infos, strict=True)]
    if None in keys:
        composition.require(
            "rollout",
            f"the extra_info of completion {keys.index(None)} does not tell its prompt",
            "put 'prompt' or 'index' into it",
        )
    rollouts = _rollouts(solution_strs, ground_truths, infos, tokenizer, keys)
    return _results(composition.score(rollouts), missing)


def rows(source: Recipe | Path | str, count: int, *, split: Split = "train", start: int = 0) -> list[dict[str, Any]]:
    """Return problems of a recipe's task as rows of a verl data set, for ``datasets.Dataset.from_list``.

    Args:
        source: a recipe, a YAML file, or a ready recipe's name.
        count: how many.
        split: "train" or "test".
        start: position of the first.
    """
    from scorecraft.runs.files import json_text

    task = load_composition(source).recipe.task
    return [
        {
            "data_source": task.name,
            "prompt": [{"role": "user", "content": problem.prompt}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {
                "split": split,
                "index": index,
                "prompt": problem.prompt,
                "gold": problem.gold,
                "metadata": json_text(problem.metadata),
            },
        }
        for index, problem in enumerate(task.problems(split, start, count), start)
    ]


@lru_cache(maxsize=16)
def _composition(recipe: str, reward: str | None, overrides: tuple[str, ...], seed: int) -> Composition:
    return load_composition(recipe, reward=reward, overrides=overrides, seed=seed)


@lru_cache(maxsize=4)
def _tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=Path(folder).is_dir())
    except (OSError, ValueError) as error:
        raise ScorecraftError(f"tokenizer '{folder}' does not load ({str(error).splitlines()[0]})") from error


def _check_arguments(passed_on: Mapping[str, Any]) -> None:
    known = ("recipe", "tokenizer", "reward", "overrides", "missing", "seed")
    for name in passed_on:
        if name not in _PASSED_ON:
            raise ScorecraftError(f"reward_kwargs: unknown '{name}'; {nearest(name, known)}")


def _group_key(source: str, info: Mapping[str, Any] | None) -> str | None:
    told = {name: info[name] for name in (*_ASKED, "index") if info is not None and info.get(name) is not None}
    return key_of(str(source), told, (info or {}).get("split")) if told else None


def _problem(ground_truth: Any, info: Mapping[str, Any] | None) -> Problem:
    held = {name: value for name, value in (info or {}).items() if name not in _OF_VERL}
    asked = next((held.pop(name) for name in _ASKED if held.get(name) is not None), "")
    gold, metadata = held.pop("gold", ""), held.pop("metadata", None)
    return problem_of(conversation_text(asked, last=True), ground_truth, gold, metadata, held)


def _rollouts(
    texts: Sequence[str],
    ground_truths: Sequence[Any],
    infos: Sequence[Mapping[str, Any] | None],
    tokenizer: str,
    keys: Sequence[str | None],
) -> Rollouts:
    pairs = enumerate(zip(keys, ground_truths, strict=True))
    group, firsts = group_rows([key_of(row if key is None else key, truth) for row, (key, truth) in pairs])
    problems = [_problem(ground_truths[row], infos[row]) for row in firsts]
    tokens = None
    if tokenizer != CHARACTERS and texts:
        tokens = _tokenizer(str(tokenizer))(list(texts), add_special_tokens=False)["input_ids"]
    return rollouts_from_texts([problem.prompt for problem in problems], texts, problems, group, token_ids=tokens)


def _results(rewards: RewardTable, missing: float | None) -> list[dict[str, float]]:
    results = []
    for row, (total, valid) in enumerate(zip(rewards.total.tolist(), rewards.valid.tolist(), strict=True)):
        if not valid and missing is None:
            said = ", ".join(f"'{name}' {scores.outcomes[row]}" for name, scores in rewards.parts.items())
            raise ScorecraftError(
                f"completion {row} has no score ({said}), and verl cannot leave it out; say what it counts as, as in "
                "reward_kwargs: {missing: 0.0}"
            )
        score = total if valid or missing is None else float(missing)
        result = {"score": score, "scored": float(valid)}
        result |= {f"reward/{name}": float(scores.values[row]) for name, scores in rewards.parts.items()}
        results.append(result)
    return results
