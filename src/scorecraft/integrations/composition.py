"""What every integration shares: the rewards of a recipe, applied to texts that another trainer sampled.

A recipe's task is only asked for its verdicts; the problems come from the other trainer's data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.lm.distributed import gather
from scorecraft.parts import SCOPES, Part, Scope
from scorecraft.problem import Problem
from scorecraft.recipes.collect import score
from scorecraft.recipes.ready import load_recipe
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.combinations.sums import WeightedSum
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.tasks.seeding import stable_hash

_LOOKS_AT = {"group": "compares the completions of a prompt", "batch": "looks at the whole batch"}


@dataclass(eq=False)
class Composition:
    """The rewards of a recipe with their transforms and combination, under a name for logs.

    policy: handed to rewards that ask the policy itself. seed: of the random numbers that rewards draw, which differ
    from call to call; calls: how many there were.
    """

    name: str
    recipe: Recipe
    policy: Any = None
    seed: int = 0
    calls: int = 0
    _policies: dict[str, Any] = field(default_factory=dict, repr=False)

    def parts(self) -> dict[str, Part]:
        """Return the parts by their places in the recipe, as messages call them."""
        found: dict[str, Part] = {}
        for name, part in self.recipe.reward.items():
            found[f"reward '{name}'"] = part
            found |= {f"transform '{each.name}' of reward '{name}'": each for each in part.transforms}
        found[f"combination '{self.recipe.combination.name}'"] = self.recipe.combination
        return found

    @property
    def scope(self) -> Scope:
        """The widest scope of all parts: how much of a batch the total of one rollout depends on."""
        return SCOPES[max(SCOPES.index(part.scope) for part in self.parts().values())]

    def require(self, scope: Scope, caller: str, remedy: str) -> None:
        """Raise `ScorecraftError` where a part looks at more of a batch than the caller can show it.

        Args:
            scope: what the caller has at hand.
            caller: what it sees, as in "verl's compute_score sees one completion at a time".
            remedy: what to do instead.
        """
        for place, part in self.parts().items():
            if SCOPES.index(part.scope) > SCOPES.index(scope):
                raise ScorecraftError(f"{place} {_LOOKS_AT[part.scope]}, but {caller}; {remedy}")

    def refuse_policy(self, caller: str, remedy: str) -> None:
        """Raise `ScorecraftError` where a reward reads what the policy computed, which the caller does not know.

        Args:
            caller: what it has, as in "TRL hands a reward function texts and tokens only".
            remedy: what to do instead.
        """
        for place, part in self.parts().items():
            if part.asks_policy:
                raise ScorecraftError(f"{place} reads what the policy computed, but {caller}; {remedy}")

    def score(
        self, rollouts: Rollouts, *, step: int = 0, steps: int = 1, rank: int = 0, world_size: int = 1
    ) -> RewardTable:
        """Return every reward of these rollouts and their total; each call draws fresh random numbers.

        Args:
            rollouts: all completions that are compared with one another.
            step: of the training around it.
            steps: how many it will have.
            rank: this worker among those that call at the same time, each with as many rollouts.
            world_size: how many those are.
        """
        self.calls += 1
        generator = torch.Generator().manual_seed(stable_hash("integration", self.seed, self.calls) % 2**63)
        context = Context(
            self.recipe.task, generator, step, steps, policy=self.policy, rank=rank, world_size=world_size,
            gather=gather if world_size > 1 else _alone, load_policy=self.load_policy,
        )  # fmt: skip
        try:
            return score(self.recipe, rollouts, context)
        except KeyError as error:
            raise ScorecraftError(
                f"'{self.name}' looked for {error} and did not find it; problems of task '{self.recipe.task.name}' "
                "may need their metadata: give the data a column 'metadata' with what `Problem.metadata` holds, as JSON"
            ) from error

    def load_policy(self, name: str) -> Any:
        """Return a policy that a reward asks for by its built-in name or folder, loaded once.

        Args:
            name: as a recipe names a policy.
        """
        if name not in self._policies:
            from scorecraft.lm.policy import resolve_policy

            self._policies[name] = resolve_policy(name, {}, self.recipe.task, device=self.recipe.device)
        return self._policies[name]


def _alone(values: Tensor) -> tuple[Tensor, slice]:
    """Return the rows of the only worker, even where others run beside it and score the same."""
    return values, slice(0, len(values))


def load_composition(
    source: Recipe | Path | str,
    *,
    reward: str | None = None,
    overrides: Sequence[str] = (),
    policy: Any = None,
    seed: int = 0,
) -> Composition:
    """Return the rewards of a recipe, ready to score.

    Args:
        source: a recipe, a YAML file, or the name of a ready recipe.
        reward: only this one of its rewards, at weight 1; else all, combined as the recipe says.
        overrides: ``key.path=value``, laid over a recipe that is read by name or from a file.
        policy: a `scorecraft.lm.policy.Policy`, for rewards that ask one.
        seed: of the random numbers that rewards draw.

    Raises `ScorecraftError` for a recipe that is none, or a reward that it does not have.
    """
    if isinstance(source, Recipe):
        if overrides:
            raise ScorecraftError("overrides are for recipes by name or from a file; this one is built already")
        recipe, name = source, "-".join(source.reward)
    else:
        recipe, name = load_recipe(str(source), overrides), Path(source).stem
    if reward is not None:
        if reward not in recipe.reward:
            raise ScorecraftError(f"no reward '{reward}' in this recipe: {nearest(reward, recipe.reward)}")
        alone = recipe.reward[reward].model_copy(update={"weight": 1.0})
        recipe = recipe.model_copy(update={"reward": {reward: alone}, "combination": WeightedSum()})
        name = reward
    return Composition(name, recipe, policy, seed)


def problem_of(
    prompt: str, answer: object, gold: object = "", metadata: object = None, more: Mapping[str, object] | None = None
) -> Problem:
    """Return the problem that another trainer's data row stands for.

    Args:
        prompt: the prompt as plain text.
        answer: the true answer: a text or a number; None where there is none.
        gold: a worked solution.
        metadata: what the task's checker needs, as a mapping or as JSON text of one.
        more: further values of the row, which are added to the metadata.

    Raises `ScorecraftError` for metadata that are no mapping.
    """
    held = metadata
    if isinstance(held, str):
        try:
            held = json.loads(held) if held else {}
        except ValueError as error:
            raise ScorecraftError(
                f"metadata: expected JSON text of a mapping, got {metadata!r:.60} ({error})"
            ) from None
    if held is None:
        held = {}
    if not isinstance(held, Mapping):
        raise ScorecraftError(f"metadata: expected a mapping, or JSON text of one, got {metadata!r:.60}")
    texts = ["" if value is None else str(value) for value in (answer, gold)]
    return Problem(prompt, *texts, metadata={**(more or {}), **held})


def key_of(*values: object) -> str:
    """Return a text that is equal where the values are, whatever they are made of."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)


def message_text(content: object) -> str:
    """Return the text of a message's content: a text, a list of parts of which the texts count, or nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return ""


def conversation_text(value: object, *, last: bool = False) -> str:
    """Return a prompt or a completion as plain text: as it stands, or its messages line by line.

    Args:
        value: a text, or a list of messages with a "content".
        last: only the last message.

    Raises `ScorecraftError` for anything else.
    """
    if isinstance(value, str):
        return value
    value = value.tolist() if hasattr(value, "tolist") else value  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, Sequence) and all(isinstance(message, Mapping) for message in value):
        messages = value[-1:] if last else value
        return "\n".join(filter(None, (message_text(message.get("content")) for message in messages)))
    raise ScorecraftError(f"expected a text or a list of messages, got {type(value).__name__} {value!r:.60}")
