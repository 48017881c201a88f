"""Warm starts: teach the wind tunnel's model a task by supervised traces, up to a chosen competence and no further.

How good the policy becomes is set by the rate of flawed steps in the traces, not by stopping early: a model that has
learned the task and imitates the flaws can be improved by reinforcement learning, an undertrained one cannot. So it
first learns from flawless traces; then the rate is found by feedback on the accuracy measured on held-out problems,
sampled at temperature 1.

The weights that come with the package are those of the default task. Any other task starts from them where the
model's shape is the same, which takes a quarter of the time.

`python -m scorecraft.lm.warm_start --ship` makes the weights that come with the package.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.lm.cache import Progress, cache_folder, written_aside
from scorecraft.lm.competence import completion_limit, sampled_accuracy
from scorecraft.lm.policy import Policy
from scorecraft.lm.supervised import SupervisedSettings, SupervisedTrainer, shuffled_batches, trace_example
from scorecraft.lm.threads import fixed_threads
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.tasks.alphabet import ALPHABET

if TYPE_CHECKING:
    from scorecraft.tasks.task import TunnelTask

RECIPE = 1  # raised whenever the code below would give other weights for the same task and settings
PACKAGED = Path(__file__).parent / "data" / "tunnel-tiny"
WEIGHTS, RECORD = "model.safetensors", "warm_start.json"
ROUND = 50  # steps of training between two measurements
WITHIN = 0.015  # how near the measured accuracy must come to the one asked for
EXTRA = 2400  # steps at most after the first ones, to become able enough and to find the flaw rate
# Steps on flawless traces and the peak learning rate, from random weights and from the package's.
FROM_SCRATCH, FROM_PACKAGE = (1200, 3e-3), (300, 1e-3)


class WarmStart(BaseModel):
    """What a warm start aims at and what it may spend.

    competence: share of held-out problems answered correctly when sampled at temperature 1.
    layers, width, heads: the shape of the model, as for `tunnel_model`.
    seed: of the problems, the traces and, from scratch, the first weights.
    scratch: start from random weights even where the package has some of this shape.
    steps: optimizer steps on flawless traces, by the end of which the learning rate is at its floor; as many again
        while the policy is not able enough.
    learning_rate: its peak.
    budget: optimizer steps at most, those that find the flaw rate included.
    measured_on: held-out problems of each measurement; the last one takes four times as many.
    threads: fixed while it trains, since the order of summation decides the last bits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    competence: float = Field(default=0.40, gt=0.0, lt=1.0)
    layers: int = Field(default=4, ge=1)
    width: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    seed: int = Field(default=0, ge=0)
    scratch: bool = False
    steps: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0.0)
    budget: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)
    measured_on: int = Field(default=1000, ge=1)
    threads: int = Field(default=1, ge=1)

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> WarmStart:
        """Return settings from a recipe's options; raises `ScorecraftError` for an unknown name or a bad value."""
        for name in options:
            if name not in cls.model_fields:
                raise ScorecraftError(f"policy 'tunnel-tiny' has no option '{name}': {nearest(name, cls.model_fields)}")
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise ScorecraftError(
                f"policy 'tunnel-tiny', option '{name}': {first['msg']}, got {first['input']!r}"
            ) from error


@dataclass(frozen=True, slots=True)
class Record:
    """What came of a warm start: what it depends on, the weights' hash, and the accuracy they were measured at."""

    key: str
    sha256: str
    task: str
    shape: tuple[int, int, int]
    started_from: str
    accuracy: float
    samples: int
    flaw_rate: float
    steps: int


def warm_start(task: TunnelTask, settings: WarmStart | None = None, *, progress: Progress | None = None) -> Policy:
    """Return a tunnel policy that answers ``settings.competence`` of the task's problems correctly when sampled.

    The same task and settings give the same weights; the task's own ``seed`` does not matter. They are read from
    the package or the cache where they are there already. Weights are kept in float16 and returned in float32,
    and their competence is measured after that rounding.

    Raises:
        ScorecraftError: where the competence is not reached within the budget, or the package's weights are damaged.
    """
    settings = settings or WarmStart()
    key = warm_start_key(task, settings)
    packaged = read_record(PACKAGED) if (PACKAGED / RECORD).is_file() else None
    if packaged and packaged.key == key:
        return _load(PACKAGED, settings)
    fits = packaged is not None and packaged.shape == _shape(settings) and not settings.scratch
    started_from = packaged.sha256 if packaged and fits else ""
    target = cache_folder() / "tunnel-tiny" / "-".join(filter(None, (key, started_from[:8])))
    if target.is_dir():
        try:
            return _load(target, settings)
        except ScorecraftError:
            shutil.rmtree(target)  # damaged on disk: what is made again is the same
    start = _load(PACKAGED, settings) if fits else _untrained(settings)
    policy, record = _train(task, settings, start, progress, scratch=not fits)
    with written_aside(target) as folder:
        _save(policy, replace(record, key=key, started_from=started_from), folder)
    return _load(target, settings)


def warm_start_key(task: TunnelTask, settings: WarmStart) -> str:
    """Return the hash of everything a warm start depends on, samples of the task's traces included."""
    task = _reseeded(task, settings)
    probe = []
    for index in range(8):
        problem = task.problem("train", index)
        probe.append([problem.prompt, problem.answer, task.trace(problem, 0.3, Random(index))])
    parts = {
        "recipe": RECIPE,
        "settings": settings.model_dump(),
        "task": type(task).name,
        "fields": task.model_dump(mode="json"),
        "alphabet": ALPHABET,
        "probe": probe,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:24]


def read_record(folder: Path) -> Record:
    """Return the record beside a warm start's weights; raises `ScorecraftError` where it is not one."""
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Record(**fields | {"shape": tuple(fields["shape"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ScorecraftError(f"{folder / RECORD}: not the record of a warm start ({error})") from error


def adjusted_flaw_rate(rate: float, measured: float, competence: float, steps: float) -> float:
    """Return the next flaw rate f', from (1 - f') / (1 - f) = (competence / measured)^(1 / steps).

    Args:
        rate: flaw rate f of the traces that led to the measured accuracy.
        measured: accuracy of the policy, at least one in a hundred for this purpose.
        competence: the accuracy asked for.
        steps: reasoning steps of a problem, on average; every one of them must be right.
    """
    kept = (1.0 - rate) * (competence / max(measured, 0.01)) ** (1.0 / steps)
    return min(max(1.0 - kept, 0.0), 0.9)


def _train(
    task: TunnelTask, settings: WarmStart, policy: Policy, progress: Progress | None, *, scratch: bool = False
) -> tuple[Policy, Record]:
    """Train ``policy`` in place until its competence is right."""
    task = _reseeded(task, settings)
    schedule = _schedule(settings, scratch)
    budget = settings.budget or schedule.steps + EXTRA
    with fixed_threads(settings.threads):
        trainer = SupervisedTrainer(policy, schedule)
        limit, steps = completion_limit(policy, task), _steps_of(task)
        rate, measured, held_out, next_measure = 0.0, 0.0, 0, schedule.steps

        def accuracy(count: int) -> float:
            nonlocal held_out
            held_out += count
            return sampled_accuracy(policy, task, held_out - count, count, max_new_tokens=limit, seed=settings.seed)

        while trainer.step_count < budget:
            _train_round(policy, task, trainer, rate, settings, budget)
            if progress:
                progress("warm start", trainer.step_count, budget)
            if trainer.step_count < next_measure:
                continue
            measured = accuracy(settings.measured_on)
            if abs(measured - settings.competence) <= WITHIN:
                exact = _round_weights(policy)
                samples = 4 * settings.measured_on
                measured = accuracy(samples)
                if abs(measured - settings.competence) <= WITHIN:
                    name, shape = type(task).name, _shape(settings)
                    return policy, Record("", "", name, shape, "", measured, samples, rate, trainer.step_count)
                _restore_weights(policy, exact)
            if rate == 0.0 and measured < settings.competence:
                # Not able enough even without flaws: learn on at a high learning rate.
                trainer.restart_schedule()
                next_measure = trainer.step_count + schedule.steps
            rate = adjusted_flaw_rate(rate, measured, settings.competence, steps)
    raise ScorecraftError(
        f"warm start on '{type(task).name}': competence {settings.competence:.2f} was not reached in {budget} steps "
        f"(last {measured:.3f}, at a flaw rate of {rate:.3f}); raise 'steps' and 'budget', ask for another "
        "'competence', or make the task easier"
    )


def _schedule(settings: WarmStart, scratch: bool) -> SupervisedSettings:
    steps, peak = FROM_SCRATCH if scratch else FROM_PACKAGE
    return SupervisedSettings(
        steps=settings.steps or steps, learning_rate=settings.learning_rate or peak, floor=0.1, warmup_steps=20
    )


def _steps_of(task: TunnelTask) -> float:
    """Return how many steps a gold solution has, on average over some problems; at least 1."""
    golds = [problem.gold for problem in task.problems("train", 0, 200)]
    return max(1.0, sum(gold.count(task.step_delimiter) for gold in golds) / len(golds))


def _shape(settings: WarmStart) -> tuple[int, int, int]:
    return settings.layers, settings.width, settings.heads


def _train_round(
    policy: Policy, task: TunnelTask, trainer: SupervisedTrainer, rate: float, settings: WarmStart, budget: int
) -> None:
    """Train for one round on new problems, each step of their traces flawed with probability ``rate``."""
    start = trainer.step_count
    steps = min(ROUND, budget - start)
    random = Random(f"{settings.seed}/{start}")
    examples = [
        trace_example(policy, problem.prompt, task.trace(problem, rate, random), tool_call_end=task.tool_call_end)
        for problem in task.problems("train", start * settings.batch_size, steps * settings.batch_size)
    ]
    for batch in shuffled_batches(examples, settings.batch_size, policy.pad_id, random):
        trainer.step(batch)


def _reseeded(task: TunnelTask, settings: WarmStart) -> TunnelTask:
    """Let the warm start's seed decide the problems, so that every run of a comparison begins with one policy."""
    return task.model_copy(update={"seed": settings.seed})


def _untrained(settings: WarmStart) -> Policy:
    model = tunnel_model(settings.layers, settings.width, settings.heads, seed=settings.seed)
    return Policy(model, tunnel_tokenizer(), "tunnel-tiny")


@torch.no_grad()
def _round_weights(policy: Policy) -> list[torch.Tensor]:
    """Round the weights to float16's values in place, and return them as they were."""
    exact = [weight.clone() for weight in policy.model.parameters()]
    for weight in policy.model.parameters():
        weight.copy_(weight.half().float())
    return exact


@torch.no_grad()
def _restore_weights(policy: Policy, exact: list[torch.Tensor]) -> None:
    for weight, value in zip(policy.model.parameters(), exact, strict=True):
        weight.copy_(value)


def _save(policy: Policy, record: Record, folder: Path) -> None:
    from safetensors.torch import save

    data = save({name: weight.detach().half() for name, weight in policy.model.named_parameters()})
    (folder / WEIGHTS).write_bytes(data)
    fields = asdict(record) | {"sha256": hashlib.sha256(data).hexdigest()}
    (folder / RECORD).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def _load(folder: Path, settings: WarmStart) -> Policy:
    from safetensors.torch import load

    record, path = read_record(folder), folder / WEIGHTS
    data = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(data).hexdigest()
    if found != record.sha256:
        raise ScorecraftError(
            f"{path}: damaged weights (sha256 {found[:12]}..., expected {record.sha256[:12]}...); reinstall scorecraft"
        )
    policy, stored = _untrained(settings), load(data)
    for name, weight in policy.model.named_parameters():
        weight.copy_(stored[name])
    return policy


def _ship() -> Record:
    """Make the default policy anew and put it where the package keeps it."""
    from rich.progress import Progress as Bar

    from scorecraft.tasks.chain_arithmetic import ChainArithmetic

    task, settings = ChainArithmetic.model_validate({}), WarmStart()
    with Bar() as bar:
        row = bar.add_task("warm start", total=None)
        policy, record = _train(
            task,
            settings,
            _untrained(settings),
            lambda _, done, total: bar.update(row, completed=done, total=total),
            scratch=True,
        )
    PACKAGED.mkdir(parents=True, exist_ok=True)
    _save(policy, replace(record, key=warm_start_key(task, settings)), PACKAGED)
    return read_record(PACKAGED)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(prog="python -m scorecraft.lm.warm_start", description=__doc__)
    parser.add_argument("--ship", action="store_true", required=True, help="make the weights of the package anew")
    parser.parse_args()
    print(json.dumps(asdict(_ship()), indent=2))
