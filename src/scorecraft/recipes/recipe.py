"""`Recipe`: one training run written down; Python first, and YAML is the same thing as text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scorecraft.credit.credit import Credit
from scorecraft.errors import ScorecraftError
from scorecraft.lm.optimizer import OptimizerPart
from scorecraft.objectives.interfaces import Advantage, Objective
from scorecraft.parts import Part
from scorecraft.recipes import yaml_source
from scorecraft.recipes.mistakes import Mistake, RecipeError, mistakes_of, shown
from scorecraft.recipes.slots import (
    DEFAULT_PARTS,
    SINGLE_SLOTS,
    build_part,
    build_rewards,
    build_section,
    name_and_options,
)
from scorecraft.rewards.combination import Combination
from scorecraft.rewards.reward import Reward
from scorecraft.runs.trackers import check_trackers
from scorecraft.sampling.sampling import Sampling
from scorecraft.tasks.task import Task

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicySpec(_Section):
    """Which policy to train: a built-in name or a model folder, and the options it is made with."""

    name: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)


class KLPenalty(_Section):
    """A penalty for moving away from the reference policy: its coefficient, estimator and place.

    ``place: loss`` adds it to the loss of every token; ``place: reward`` takes it off the reward.
    """

    coefficient: NotNegative
    estimator: Literal["k1", "k2", "k3"] = "k3"
    place: Literal["loss", "reward"] = "loss"


class Evaluation(_Section):
    """How the policy is measured on held-out problems: every so many steps, on how many, with which k of pass@k."""

    every: Positive = 50
    problems: Positive = 256
    samples: Positive = 1
    k: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1,)
    temperature: NotNegative = 1.0

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        if max(self.k) > self.samples:
            raise ValueError(f"pass@{max(self.k)} needs at least {max(self.k)} samples; set samples: {max(self.k)}")
        return self


class CheckpointSettings(_Section):
    """A checkpoint every so many steps, of which the newest ``keep`` stay."""

    every: Positive = 50
    keep: Positive = 2


class RolloutSettings(_Section):
    """Rollouts are saved every so many steps, at most ``max_rows`` of them."""

    every: Positive = 10
    max_rows: Positive = 64


_SECTIONS: dict[str, type[BaseModel]] = {
    "kl": KLPenalty,
    "evaluate": Evaluation,
    "checkpoint": CheckpointSettings,
    "save_rollouts": RolloutSettings,
}
_MAY_BE_NULL = ("kl", "evaluate")


class Recipe(BaseModel):
    """One training run: its parts, its sizes and its seed; everything left out takes the default recipe's value.

    The slots ``task``, ``sampling``, ``combination``, ``credit``, ``advantage``, ``objective`` and ``optimizer`` take
    a part's name, ``{name: options}`` or a built part; ``reward`` takes a mapping of such, in the order in which they
    are logged (``{strict: {part: format}}`` gives a reward a name of its own, and ``transforms`` lists what its values
    go through); ``policy`` takes a name or folder, or ``{name: options}``.

    steps: optimizer phases, each on fresh rollouts. prompts_per_step: problems sampled in each.
    epochs: passes over the rollouts of one step. minibatches: optimizer steps in each pass.
    tokens_per_microbatch: upper bound of the padded tokens in one forward and backward pass; it changes memory and
    speed, not the gradient. trackers: where the metrics go besides the run's own log: tensorboard, wandb, trackio.

    Raises `RecipeError`, which lists every mistake.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    policy: PolicySpec
    task: Task
    sampling: Sampling
    reward: Mapping[str, Reward]
    combination: Combination
    credit: Credit
    advantage: Advantage
    objective: Objective
    optimizer: OptimizerPart
    steps: Positive = 300
    prompts_per_step: Positive = 16
    epochs: Positive = 1
    minibatches: Positive = 1
    tokens_per_microbatch: Positive = 16384
    kl: KLPenalty | None = None
    evaluate: Evaluation | None = Evaluation()
    checkpoint: CheckpointSettings = CheckpointSettings()
    save_rollouts: RolloutSettings = RolloutSettings()
    trackers: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0
    device: Annotated[str, Field(min_length=1)] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"

    _built_in: ClassVar[tuple[str, ...]] = ("policy", "reward", *SINGLE_SLOTS)

    def __init__(self, **values: Any) -> None:
        given = {**DEFAULT_PARTS, **values}
        built: dict[str, Any] = dict(given)
        mistakes: list[Mistake] = []

        def keep(key: str, outcome: tuple[Any, list[Mistake]]) -> None:
            built[key] = outcome[0]
            mistakes.extend(outcome[1])

        keep("policy", _policy(given["policy"]))
        keep("reward", build_rewards(given["reward"]))
        for slot in SINGLE_SLOTS:
            keep(slot, build_part(slot, given[slot]))
        for key, model in _SECTIONS.items():
            if key in given and not (given[key] is None and key in _MAY_BE_NULL):
                keep(key, build_section(key, model, given[key]))
        broken = {mistake.path[0] for mistake in mistakes}
        try:
            super().__init__(**built)
        except ValidationError as error:
            found = mistakes_of(error, type(self), built)
            mistakes += [mistake for mistake in found if mistake.path[0] not in broken]
        if mistakes:
            raise RecipeError(mistakes)

    @field_validator("trackers", mode="before")
    @classmethod
    def _installed_trackers(cls, value: Any) -> Any:
        names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
        if isinstance(names, tuple) and all(isinstance(name, str) for name in names):
            try:
                check_trackers(names)
            except ScorecraftError as error:
                raise ValueError(str(error)) from None
        return names

    @classmethod
    def from_yaml(cls, source: Path | str) -> Recipe:
        """Read a recipe from a YAML file (a `Path`, or a string that names a file) or from YAML text.

        Raises `RecipeError` with file, line, key and what was expected, for all mistakes at once.
        """
        return cls.from_source(yaml_source.read(source))

    @classmethod
    def from_source(cls, source: yaml_source.YamlSource) -> Recipe:
        """Build a recipe from YAML that was read already (and perhaps overridden); raises `RecipeError`."""
        mistakes = source.mistakes
        try:
            recipe = cls(**source.data)
        except RecipeError as error:
            raise RecipeError(source.in_order([*mistakes, *error.mistakes])) from None
        if mistakes:
            raise RecipeError(source.in_order(mistakes))
        return recipe

    def resolved(self) -> dict[str, Any]:
        """Return the recipe as plain data with every default written out."""
        data: dict[str, Any] = {}
        for key in type(self).model_fields:
            value = getattr(self, key)
            if isinstance(value, PolicySpec):
                data[key] = {value.name: dict(value.options)} if value.options else value.name
            elif isinstance(value, Mapping):
                data[key] = {name: _named(name, part) for name, part in value.items()}
            elif isinstance(value, Part):
                data[key] = {value.name: value.model_dump(mode="json")}
            elif isinstance(value, BaseModel):
                data[key] = value.model_dump(mode="json")
            else:
                data[key] = list(value) if isinstance(value, tuple) else value
        return data

    def to_yaml(self) -> str:
        """Return the resolved recipe as YAML; `from_yaml` reads back an equal recipe."""
        return yaml_source.dump(self.resolved())

    @property
    def hash(self) -> str:
        """A stable hash (16 hexadecimal digits) of the resolved recipe: equal recipes have equal hashes."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()[:16]


def _named(name: str, part: Part) -> dict[str, Any]:
    options = part.model_dump(mode="json")
    return options if name == part.name else {"part": part.name, **options}


def _policy(value: Any) -> tuple[PolicySpec | None, list[Mistake]]:
    if isinstance(value, PolicySpec):
        return value, []
    split = name_and_options(str(value) if isinstance(value, Path) else value)
    if split is None or not split[0]:
        expected = "expected a policy's name or folder, or {NAME: {OPTION: VALUE}}"
        return None, [Mistake(("policy",), f"{expected}, got {shown(value)}")]
    return PolicySpec(name=split[0], options=split[1]), []
