"""`scorecraft compare`: several recipes, the same seeds, one page with the differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import clean, errors, figure, output, plain
from scorecraft.cli.training import INTERRUPTED, RUNS
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.cli.compare_display import CompareDisplay
    from scorecraft.recipes.recipe import Recipe


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison: the recipe's short name, the recipe with its seed, and where the run is kept."""

    name: str
    recipe: Recipe
    directory: Path


def compare(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE RECIPE... [KEY=VALUE...]", help="Ready recipes or YAML files, then overrides."),
    ],
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="How many seeds each recipe gets.")] = 5,
    first_seed: Annotated[int, typer.Option("--first-seed", metavar="N", min=0, help="The first of the seeds.")] = 0,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", min=1, help="Steps, for all recipes.")] = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", metavar="DIR", help="Where the runs are kept (default: runs/compare-A-B)."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write the result as one JSON object.")] = False,
) -> None:
    """Train several recipes with the same seeds, and write a page with their differences.

    The first recipe is the one the others are compared with. Overrides hold for all. Each run is kept under
    runs/compare-A-B/RECIPE-seed-N; the same command again keeps the finished runs and goes on with an interrupted
    one where it was, so it is also how to add seeds later. The page is comparison.html beside the runs.

    \b
    scorecraft compare default hacked --seeds 5
    scorecraft compare a.yaml b.yaml c.yaml --seeds 3 --steps 50
    scorecraft compare a.yaml b.yaml task=multiple-choice optimizer.lr=1e-3
    """
    planned = plan(arguments, range(first_seed, first_seed + seeds), steps, runs)
    from scorecraft.cli.compare_display import comparison_display

    try:
        with comparison_display(len(planned), sum(run.recipe.steps for run in planned), quiet=quiet) as display:
            for run in planned:
                _carry_out(run, display)
    except KeyboardInterrupt:
        errors().print("stopped; the same command goes on where this one was")
        raise typer.Exit(INTERRUPTED) from None
    from scorecraft.report import write_report
    from scorecraft.report.overlay import comparison_of, read_run
    from scorecraft.runs import RunStore
    from scorecraft.runs.files import json_text

    directories = [run.directory for run in planned]
    page = write_report(directories)
    result = comparison_of([read_run(RunStore.open(path), path.name) for path in directories])
    if json:
        finals = {"runs": [str(path) for path in directories], "report": str(page)}
        print(json_text({**result, **finals}, indent=1))
    elif not quiet:
        _print_result(output(), result, page)


def plan(arguments: Sequence[str], seeds: Sequence[int], steps: int | None, runs: Path | None) -> list[PlannedRun]:
    """Return every run of a comparison, seed by seed, so that an early stop leaves whole pairs.

    Raises `ScorecraftError` for fewer than two recipes, the same one twice, one that does not exist, or a run that
    is there already with another recipe.
    """
    from scorecraft.recipes.ready import load_recipe

    sources, overrides = split_recipes(arguments)
    overrides = [*overrides, *([f"steps={steps}"] if steps else [])]
    names = recipe_names(sources)
    folder = runs or RUNS / f"compare-{'-'.join(names)}"
    recipes: dict[str, Recipe] = {}
    known: dict[str, str] = {}
    for source, name in zip(sources, names, strict=True):
        recipes[name] = load_recipe(source, [*overrides, f"seed={seeds[0]}"])
        twin = known.setdefault(recipes[name].hash, source)
        if twin != source:
            raise ScorecraftError(
                f"'{twin}' and '{source}' are the same recipe with these overrides, so there is nothing to compare"
            )
    planned = [
        PlannedRun(
            name, load_recipe(source, [*overrides, f"seed={seed}"]) if seed != seeds[0] else recipes[name],
            folder / f"{name}-seed-{seed}",
        )
        for seed in seeds
        for source, name in zip(sources, names, strict=True)
    ]  # fmt: skip
    for run in planned:
        _check_stored(run)
    return planned


def split_recipes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split what the user typed into recipes and ``key=value`` overrides."""
    sources = [argument for argument in arguments if "=" not in argument or Path(argument).is_file()]
    overrides = [argument for argument in arguments if argument not in sources]
    if len(sources) < 2:
        got = f"got {sources[0]}" if sources else "got none"
        raise ScorecraftError(f"compare needs two recipes or more, {got}; as in: scorecraft compare default hacked")
    repeated = next((source for source in sources if sources.count(source) > 1), None)
    if repeated:
        raise ScorecraftError(f"recipe '{repeated}' is given twice; compare needs recipes that differ")
    if any(override.partition("=")[0].strip() == "seed" for override in overrides):
        raise ScorecraftError("compare gives all recipes the same seeds; choose them with --seeds and --first-seed")
    return sources, overrides


def recipe_names(sources: Sequence[str]) -> list[str]:
    """Return a short name for each recipe: the file's name without its ending, numbered where it repeats."""
    names: list[str] = []
    for source in sources:
        stem, number = Path(source).stem, 1
        while (name := stem if number == 1 else f"{stem}-{number}") in names:
            number += 1
        names.append(name)
    return names


def _check_stored(run: PlannedRun) -> None:
    from scorecraft.recipes.recipe import Recipe
    from scorecraft.runs import RunStore, is_run

    if not is_run(run.directory):
        return
    if Recipe.from_yaml(RunStore.open(run.directory).recipe_yaml).hash != run.recipe.hash:
        raise ScorecraftError(
            f"{run.directory}: there is a run of another recipe, perhaps with other overrides or steps; give the same "
            "ones again, or keep this comparison elsewhere with --runs DIR"
        )


def _carry_out(run: PlannedRun, display: CompareDisplay) -> None:
    """Train, go on, or leave a run that is finished as it is."""
    from scorecraft.runs import RunStore, is_run

    display.expect(run.directory.name)
    exists = is_run(run.directory)
    if exists and run.recipe.steps in RunStore.open(run.directory).checkpoints():
        display.start(run.recipe, run.directory, run.recipe.steps, run.recipe.steps)
        display.message(f"{run.directory.name}: finished before")
        return
    from scorecraft.recipes.train import train

    train(run.recipe, run.directory, resume=exists, display=display)
    display.message(f"{run.directory.name}: done")


def _print_result(console: Console, result: Mapping[str, Any], page: Path) -> None:
    from rich.table import Table

    from scorecraft.report.comparison import written

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in result["recipes"]:
        table.add_column(plain(name), justify="right")
    for name in result["recipes"][1:]:
        table.add_column(plain(f"{name} - {result['baseline']}"), justify="right")
    for row in result["rows"]:
        kind = "accuracy" if row["format"] == "share" else "reward"
        values = [figure(kind, value) for value in row["values"]]
        found = [written(one, row["format"]) if one else "-" for one in row["differences"]]
        table.add_row(plain(row["title"]), *values, *found)
    console.print(table)
    console.print()
    for sentence in result["sentences"]:
        console.print(clean(sentence), soft_wrap=True)
    console.print(clean(f"report: {page}"), soft_wrap=True)
