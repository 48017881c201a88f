"""`scorecraft score`: a file of completions, scored by a recipe's rewards, without training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scorecraft.cli.terminal import clean, errors, output, plain
from scorecraft.cli.training import INTERRUPTED
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.rescoring import ScoringResult


def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet or JSON Lines, a folder of such, or a run.")],
    reward: Annotated[str, typer.Option("--reward", metavar="RECIPE", help="A recipe file or a ready recipe.")],
    against: Annotated[
        str | None, typer.Option("--against", metavar="RECIPE", help="Another one, for a paired comparison.")
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the prompt is.")] = None,
    completion_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the completion is.")] = None,
    answer_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the true answer is.")] = None,
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="What is equal for completions of one prompt.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: FILE.scores")] = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=0, help="Processes; 0 for all cores.")] = 0,
    engine: Annotated[str, typer.Option("--engine", metavar="local|ray", help="Where parts are scored.")] = "local",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override in both recipes; may be repeated.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write the result as one JSON object.")] = False,
) -> None:
    """Score completions that are there already, and write a table, a summary and a page.

    Reads scorecraft's and TRL's Parquet, verl's and verifiers' JSON Lines, lists of messages, and plain rows with a
    prompt, a completion and an answer. A killed command goes on where it was when it is given again. Where the recipe
    names no task, answers are checked as plain answers.

    \b
    scorecraft score completions.parquet --reward mine.yaml
    scorecraft score rollouts.jsonl --reward mine.yaml --against other.yaml
    scorecraft score big.parquet --reward mine.yaml --engine ray
    """
    from scorecraft.rescoring import score_file
    from scorecraft.rescoring.page import write_page
    from scorecraft.rescoring.rows import Columns
    from scorecraft.runs.files import json_text

    if engine not in ("local", "ray"):
        raise ScorecraftError(f"--engine: expected 'local' or 'ray', got '{engine}'")
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = errors()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
            task = bar.add_task("rows", total=None)
            result = score_file(
                file, reward, against=against,
                columns=Columns(prompt_column, completion_column, answer_column, group_column),
                out=out, overrides=overrides or (), workers=workers or len(os.sched_getaffinity(0)),
                engine="ray" if engine == "ray" else "local", progress=lambda rows: bar.advance(task, rows),
            )  # fmt: skip
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on where this one was")
        raise typer.Exit(INTERRUPTED) from None
    page = write_page(result, file.name)
    if json:
        print(json_text({"folder": str(result.folder), "report": str(page), "format": result.format,
                         "comparison": result.comparison, **result.counts}, indent=1))  # fmt: skip
        return
    _print(output(), result, page)


def _print(console: Console, result: ScoringResult, page: Path) -> None:
    from rich.table import Table

    from scorecraft.rescoring.page import comparison_lines
    from scorecraft.rescoring.tally import failures, mean

    counts = result.counts
    table = Table(box=None, pad_edge=False)
    for name in ("reward", "weight", "mean", "without a value"):
        table.add_column(name, justify="left" if name == "reward" else "right")
    for name, reward in counts["rewards"].items():
        lost = ", ".join(f"{count} {outcome}" for outcome, count in failures(reward).items()) or "-"
        table.add_row(plain(name), f"{result.weights['reward'][name]:g}", _figure(mean(reward["values"])), plain(lost))
    table.add_row(plain("total", "bold"), "", _figure(mean(counts["total"])), "")
    console.print(table)
    groups = counts["groups"]
    console.print(
        f"\n{counts['rows']:,} rows, {groups['count']:,.0f} groups; of {groups['compared']:,.0f} with two or more "
        f"rewards {groups['equal']:,.0f} are all equal",
        soft_wrap=True,
    )
    if result.comparison is not None:
        console.print("\nagainst the other reward")
        for name, text in comparison_lines(result.comparison):
            console.print(plain(f"  {name}: {text}"), soft_wrap=True)
    if not result.has_answers:
        console.print(
            plain("warning: the file has no true answers, so a reward that checks answers saw none", "yellow")
        )
    if counts["unreadable"]:
        console.print(plain(f"warning: {counts['unreadable']:,} rows could not be read, the first: ", "yellow"), end="")
        console.print(clean(counts["bad_rows"][0]), soft_wrap=True)
    console.print(clean(f"scores: {result.folder}"), soft_wrap=True)
    console.print(clean(f"report: {page}"), soft_wrap=True)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
