"""`scorecraft train`: find the recipe, the run's directory and the display, and hand over to the loop."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scorecraft.cli.terminal import errors, plain
from scorecraft.errors import ScorecraftError, ScorecraftWarning

if TYPE_CHECKING:
    from scorecraft.recipes.display import TrainingDisplay

RUNS = Path("runs")
INTERRUPTED = 130


def train(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|KEY=VALUE",
            help="A ready recipe's name or a YAML file (default: default), then overrides.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Where the run is kept (default: runs/<recipe>).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's newest checkpoint.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object a line instead of a display.")] = False,
) -> None:
    """Train a policy against a reward, and write a report to look at.

    \b
    scorecraft train                                 the default recipe, minutes on a laptop
    scorecraft train hacked                          a ready recipe ('scorecraft new' lists them)
    scorecraft train mine.yaml steps=50              a file, with fewer steps
    scorecraft train task=multiple-choice optimizer.lr=1e-3 reward.brevity.weight=0.1
    scorecraft train --run runs/default --resume     go on after a kill or Ctrl-C
    """
    name, overrides = split_arguments(arguments or [])
    if resume:
        directory = _directory_to_resume(run)
        source = name or str(directory / "recipe.yaml")
    else:
        source = name or "default"
        directory = run or free_directory(RUNS, Path(source).stem)

    from scorecraft.recipes.ready import load_recipe

    recipe = load_recipe(source, overrides)
    # Imported after the recipe was checked: a mistake in it is told without the wait for the libraries.
    from scorecraft.cli.display import choose_display
    from scorecraft.recipes.train import train as run_training

    with choose_display(quiet=quiet, json=json) as display, _warnings_in(display):
        try:
            run_training(recipe, directory, resume=resume, display=display)
        except KeyboardInterrupt:
            display.close()
            errors().print(plain(_how_to_resume(directory)), soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None


def split_arguments(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split what the user typed into the recipe (None where it is left out) and the overrides."""
    first, *rest = arguments or [""]
    if not first or ("=" in first and not Path(first).is_file()):
        name, overrides = None, list(arguments)
    else:
        name, overrides = first, rest
    for argument in overrides:
        if "=" not in argument:
            raise ScorecraftError(f"'{argument}': expected key=value after the recipe, as in steps=50")
    return name, overrides


def free_directory(parent: Path, name: str) -> Path:
    """Return ``parent/name``, or ``parent/name-2`` and so on where that is taken."""
    taken = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
    number = 1
    while (label := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return parent / label


def _directory_to_resume(run: Path | None) -> Path:
    if run is not None and (run / "recipe.yaml").is_file():
        return run
    runs = sorted(str(path.parent) for path in RUNS.glob("*/recipe.yaml"))
    here = f"runs here: {', '.join(runs)}" if runs else "there are no runs here"
    what = "--resume needs --run DIR" if run is None else f"{run}: not a run that can be resumed"
    raise ScorecraftError(f"{what}; {here}")


def _how_to_resume(directory: Path) -> str:
    from scorecraft.runs import is_run

    if not is_run(directory):
        return "stopped before the first step; nothing was written"
    return f"stopped; go on with: scorecraft train --run {directory} --resume"


@contextmanager
def _warnings_in(display: TrainingDisplay) -> Iterator[None]:
    """Show the project's own warnings in the display, where they do not tear the panel."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: object) -> None:
            if issubclass(category, ScorecraftWarning):
                display.message(str(message), "warning")
            else:
                usual(message, category, filename, lineno)

        warnings.simplefilter("always", ScorecraftWarning)
        warnings.showwarning = show
        yield
