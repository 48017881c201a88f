"""Rollouts from anywhere, scored by a recipe's rewards and credited by several methods, as a run that a page shows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.errors import ScorecraftError
from scorecraft.explaining.characters import Texts
from scorecraft.problem import Problem
from scorecraft.recipes.collect import score
from scorecraft.recipes.recipe import Recipe
from scorecraft.report import write_report
from scorecraft.rescoring.rows import Columns, CompletionRow
from scorecraft.rescoring.source import BadRow, Source
from scorecraft.rollouts import Rollouts
from scorecraft.rollouts_from_texts import group_rows, rollouts_from_texts
from scorecraft.runs import RunStore
from scorecraft.runs.versions import environment
from scorecraft.sampling.steps import step_spans
from scorecraft.scores import RewardTable
from scorecraft.segmentation import segment, steps_of_tokens

ROWS = 512


@dataclass(frozen=True, eq=False)
class Explanation:
    """Rollouts, their rewards, and the return of every token by each credit method, by its label.

    units: what a token is, as in "characters". unreadable: rows of the file that could not be read.
    """

    rollouts: Rollouts
    rewards: RewardTable
    returns: Mapping[str, Float32[Tensor, "rollout token"]]
    token_texts: Mapping[int, str]
    units: str
    unreadable: tuple[str, ...] = ()

    def steps(self, row: int) -> list[tuple[str, dict[str, float]]]:
        """Return each step's text with the mean return of its tokens by each method."""
        rollouts, found = self.rollouts, []
        length = int(rollouts.lengths[row])
        numbers = rollouts.steps[row, :length]
        for step in sorted(set(numbers[numbers >= 0].tolist())):
            inside = (rollouts.steps[row] == step) & rollouts.mask[row]
            tokens = rollouts.tokens[row, :length][numbers == step].tolist()
            text = "".join(self.token_texts.get(token, "?") for token in tokens)
            means = {
                name: float(table[row][inside].mean()) if inside.any() else 0.0 for name, table in self.returns.items()
            }
            found.append((text, means))
        return found


def explain(
    path: Path,
    credits: Mapping[str, Credit],
    recipe: Recipe,
    *,
    columns: Columns | None = None,
    tokenizer: Any = None,
    policy: Any = None,
    steps: str | None = None,
    rows: int = ROWS,
) -> Explanation:
    """Return what each credit method gives the tokens of rollouts that are there already.

    Args:
        path: a Parquet or JSON Lines file of scorecraft, TRL, verl, verifiers, messages or plain rows, or a run.
        credits: the methods by their labels.
        recipe: gives the rewards and the task that finds answers and steps.
        columns: which column holds what.
        tokenizer: a fast tokenizer; without one a token is a character.
        policy: a `scorecraft.lm.policy.Policy`, for rewards and methods that ask it; its tokenizer is then used.
        steps: how steps are found, see `scorecraft.segmentation.segment`; by default as the task does.
        rows: read at most so many.

    Raises `ScorecraftError` for a file that cannot be read, and where a reward or a method asks for more than texts.
    """
    read, bad = _rows(Source(path, columns or Columns()), rows)
    if not read:
        why = f"no row could be read: {bad[0]}" if bad else "no rows; expected completions"
        raise ScorecraftError(f"{path}: {why}")
    for name, part in (*credits.items(), *recipe.reward.items()):
        if part.asks_policy and policy is None:
            raise ScorecraftError(
                f"{part.slot} '{name}' reads what the policy computed, and a file has texts only; name the policy"
            )
    rollouts, texts = _rollouts(read, recipe, policy.tokenizer if policy else tokenizer, steps)
    if policy:
        rollouts = _with_policy(rollouts, policy)
    # Without a policy only its spelling is there, which is what parts that read tool calls need.
    context = Context(recipe.task, torch.Generator().manual_seed(recipe.seed), policy=policy or texts)
    rewards = score(recipe, rollouts, context)
    returns = {name: part(rollouts, rewards, context) for name, part in credits.items()}
    return Explanation(rollouts, rewards, returns, texts.names, texts.units, tuple(bad))


def _rows(source: Source, most: int) -> tuple[list[CompletionRow], list[str]]:
    good: list[CompletionRow] = []
    bad: list[str] = []
    for part in source.parts(most, whole_groups=False):
        for row in source.read(part):
            if isinstance(row, BadRow):
                bad.append(str(row))
            elif len(good) < most:
                # Every file, such as a step of a run, has groups of its own.
                good.append(replace(row, key=(part.file, row.key)))
        if len(good) >= most:
            break
    return good, bad


def _rollouts(rows: Sequence[CompletionRow], recipe: Recipe, tokenizer: Any, by: str | None) -> tuple[Rollouts, Texts]:
    group, firsts = group_rows([str(row.key) for row in rows])
    problems = [
        Problem(rows[first].prompt, rows[first].answer, rows[first].gold, dict(rows[first].metadata))
        for first in firsts
    ]
    texts = Texts(tokenizer)
    cut = [texts.tokens(row.completion) for row in rows]
    bare = rollouts_from_texts(
        [problem.prompt for problem in problems], [row.completion for row in rows], problems, group,
        token_ids=[[token for token, _, _ in tokens] for tokens in cut],
    )  # fmt: skip
    steps = torch.full(bare.mask.shape, -1, dtype=torch.int64)
    for row, tokens in enumerate(cut):
        text, places = bare.texts[row], [(start, end) for _, start, end in tokens]
        if by is None:
            spans, delimiter = step_spans(recipe.task, bare.problem_of[row], text), len(recipe.task.step_delimiter)
        else:
            spans, delimiter = segment(text, by=by), 1
        found = steps_of_tokens(spans, places, delimiter_length=delimiter)
        steps[row, : len(tokens)] = torch.tensor(found, dtype=torch.int64)
    return replace(bare, steps=steps), texts


def _with_policy(rollouts: Rollouts, policy: Any) -> Rollouts:
    """Return the rollouts with prompts as the policy reads them, and its log-probabilities."""
    from scorecraft.lm.generate import left_pad

    prompts = [policy.encode_prompt(problem.prompt) for problem in rollouts.problems]
    table, lengths = left_pad(prompts, policy.pad_id)
    completions = [ids[:n] for ids, n in zip(rollouts.tokens.tolist(), rollouts.lengths.tolist(), strict=True)]
    logprobs = policy.score_tokens([prompts[group] for group in rollouts.group.tolist()], completions)
    return replace(rollouts, prompt_tokens=table, prompt_lengths=lengths, logprobs=logprobs)


def write_page(found: Explanation, recipe: Recipe, out: Path, title: str) -> Path:
    """Write an explanation as a run with its page, whose browser shows any two methods side by side.

    Args:
        found: what `explain` returned.
        recipe: the one it was given.
        out: the run's folder; one that an earlier call wrote is written anew.
        title: not a name of a file; shown as the run's name.

    Raises `ScorecraftError` where the folder holds something else.
    """
    mark = out / "explained"
    if out.exists() and any(out.iterdir()):
        if not mark.is_file():
            raise ScorecraftError(f"{out}: holds other files; choose another --out")
        shutil.rmtree(out)
    store = RunStore.create(out, recipe.to_yaml(), environment())
    mark.write_text(title, encoding="utf-8")
    rollouts, rewards = found.rollouts, found.rewards
    lengths = rollouts.lengths.tolist()
    verdicts = [
        recipe.task.check(problem, text) for problem, text in zip(rollouts.problem_of, rollouts.texts, strict=True)
    ]
    extra: dict[str, list[Any]] = {
        "reward": _listed(torch.where(rewards.valid, rewards.total, float("nan"))),
        "correct": [verdict.correct for verdict in verdicts],
        **{f"reward/{name}": _listed(scores.values) for name, scores in rewards.parts.items()},
        **{
            f"credit/{name}": [row[:n] for row, n in zip(table.tolist(), lengths, strict=True)]
            for name, table in found.returns.items()
        },
    }  # fmt: skip
    store.save_rollouts(1, rollouts, extra)
    store.save_token_texts(found.token_texts)
    return write_report([out])


def _listed(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN is not itself
