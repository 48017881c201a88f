"""`scorecraft eval` and `scorecraft generate`: measure a policy, and read what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import clean, figure, output
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from scorecraft.rollouts import Rollouts

Source = Annotated[
    str, typer.Argument(metavar="RUN_OR_MODEL", help="A run's directory, a built-in policy or a model folder.")
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME_OR_YAML",
        help="A task's name, YAML such as '{jsonl: {path: questions.jsonl}}', or a recipe file (default: the run's).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]


def evaluate(
    source: Source,
    task: TaskOption = None,
    problems: Annotated[int, typer.Option(min=1, help="Number of held-out problems.")] = 256,
    samples: Annotated[int | None, typer.Option(min=1, help="Completions of each (default: the largest k).")] = None,
    k: Annotated[str, typer.Option("--k", help="For which k to report pass@k, as in 1,4.")] = "1",
    temperature: Annotated[float, typer.Option(min=0.0, help="Sampling temperature; 0 is greedy.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    json: Json = False,
) -> None:
    """Measure a policy on held-out problems: true accuracy and pass@k, with 95 % intervals.

    \b
    scorecraft eval runs/default
    scorecraft eval runs/default --samples 8 --k 1,4,8
    scorecraft eval tunnel-tiny --task chain-arithmetic --temperature 0
    """
    wanted = parse_k(k)
    count = samples or max(wanted)
    if max(wanted) > count:
        raise ScorecraftError(f"--k {max(wanted)} needs at least {max(wanted)} samples, got --samples {count}")

    from scorecraft.cli.display import phase_bar
    from scorecraft.cli.summaries import print_metrics
    from scorecraft.recipes import evaluate as measuring
    from scorecraft.runs.files import json_text

    with phase_bar(show=not json) as progress:
        policy, held_task, sampling = measuring.load_policy_and_task(source, task_yaml(task), progress)
        metrics = measuring.evaluate(
            policy,
            held_task,
            sampling,
            problems=problems,
            samples=count,
            k=wanted,
            temperature=temperature,
            seed=seed,
            progress=lambda done, total: progress("held-out problems", done, total),
        )
    if json:
        print(json_text(dict(metrics), indent=1))
        return
    drawn = f"{figure('problems', metrics.get('problems', problems))} problems, {count} samples each"
    title = f"{policy.name} on {held_task.name}: {drawn}, temperature {temperature:g}"
    print_metrics(output(), title, metrics)


def task_yaml(task: str | None) -> str | None:
    """Return the task as YAML: what was given, or what the recipe file that was named holds under 'task'."""
    if task is None or not task.endswith((".yaml", ".yml")):
        return task
    from scorecraft.recipes.yaml_source import read
    from scorecraft.runs.files import json_text

    data = read(Path(task)).data
    if "task" not in data:
        raise ScorecraftError(f"{task}: expected a recipe with the key 'task'")
    return json_text(data["task"])


def parse_k(text: str) -> tuple[int, ...]:
    """Return the values of ``--k 1,4``; raises `ScorecraftError` where they are not whole numbers of at least 1."""
    items = [item.strip() for item in text.split(",")]
    if not all(item.isdecimal() and int(item) >= 1 for item in items):
        raise ScorecraftError(f"--k {clean(text)}: expected whole numbers of at least 1, as in --k 1,4")
    return tuple(sorted({int(item) for item in items}))


def generate(
    source: Source,
    task: TaskOption = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="Your own prompt; \\n is a new line.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Number of problems.")] = 4,
    samples: Annotated[int, typer.Option(min=1, help="Completions of each problem.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Sampling temperature (default: the run's).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
) -> None:
    """Show completions: tokens shaded by their probability, with the verdict on the answer and on each step.

    \b
    scorecraft generate runs/default
    scorecraft generate runs/default --prompt "12+7-3=?\\n" --samples 3
    scorecraft generate smollm2-135m --task reasoning-gym --count 1
    """
    from scorecraft.cli.completions import OwnPrompt, print_completions
    from scorecraft.cli.display import phase_bar
    from scorecraft.problem import Problem
    from scorecraft.recipes.evaluate import load_policy_and_task

    with phase_bar() as progress:
        policy, held_task, sampling = load_policy_and_task(source, task_yaml(task), progress)
    settings: dict[str, Any] = {"group_size": samples, "filter_groups": "none"}
    if temperature is not None:
        settings["temperature"] = temperature
    drawn = sampling.model_copy(update=settings)
    if prompt is not None:
        problems = [Problem(prompt.replace("\\n", "\n"), "")]
        rollouts = _draw(policy, OwnPrompt(held_task), drawn, problems, seed)
        print_completions(output(), rollouts, policy.token_text, None)
        return
    problems = held_task.problems("test", 0, min(count, held_task.test_size or count))
    print_completions(output(), _draw(policy, held_task, drawn, problems, seed), policy.token_text, held_task)


def _draw(policy: Any, task: Any, sampling: Any, problems: list[Any], seed: int) -> Rollouts:
    import torch

    from scorecraft.context import Context

    generator = torch.Generator().manual_seed(seed)
    return sampling(policy, problems, Context(task=task, generator=generator, policy=policy))
