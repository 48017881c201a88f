"""The command line: what each command is called, and what becomes of its errors.

Commands import what they need when they run, so that ``scorecraft --help`` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from scorecraft import __version__
from scorecraft.cli import (
    catalog,
    compare,
    detecting,
    explaining,
    gossip,
    listing,
    measuring,
    mechanism,
    metrics,
    plugins,
    probing,
    rank_traces,
    ranking,
    rescoring,
    sample_planning,
    studying,
    training,
    verify_check,
)
from scorecraft.cli.terminal import errors, plain
from scorecraft.errors import ScorecraftError

USER_ERROR = 2

app = typer.Typer(
    name="scorecraft",
    help="A wind tunnel for rewards and scores: try a reward here before it breaks on a cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """Make Ctrl-C end a command with one line and the code that shells use for it."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            errors().print("stopped")
            raise typer.Exit(training.INTERRUPTED) from None

    return wrapped


for _name, _command, _short in (
    ("train", training.train, "Train a policy against a reward."),
    ("eval", measuring.evaluate, "Measure a policy on held-out problems."),
    ("generate", measuring.generate, "Show completions and their verdicts."),
    ("compare", compare.compare, "Train several recipes with the same seeds, and table their differences."),
    ("score", rescoring.score, "Score completions that are there already."),
    ("explain", explaining.explain, "Show which tokens each credit method would reinforce."),
    ("report", listing.report, "Write the page on one or several runs."),
    ("tasks", listing.tasks, "List the tasks, with examples."),
    ("parts", listing.parts, "List what can stand in a recipe."),
    ("lint", listing.lint, "Check whether a recipe's parts survive one another."),
    ("verify-check", verify_check.verify_check, "Check a verifier with a second one."),
    ("probe-reward", probing.probe_reward, "See whether tricks earn more than honest work."),
    ("rank-traces", rank_traces.rank_traces, "Rank teachers' traces by how well they suit a student."),
    ("plan-samples", sample_planning.plan_samples, "Plan how many samples until one is right."),
    ("rank", ranking.rank, "Rank models over many benchmarks, and say how sure each rank is."),
    ("metrics", metrics.metrics, "Measure the probabilities in a file."),
    ("methods", catalog.methods, "List the published methods and what came of them."),
    ("cite", catalog.cite, "Print BibTeX for a recipe or a method."),
    ("new", listing.new, "Copy a ready recipe to start from."),
):
    app.command(_name, short_help=_short)(_stoppable(_command))


app.add_typer(studying.app, name="study")
app.add_typer(plugins.app, name="plugins")
app.add_typer(detecting.app, name="detect")
app.add_typer(mechanism.app, name="mechanism", short_help="Find what to pay raters whose effort nobody sees.")
app.add_typer(gossip.app, name="gossip", short_help="Audit the peer scores of a gossip network.")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"scorecraft {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere in the line.")
    ] = False,
) -> None:
    del version, debug


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 a mistake of the user's, 130 interrupted, 1 a fault of ours."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    # Loading a policy is over in a moment; the bars of the libraries beneath would tear our own display.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(args=[item for item in given if item != "--debug"], prog_name="scorecraft")
    except ScorecraftError as error:
        if debug:
            raise
        errors().print(plain(f"error: {error}", "red"), soft_wrap=True)
        sys.exit(USER_ERROR)
    except ImportError as error:
        if debug or (error.name or "").startswith("scorecraft"):
            raise
        errors().print(plain(f"error: {_incomplete(error)}", "red"), soft_wrap=True)
        sys.exit(USER_ERROR)


def _incomplete(error: ImportError) -> str:
    """Say what to install after a library could not be imported: it is absent, or only partly there."""
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return f"'{package}' is not installed: pip install 'scorecraft[lm]'"
    what = f"'{package}'" if package else "a library"
    return (
        f"{what} is installed but cannot be imported ({error}): the installation may have been interrupted; "
        f"pip install --force-reinstall --no-deps {package or 'scorecraft'}"
    )


if __name__ == "__main__":
    run()
