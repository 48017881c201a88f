"""Credits, advantages and objectives in verl: registered under their names when verl is imported.

verl finds this module by itself (entry point ``verl.plugins``). In its configuration:

    algorithm.adv_estimator: scorecraft/leave-one-out                 # credit 'outcome'
    algorithm.adv_estimator: scorecraft/min-form/leave-one-out-tokens # a credit and an advantage
    actor_rollout_ref.actor.policy_loss.loss_mode: scorecraft/clipped-surrogate

These have their default options. With ``SCORECRAFT_RECIPE`` naming a recipe in the environment of all workers, the name
``scorecraft`` alone takes credit, advantage or objective with the recipe's options.

verl gives an estimator rewards per token, the mask, the groups (its "uid") and its configuration, nothing else. So the
steps of a completion are read off its rewards: every reward that is not 0 ends a step (`rollouts_of_token_rewards`).
What asks for more, such as the policy, is refused in words. Losses are added up as verl's ``loss_agg_mode`` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.errors import ScorecraftError
from scorecraft.integrations.verl_names import PREFIX, RECIPE_VARIABLE
from scorecraft.objectives.interfaces import Advantage, LossInputs, Objective
from scorecraft.parts import Part
from scorecraft.problem import Outcome, Problem
from scorecraft.recipes.ready import load_recipe
from scorecraft.recipes.recipe import Recipe
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores

# The name of the only reward that verl's token rewards are.
REWARD = "token-rewards"


def register() -> tuple[list[str], list[str]]:
    """Register everything in verl's registries; return the names of estimators and of losses."""
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY, register_adv_est, register_policy_loss

    estimators, losses = list(_estimators()), list(_losses())
    for name, function in (*_estimators().items(), (PREFIX, estimate)):
        register_adv_est(name)(function)
    for name, function in (*_losses().items(), (PREFIX, policy_loss)):
        if POLICY_LOSS_REGISTRY.get(name) is not function:
            register_policy_loss(name)(function)  # pyright: ignore[reportArgumentType] - called by keywords only
    return [*estimators, PREFIX], [*losses, PREFIX]


@lru_cache(1)
def _estimators() -> dict[str, Callable[..., Any]]:
    """Return an estimator for every advantage, alone (credit 'outcome') and after every credit."""
    found: dict[str, Callable[..., Any]] = {}
    for advantage in parts.names("advantage"):
        found[f"{PREFIX}/{advantage}"] = _estimator("outcome", advantage)
        for credit in parts.names("credit"):
            found[f"{PREFIX}/{credit}/{advantage}"] = _estimator(credit, advantage)
    return found


@lru_cache(1)
def _losses() -> dict[str, Callable[..., Any]]:
    return {f"{PREFIX}/{name}": _loss(name) for name in parts.names("objective")}


def _estimator(credit: str, advantage: str) -> Callable[..., Any]:
    def estimator(
        token_level_rewards: Tensor, response_mask: Tensor, index: Any = None, config: Any = None, **more: Any
    ) -> tuple[Tensor, Tensor]:
        del config, more
        chosen = _default("credit", credit), _default("advantage", advantage)
        return advantages_of(*chosen, token_level_rewards, response_mask, index)  # pyright: ignore[reportArgumentType]

    return estimator


def _default(slot: str, name: str) -> Part:
    """Return a part with its default options."""
    try:
        return parts.find(slot, name)()
    except ValueError as error:
        raise ScorecraftError(
            f"{slot} '{name}' has options without a default; write a recipe, set {RECIPE_VARIABLE} to its path and use "
            f"the name '{PREFIX}' ({error})"
        ) from error


def _loss(name: str) -> Callable[..., Any]:
    def loss(**given: Any) -> tuple[Tensor, dict[str, Any]]:
        return loss_of(_default("objective", name), **given)  # pyright: ignore[reportArgumentType]

    return loss


def estimate(
    token_level_rewards: Float[Tensor, "rollout token"],
    response_mask: Tensor,
    index: Any = None,
    config: Any = None,
    **more: Any,
) -> tuple[Float32[Tensor, "rollout token"], Float32[Tensor, "rollout token"]]:
    """Return advantages and returns by the credit and advantage of the recipe that the environment names.

    Args:
        token_level_rewards: reward of every token.
        response_mask: 1 where the policy sampled the token.
        index: verl's "uid" of each rollout's prompt.
        config: verl's; not used.
        more: what verl passes on; not used.

    Raises `ScorecraftError` where no recipe is named, or a part asks for what verl does not give.
    """
    del config, more
    recipe = _recipe()
    return advantages_of(recipe.credit, recipe.advantage, token_level_rewards, response_mask, index)


def policy_loss(**given: Any) -> tuple[Tensor, dict[str, Any]]:
    """Return the loss by the objective of the recipe that the environment names; see `loss_of`."""
    return loss_of(_recipe().objective, **given)


def _recipe() -> Recipe:
    path = os.environ.get(RECIPE_VARIABLE)
    if not path:
        raise ScorecraftError(
            f"'{PREFIX}' in verl's configuration takes the parts of a recipe: set {RECIPE_VARIABLE} to its path in the "
            "environment of all workers (+ray_kwargs.ray_init.runtime_env.env_vars.SCORECRAFT_RECIPE=...), or name a "
            f"part, as in '{PREFIX}/leave-one-out'"
        )
    return _read(path)


@lru_cache(4)
def _read(path: str) -> Recipe:
    return load_recipe(path)


def advantages_of(
    credit: Credit,
    advantage: Advantage,
    token_level_rewards: Float[Tensor, "rollout token"],
    response_mask: Tensor,
    index: Any = None,
) -> tuple[Float32[Tensor, "rollout token"], Float32[Tensor, "rollout token"]]:
    """Return the token advantages and token returns of verl's batch.

    Args:
        credit: what makes token returns of rewards.
        advantage: what makes advantages of returns.
        token_level_rewards: reward of every token; the outcome is on the last one.
        response_mask: 1 where the policy sampled the token.
        index: one value for each rollout, equal for completions of one prompt; None for a prompt each.
    """
    rollouts, rewards = rollouts_of_token_rewards(token_level_rewards.float(), response_mask.bool(), index)
    context = Context(_NoTask(), torch.Generator().manual_seed(0))
    returns = credit(rollouts, rewards, context)
    found = advantage(returns, rollouts, rewards, context)
    return found.values * found.keep[:, None], returns


def rollouts_of_token_rewards(
    rewards: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"], index: Any = None
) -> tuple[Rollouts, RewardTable]:
    """Return a batch of token rewards as rollouts without text and their reward table.

    A token whose reward is not 0 ends a step, and the tokens since the step before are in it. The total is the sum.

    Args:
        rewards: reward of every token; what stands off the mask is not read.
        mask: True where the policy sampled the token.
        index: one value for each rollout, equal for completions of one prompt; None for a prompt each.
    """
    rows, width = mask.shape
    earned = torch.where(mask, rewards, torch.zeros_like(rewards))
    ends = earned != 0
    number = ends.cumsum(1) - ends.long()
    count = int(ends.sum(1).max()) if rows and width else 0
    steps = torch.where(mask & (number < ends.sum(1, keepdim=True)), number, torch.full_like(number, -1))
    table = torch.zeros(rows, count)
    if count:
        table.scatter_add_(1, number.clamp(max=count - 1), earned)
    step_mask = torch.arange(count) < ends.sum(1, keepdim=True)
    keys = list(range(rows)) if index is None else [str(key) for key in index]
    place = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    group = torch.tensor([place[key] for key in keys], dtype=torch.int64)
    zeros = torch.zeros(rows, width)
    columns = torch.arange(width).expand(rows, width)
    lengths = torch.where(mask, columns + 1, torch.zeros_like(columns)).amax(1) if width else group.new_zeros(rows)
    nothing = ("",) * rows
    rollouts = Rollouts(
        tokens=torch.zeros(rows, width, dtype=torch.int64), mask=mask.cpu(), logprobs=zeros, entropies=zeros,
        steps=steps, turns=torch.where(columns < lengths[:, None], 0, -1), lengths=lengths, group=group,
        truncated=torch.zeros(rows, dtype=torch.bool), texts=nothing, notes=tuple({} for _ in nothing),
        prompt_tokens=torch.zeros(len(place), 1, dtype=torch.int64),
        prompt_lengths=torch.ones(len(place), dtype=torch.int64), problems=(Problem("", ""),) * len(place),
    )  # fmt: skip
    total = earned.sum(1)
    scores = Scores(total, (Outcome.SCORED,) * rows, table, step_mask)
    return rollouts, RewardTable(total, torch.ones(rows, dtype=torch.bool), {REWARD: scores})


def loss_of(
    objective: Objective,
    *,
    old_log_prob: Float[Tensor, "rollout token"],
    log_prob: Float[Tensor, "rollout token"],
    advantages: Float[Tensor, "rollout token"],
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """Return an objective's loss, added up by verl's own function, and its measurements under "actor/".

    Args:
        objective: the loss of every token.
        old_log_prob: under the policy that sampled.
        log_prob: under the policy being trained.
        advantages: of every token.
        response_mask: 1 where the policy sampled the token.
        loss_agg_mode: verl's; the objective's own ``normalize`` is not used.
        config: verl's actor configuration, for what it knows of the whole batch.
        rollout_is_weights: factors for the difference between sampler and trainer.

    Raises `ScorecraftError` for an objective that asks for entropies; verl adds its own bonus (entropy_coeff).
    """
    from verl.trainer.ppo.core_algos import agg_loss

    if objective.needs_entropy:
        raise ScorecraftError(
            f"objective '{objective.name}' has an entropy_coefficient, and verl gives a loss no entropies: set it to 0 "
            "and verl's actor_rollout_ref.actor.entropy_coeff instead"
        )
    mask = response_mask.bool()
    loss = objective(LossInputs(log_prob, old_log_prob, advantages, mask))
    values = loss.values if rollout_is_weights is None else loss.values * rollout_is_weights
    of_all = getattr(config, "global_batch_info", None) or {}
    total = agg_loss(loss_mat=values, loss_mask=mask.to(values.dtype), loss_agg_mode=loss_agg_mode, **of_all)
    tokens = mask.sum().clamp(min=1)
    metrics = {f"actor/{name}": float((each.detach() * mask).sum() / tokens) for name, each in loss.metrics.items()}
    return total, metrics


class _NoTask:
    """Stands for the task, which verl does not hand over."""

    def __getattr__(self, name: str) -> Any:
        raise ScorecraftError(
            f"this part asks the task ({name}), and verl gives an estimator rewards, mask, groups and its "
            "configuration only"
        )


register()
