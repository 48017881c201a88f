"""`scorecraft study`: list the studies, run one, look at what came out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import clean, duration, output, plain

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Re-run published claims against their own baselines.",
    short_help="Re-run published claims.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_COLOURS = {"holds": "green", "does not hold": "red", "inconclusive": "yellow"}
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


class Scale(StrEnum):
    """How much of a study is run."""

    SMOKE = "smoke"
    FULL = "full"


@app.command("list", short_help="List the studies and their verdicts.")
def list_studies(json: Json = False) -> None:
    """List the studies: the claim that each tries, and what came out.

    \b
    scorecraft study list
    """
    from scorecraft.catalog.papers import papers
    from scorecraft.catalog.verdicts import verdicts
    from scorecraft.runs.files import json_text
    from scorecraft.studies.find import study_slugs

    found = verdicts()
    rows = [{"slug": slug, "claim": papers()[slug].claim, "verdict": found.get(slug)} for slug in study_slugs()]
    if json:
        print(json_text(rows, indent=1))
        return
    console = output()
    for row in rows:
        verdict = row["verdict"] or "not run in full yet"
        console.print(plain(str(row["slug"]), "bold cyan"), plain(verdict, _COLOURS.get(verdict, "dim")))
        console.print(plain(f"  {row['claim']}"))
    if not rows:
        console.print("no studies yet")


@app.command("run", short_help="Run a study, or go on with one.")
def run(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The study; 'scorecraft study list' has them.")],
    scale: Annotated[
        Scale, typer.Option("--scale", help="smoke: seconds, claims nothing; full: what is reported.")
    ] = Scale.FULL,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Only the first so many seeds.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trials at a time, one thread each.")] = 2,
    json: Json = False,
) -> None:
    """Run a study; finished trials are kept, so a run that was stopped goes on where it was.

    The result and its picture go to studies/SLUG/, and studies/index.html shows all of them.

    \b
    scorecraft study run min-form-credit --scale smoke
    scorecraft study run min-form-credit --jobs 2
    """
    from scorecraft.cli.display import phase_bar
    from scorecraft.runs.files import json_text
    from scorecraft.studies import results
    from scorecraft.studies.find import find_study
    from scorecraft.studies.run import run_study

    study = find_study(slug)
    console = output()
    lines = _Lines(console)
    with phase_bar(show=not json) as bar:

        def progress(name: str, done: float, total: int) -> None:
            bar(name, round(100 * done), 100 * total)
            if not json and not console.is_terminal:
                lines.tell(name, done, total)

        kept = Path("runs") / "studies" / slug / scale.value
        result = run_study(study, scale.value, kept, seeds=seeds, workers=jobs, progress=progress)
    complete = seeds is None and scale is Scale.FULL
    path = results.keep(result) if complete else None
    if json:
        print(json_text(result, indent=1))
        return
    _print(console, result)
    if path is None:
        console.print("nothing was written to studies/: only a run in full, with all seeds, is a result")
    else:
        console.print(
            clean(f"kept: {path} and its picture; all studies: {results.FOLDER / 'index.html'}"), soft_wrap=True
        )


@app.command("show", short_help="Show what a study found.")
def show(
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="One study; without it, all of them.")] = None,
    json: Json = False,
) -> None:
    """Show what came out: every check with its interval, every arm with every seed.

    \b
    scorecraft study show
    scorecraft study show min-form-credit
    """
    from scorecraft.errors import ScorecraftError
    from scorecraft.runs.files import json_text
    from scorecraft.studies import results
    from scorecraft.studies.find import find_study

    if slug is not None:
        find_study(slug)
    found = results.all_results() if slug is None else [results.read(slug)]
    if json:
        print(json_text(found, indent=1))
        return
    if not found:
        raise ScorecraftError(
            f"{results.FOLDER}: no results here; run one with 'scorecraft study run SLUG', or go to the repository"
        )
    for result in found:
        _print(output(), result)


class _Lines:
    """A line at every tenth of the work, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console, self.last = console, ("", -1)

    def tell(self, name: str, done: float, total: int) -> None:
        tenth = int(10 * done / max(total, 1))
        if (name, tenth) != self.last:
            self.last = (name, tenth)
            self.console.print(clean(f"{name}: {done:.0f} of {total} trials"), soft_wrap=True)


def _print(console: Console, result: dict[str, Any]) -> None:
    from rich.table import Table

    verdict = str(result["verdict"])
    console.print(plain(result["slug"], "bold cyan"), plain(verdict, _COLOURS.get(verdict, "dim")))
    console.print(plain(f"  {result['claim']}"))
    for experiment in result["experiments"]:
        console.print()
        aside = "" if experiment["decides"] else "  (shown, does not decide)"
        console.print(plain(f"{experiment['title']}{aside}", "bold"))
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for heading in ("", *(metric["label"] for metric in experiment["metrics"])):
            table.add_column(plain(heading, "dim"))
        for arm in experiment["arms"]:
            cells = [_cell(arm["intervals"][metric["name"]], metric["percent"]) for metric in experiment["metrics"]]
            table.add_row(plain(arm["label"]), *cells)
        console.print(table)
        for check in experiment["checks"]:
            console.print(
                plain(f"  {check['verdict']}:", _COLOURS.get(check["verdict"], "dim")),
                plain(f"{check['text']}  {check['estimate']:.3g} [{check['low']:.3g}, {check['high']:.3g}]"),
                soft_wrap=True,
            )
    console.print(plain(f"\n{duration(result['seconds'])} of computing", "dim"))


def _cell(interval: dict[str, float], percent: bool) -> str:
    factor, unit = (100, " %") if percent else (1, "")
    mean, low, high = (factor * interval[key] for key in ("estimate", "low", "high"))
    return f"{mean:.3g}{unit} [{low:.3g}, {high:.3g}]"
