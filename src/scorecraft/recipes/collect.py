"""One batch for one step: sample, score, and leave out or replace groups that teach nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool
from torch import Tensor

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm import distributed
from scorecraft.lm.generate import check_prompts
from scorecraft.lm.policy import Policy
from scorecraft.objectives.kl import kl_penalty
from scorecraft.problem import Verdict
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe

# Rewards that differ by less are called equal: far above float32 rounding of a sum of parts, far below any reward.
SAME_REWARD = 1e-6
# So many prompts are looked at before a run begins.
FIRST_PROMPTS = 256


@dataclass(frozen=True, eq=False)
class Batch:
    """The rollouts of a step with their rewards; ``position`` is the next problem to ask, ``filtered`` the number
    of rollouts that were drawn and left out because all rewards of their group were equal."""

    rollouts: Rollouts
    rewards: RewardTable
    position: int
    filtered: int = 0


def check_first_prompts(policy: Policy, recipe: Recipe) -> None:
    """Raise `ScorecraftError` if the first problems cannot be read, or a prompt leaves no room in the context."""
    count = min(recipe.steps * recipe.prompts_per_step, FIRST_PROMPTS)
    problems = recipe.task.problems("train", 0, count)
    prompts = recipe.sampling.prompts(policy, problems)
    check_prompts(policy, prompts, recipe.sampling.settings(Context(recipe.task, torch.Generator(), policy=policy)))


def score(recipe: Recipe, rollouts: Rollouts, context: Context) -> RewardTable:
    """Return every reward of the recipe for these rollouts, and their weighted total."""
    scored = {name: (part, part.score(rollouts, context)) for name, part in recipe.reward.items()}
    return recipe.combination(scored, rollouts, context)


def uniform_groups(rewards: RewardTable, rollouts: Rollouts) -> Bool[Tensor, " rollout"]:
    """Return True for each rollout whose group has fewer than two different rewards among its valid ones."""
    uniform = torch.ones(len(rollouts), dtype=torch.bool)
    for group in torch.unique(rollouts.group).tolist():
        rows = rollouts.group == group
        values = rewards.total[rows & rewards.valid]
        uniform[rows] = len(values) < 2 or float(values.max() - values.min()) <= SAME_REWARD
    return uniform


def collect(recipe: Recipe, position: int, context: Context) -> Batch:
    """Sample and score ``prompts_per_step`` prompts from ``position`` of the training data on.

    With ``filter_groups: resample``, groups whose rewards are all equal are replaced by fresh prompts. Every
    worker takes its own share of the prompts. Raises `ScorecraftError` if no group is left.
    """
    share = distributed.own_share(recipe.prompts_per_step, "prompts_per_step")
    sampling = recipe.sampling
    wanted = share.stop - share.start
    kept: list[tuple[Rollouts, RewardTable]] = []
    count = filtered = 0
    rounds = sampling.resample_rounds if sampling.filter_groups == "resample" else 1
    done = 0
    while True:
        done += 1
        problems = recipe.task.problems("train", position, recipe.prompts_per_step)[share]
        position += recipe.prompts_per_step
        rollouts = sampling(context.policy, problems, context)
        rewards = score(recipe, rollouts, context)
        if sampling.filter_groups == "none":
            return Batch(rollouts, rewards, position)
        keep = ~uniform_groups(rewards, rollouts)
        groups = torch.unique(rollouts.group[keep])[: wanted - count]
        if sampling.filter_groups == "resample":
            keep &= torch.isin(rollouts.group, groups)
        filtered += int((~keep).sum())
        if bool(keep.any()):
            kept.append((rollouts.select(keep), select(rewards, keep)))
            count += len(groups)
        # All workers draw the same number of rounds, so that their data stay in step.
        if done == rounds or distributed.total({"missing": float(count < wanted)})["missing"] == 0:
            break
    if not kept:
        if sampling.filter_groups == "skip" or distributed.world_size() > 1:
            empty = torch.zeros(len(rollouts), dtype=torch.bool)
            return Batch(rollouts, replace(rewards, valid=empty), position, filtered)
        raise ScorecraftError(
            f"filter_groups: resample found no group with different rewards in {rounds} rounds of "
            f"{recipe.prompts_per_step} prompts; the task is too hard or too easy for this policy, or the reward is "
            "constant: change the task's difficulty, the reward, or set filter_groups: skip"
        )
    tables = [table for _, table in kept]
    return Batch(Rollouts.concatenate([r for r, _ in kept]), concatenate(tables), position, filtered)


def select(rewards: RewardTable, rows: Bool[Tensor, " rollout"]) -> RewardTable:
    """Return the rewards of some of the rollouts."""
    index = rows.nonzero()[:, 0].tolist()
    parts = {
        name: replace(
            scores,
            values=scores.values[rows],
            outcomes=tuple(scores.outcomes[i] for i in index),
            steps=None if scores.steps is None else scores.steps[rows],
            step_mask=None if scores.step_mask is None else scores.step_mask[rows],
            metrics={name: values[rows] for name, values in scores.metrics.items()},
        )
        for name, scores in rewards.parts.items()
    }
    return RewardTable(rewards.total[rows], rewards.valid[rows], parts)


def concatenate(tables: list[RewardTable]) -> RewardTable:
    """Put reward tables one below the other."""
    if len(tables) == 1:
        return tables[0]
    parts: dict[str, Scores] = {}
    for name, first in tables[0].parts.items():
        scores = [table.parts[name] for table in tables]
        steps = step_mask = None
        if first.steps is not None:
            width = max(s.steps.shape[1] for s in scores if s.steps is not None)
            steps, step_mask = (
                torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in column if x is not None])
                for column in ([s.steps for s in scores], [s.step_mask for s in scores])
            )
        outcomes = tuple(outcome for s in scores for outcome in s.outcomes)
        metrics = {
            key: torch.cat([s.metrics.get(key, torch.full_like(s.values, float("nan"))) for s in scores])
            for key in dict.fromkeys(key for s in scores for key in s.metrics)
        }
        parts[name] = Scores(torch.cat([s.values for s in scores]), outcomes, steps, step_mask, metrics)
    return RewardTable(torch.cat([t.total for t in tables]), torch.cat([t.valid for t in tables]), parts)


def penalize(rewards: RewardTable, rollouts: Rollouts, reference: Tensor, recipe: Recipe) -> RewardTable:
    """Take the KL penalty off the reward: total - coefficient * sum over tokens of the KL estimate."""
    if recipe.kl is None or recipe.kl.place != "reward":
        return rewards
    kl = (kl_penalty(rollouts.logprobs, reference, recipe.kl.estimator) * rollouts.mask).sum(1)
    total = torch.where(rewards.valid, rewards.total - recipe.kl.coefficient * kl, rewards.total)
    return replace(rewards, total=total)


def verdicts(rollouts: Rollouts, context: Context) -> list[Verdict]:
    """Return the truth about every rollout: the task's own exact check, whatever the reward says."""
    return [
        context.task.check(problem, text) for problem, text in zip(rollouts.problem_of, rollouts.texts, strict=True)
    ]
