"""What of a recipe carries over to another trainer: as it is, with a setting of theirs, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from scorecraft import parts
from scorecraft.integrations.verl_names import PREFIX, RECIPE_VARIABLE
from scorecraft.parts import Part
from scorecraft.recipes.recipe import Recipe

Engine = Literal["trl", "verl"]
ENGINES: tuple[Engine, ...] = ("trl", "verl")
Carries = Literal["yes", "with a setting", "no"]

# How verl calls the ways in which token losses are averaged.
_VERL_AGGREGATION = {"token": "token-mean", "sequence": "seq-mean-token-mean", "constant": "seq-mean-token-sum-norm"}
_VERL_KL = {"k1": "kl", "k2": "mse", "k3": "low_var_kl"}
# Samplings that verl and TRL have a form of their own of.
_ONE_TURN = ("single-turn",)


@dataclass(frozen=True, slots=True)
class Carried:
    """One part or option of a recipe: whether it carries over, what to set there, and why not."""

    what: str
    carries: Carries
    settings: tuple[str, ...] = ()
    why: str = ""


def check(recipe: Recipe, engine: Engine, path: str = "recipe.yaml") -> list[Carried]:
    """Return what of a recipe carries over to an engine.

    Args:
        recipe: to be trained there.
        engine: "trl" or "verl".
        path: how the settings name the recipe.
    """
    return list(_trl(recipe) if engine == "trl" else _verl(recipe, path))


def _trl(recipe: Recipe) -> Iterator[Carried]:
    yield Carried("rewards, transforms, combination, credit, advantage, objective", "yes", ("RecipeTrainer(recipe)",))
    sampling = recipe.sampling
    sizes = (
        f"num_generations={sampling.group_size}", f"temperature={sampling.temperature:g}",
        f"max_completion_length={sampling.max_new_tokens}", f"learning_rate={recipe.optimizer.lr:g}",
    )  # fmt: skip
    yield Carried(
        "sizes, sampling and optimizer", "with a setting", (*sizes, "all of them: grpo_config(recipe, folder)")
    )
    if sampling.name not in _ONE_TURN:
        yield Carried(
            f"sampling '{sampling.name}'", "no", ("tools=[...] or rollout_func=... of TRL",),
            "TRL draws completions itself; forced prefixes, tools and further turns are its own there",
        )  # fmt: skip
    if sampling.filter_groups != "none":
        yield Carried(
            f"filter_groups: {sampling.filter_groups}", "no", (),
            "TRL keeps every group; equal rewards give no gradient, but count in the loss's divisor",
        )  # fmt: skip
    if recipe.kl is not None:
        if recipe.kl.place == "loss":
            yield Carried("kl in the loss", "with a setting", (f"beta={recipe.kl.coefficient:g}",))
        else:
            yield Carried("kl on the reward", "no", (), "TRL adds the penalty to the loss; set kl.place: loss")
    if recipe.minibatches > 1:
        yield Carried(
            f"minibatches: {recipe.minibatches}", "with a setting", (f"steps_per_generation={recipe.minibatches}",),
            "the loss is averaged over the whole batch of rollouts, not over each part",
        )  # fmt: skip


def _verl(recipe: Recipe, path: str) -> Iterator[Carried]:
    for name, part in recipe.reward.items():
        if part.asks_policy:
            yield Carried(f"reward '{name}'", "no", (), "verl hands a reward texts only, and it reads the policy")
        elif part.scope != "rollout":
            yield Carried(
                f"reward '{name}'", "with a setting",
                ("custom_reward_function.name=compute_scores", "reward_manager of batches"),
                "it compares completions, and verl's reward loop scores one at a time",
            )  # fmt: skip
        else:
            yield Carried(
                f"reward '{name}'", "yes",
                ("custom_reward_function.path=pkg://scorecraft.integrations.verl",
                 "custom_reward_function.name=compute_score",
                 f"+custom_reward_function.reward_kwargs.recipe={path}",
                 "+custom_reward_function.reward_kwargs.tokenizer=FOLDER of the policy's tokenizer, or characters"),
            )  # fmt: skip
    yield from _verl_estimator(recipe, path)
    yield from _verl_loss(recipe, path)
    if recipe.kl is not None:
        yield Carried("kl", "with a setting", _verl_kl(recipe))
    sampling = recipe.sampling
    yield Carried(
        "sizes and sampling", "with a setting",
        (f"actor_rollout_ref.rollout.n={sampling.group_size}",
         f"actor_rollout_ref.rollout.temperature={sampling.temperature:g}",
         f"data.max_response_length={sampling.max_new_tokens}", f"data.train_batch_size={recipe.prompts_per_step}",
         f"actor_rollout_ref.actor.optim.lr={recipe.optimizer.lr:g}"),
    )  # fmt: skip
    if sampling.name not in _ONE_TURN:
        yield Carried(f"sampling '{sampling.name}'", "no", (), "verl draws completions itself")


def _verl_estimator(recipe: Recipe, path: str) -> Iterator[Carried]:
    credit, advantage = recipe.credit, recipe.advantage
    what = f"credit '{credit.name}', advantage '{advantage.name}'"
    if credit.asks_policy:
        yield Carried(what, "no", (), "verl gives an estimator rewards, mask, groups and configuration only")
        return
    if getattr(credit, "outcome", None) or getattr(credit, "of", None):
        yield Carried(
            what, "no", (),
            "the credit tells rewards apart by name, and verl hands over their sum; put the outcome on the last token "
            "and leave the names out",
        )  # fmt: skip
        return
    needs = " (step rewards must stand on the last tokens of steps)" if credit.name != "outcome" else ""
    if _has_defaults(credit) and _has_defaults(advantage):
        name = f"{PREFIX}/{advantage.name}" if credit.name == "outcome" else f"{PREFIX}/{credit.name}/{advantage.name}"
        yield Carried(what + needs, "yes", (f"algorithm.adv_estimator={name}",))
    else:
        yield Carried(what + needs, "with a setting", (f"algorithm.adv_estimator={PREFIX}", _variable(path)))


def _verl_loss(recipe: Recipe, path: str) -> Iterator[Carried]:
    objective = recipe.objective
    mode = str(getattr(objective, "normalize", "token"))
    settings = [f"actor_rollout_ref.actor.loss_agg_mode={_VERL_AGGREGATION.get(mode, mode)}"]
    constant = getattr(objective, "constant_length", None)
    if constant:
        settings.append(f"actor_rollout_ref.actor.loss_scale_factor={constant:g}")
    entropy = getattr(objective, "entropy_coefficient", 0.0)
    if entropy:
        yield Carried(
            f"objective '{objective.name}', entropy_coefficient", "with a setting",
            (f"actor_rollout_ref.actor.entropy_coeff={entropy:g}", "objective.*.entropy_coefficient: 0 in the recipe"),
            "verl gives a loss no entropies, and adds a bonus of its own",
        )  # fmt: skip
    bare = objective.model_copy(update={"normalize": "token", "constant_length": None, "entropy_coefficient": 0.0})
    key = "actor_rollout_ref.actor.policy_loss.loss_mode"
    if _has_defaults(bare):
        settings = [f"{key}={PREFIX}/{objective.name}", *settings]
    else:
        settings = [f"{key}={PREFIX}", _variable(path), *settings]
    yield Carried(f"objective '{objective.name}'", "with a setting", tuple(settings))


def _verl_kl(recipe: Recipe) -> tuple[str, ...]:
    assert recipe.kl is not None
    kind, coefficient = _VERL_KL.get(recipe.kl.estimator, recipe.kl.estimator), f"{recipe.kl.coefficient:g}"
    if recipe.kl.place == "loss":
        place = "actor_rollout_ref.actor"
        return f"{place}.use_kl_loss=true", f"{place}.kl_loss_coef={coefficient}", f"{place}.kl_loss_type={kind}"
    return (
        "algorithm.use_kl_in_reward=true", f"algorithm.kl_ctrl.kl_coef={coefficient}", f"algorithm.kl_penalty={kind}",
    )  # fmt: skip


def _variable(path: str) -> str:
    return f"+ray_kwargs.ray_init.runtime_env.env_vars.{RECIPE_VARIABLE}={path}"


def _has_defaults(part: Part) -> bool:
    try:
        return part == parts.find(part.slot, part.name)()
    except ValueError:
        return False
