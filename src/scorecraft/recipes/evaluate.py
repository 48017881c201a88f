"""Measuring a policy on held-out problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.recipes.collect import verdicts
from scorecraft.stats.intervals import bootstrap_interval, wilson_interval
from scorecraft.stats.pass_at_k import pass_at_k

if TYPE_CHECKING:
    from scorecraft.lm.cache import Progress
    from scorecraft.sampling.sampling import Sampling
    from scorecraft.tasks.task import Task

ROLLOUTS_AT_ONCE = 512


def evaluate(
    policy: Policy,
    task: Task,
    sampling: Sampling,
    *,
    problems: int = 256,
    samples: int = 1,
    k: Sequence[int] = (1,),
    temperature: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Return accuracy on held-out problems with a 95 % interval, mean@k, pass@k, length and truncated share.

    The problems and the random numbers depend on ``seed`` alone, so two policies, or one at two times, are
    measured on the same problems. ``accuracy`` is the mean over all samples, with a Wilson interval for one sample
    a problem and a bootstrap over problems for more; ``pass@k`` is the unbiased estimate from ``samples`` draws.
    """
    if samples < max(k):
        raise ScorecraftError(f"pass@{max(k)} needs at least {max(k)} samples a problem, got {samples}")
    count = problems if task.test_size is None else min(problems, task.test_size)
    drawn = sampling.model_copy(update={"group_size": samples, "temperature": temperature, "filter_groups": "none"})
    context = Context(task, torch.Generator().manual_seed(seed), policy=policy)
    each = max(1, ROLLOUTS_AT_ONCE // samples)
    correct, lengths, truncated, unparsed = [], [], [], 0
    for start in range(0, count, each):
        batch = drawn(policy, task.problems("test", start, min(each, count - start)), context)
        truth = verdicts(batch, context)
        correct += [verdict.correct for verdict in truth]
        unparsed += sum(verdict.parsed is None for verdict in truth)
        lengths += batch.lengths.tolist()
        truncated += batch.truncated.tolist()
        if progress:
            progress(min(start + each, count), count)
    table = np.array(correct, dtype=np.float64).reshape(count, samples)
    interval = wilson_interval(int(table.sum()), count) if samples == 1 else bootstrap_interval(table.mean(1))
    result = {
        "accuracy": float(table.mean()),
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
        "problems": float(count),
        "samples": float(samples),
        "length": float(np.mean(lengths)),
        "truncated": float(np.mean(truncated)),
        "unparsed": unparsed / len(correct),
    }
    if samples > 1:
        result[f"mean@{samples}"] = result["accuracy"]
    for size in k:
        result[f"pass@{size}"] = float(np.mean(pass_at_k(np.full(count, samples), table.sum(1).astype(int), size)))
    return result


def load_policy_and_task(
    source: str, task: str | None = None, progress: Progress | None = None
) -> tuple[Policy, Task, Sampling]:
    """Return policy, task and sampling of a run's directory (its newest checkpoint), or of a policy by name.

    ``task`` is a part's name or its YAML; without it a run brings its own, and a policy gets the default task.
    ``progress`` is told how far a warm start or a conversion is.
    """
    from scorecraft.recipes.recipe import Recipe
    from scorecraft.recipes.yaml_source import read
    from scorecraft.runs.store import RunStore, is_run

    text = f"task: {task}\n" if task else "seed: 0\n"
    folder = Path(source)
    if not is_run(folder):
        recipe = Recipe.from_source(read(text))
        policy = resolve_policy(source, {}, recipe.task, device=recipe.device, dtype=recipe.dtype, progress=progress)
        return policy, recipe.task, recipe.sampling
    store = RunStore.open(folder)
    recipe = Recipe.from_yaml(store.recipe_yaml)
    found = store.load_checkpoint()
    if found is None:
        raise ScorecraftError(
            f"{folder}: this run has no checkpoint yet; wait for one, or train with checkpoint.every=1"
        )
    policy = Policy.load(found[1] / "policy", name=folder.name, device=recipe.device, dtype=recipe.dtype)
    chosen = Recipe.from_source(read(text)).task if task else recipe.task
    return policy, chosen, recipe.sampling
