"""`scorecraft rank`: which model is best over many benchmarks, and how sure is that."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError, require

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.arena.table_ranking import TableRanking

SHOWN = 30


class MissingScores(StrEnum):
    """What becomes of a score that is not there."""

    ERROR = "error"
    LOSS = "loss"
    SKIP = "skip"


class TiedScores(StrEnum):
    """What both models get for equal scores."""

    HALF = "half"
    NONE = "none"
    COIN = "coin"


def rank(
    file: Annotated[
        Path, typer.Argument(metavar="TABLE", help="Models and their scores: CSV, TSV, Parquet, JSON or JSON Lines.")
    ],
    order: Annotated[
        str | None, typer.Option("--order", metavar="A,B,C", help="Benchmarks to use, from basic to advanced.")
    ] = None,
    random_order: Annotated[
        bool, typer.Option("--random-order", help="Draw the order anew in each tournament, so that it cannot matter.")
    ] = False,
    lower: Annotated[
        list[str] | None, typer.Option("--lower", metavar="BENCHMARK", help="Here a lower score is better.")
    ] = None,
    eliminate: Annotated[
        int, typer.Option("--eliminate", metavar="T", min=0, help="So many of the weakest leave after each round.")
    ] = 0,
    missing: Annotated[
        MissingScores,
        typer.Option("--missing", help="A missing score stops, loses to all others, or sits that benchmark out."),
    ] = MissingScores.ERROR,
    ties: Annotated[TiedScores, typer.Option("--ties", help="What both get for equal scores.")] = TiedScores.HALF,
    margin: Annotated[
        float, typer.Option(metavar="D", min=0, help="Scores no further apart are equal, in their own unit.")
    ] = 0.0,
    runs: Annotated[int, typer.Option(metavar="N", min=1, help="Tournaments.")] = 100_000,
    resamples: Annotated[
        int, typer.Option(metavar="N", min=0, help="Draws of items, or of benchmarks, for the intervals.")
    ] = 500,
    confidence: Annotated[float, typer.Option(metavar="C", help="Coverage of the intervals.")] = 0.95,
    model_column: Annotated[str | None, typer.Option(metavar="NAME", help="Which model a row is of.")] = None,
    benchmark_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which benchmark; makes it a table with a row a score.")
    ] = None,
    score_column: Annotated[str | None, typer.Option(metavar="NAME", help="The score of such a row.")] = None,
    item_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which item; several items a benchmark are averaged.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write a page with pictures here.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of tournaments and draws.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Draw no progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Rank models over many benchmarks, in several ways beside each other, and say how sure each rank is.

    Swiss rounds let models of equal standing meet on one benchmark after the other: no weights and no units, only who
    beats whom. Beside them: means, z-scores, Borda, win rates, Bradley-Terry, Elo. Intervals come from items where the
    table has a row an item, and from the choice of benchmarks where it has not.

    \b
    scorecraft rank leaderboard.csv
    scorecraft rank leaderboard.csv --order gsm8k,math,aime --eliminate 1 --page ranking.html
    scorecraft rank scores.parquet --benchmark-column task --item-column doc_id
    scorecraft rank table.json --missing skip --lower perplexity
    """
    from scorecraft.arena.score_table import read_score_table
    from scorecraft.arena.table_ranking import RankingSettings, rank_table
    from scorecraft.cli.display import phase_bar
    from scorecraft.compiling import compiling_told

    require("numba", "arena", "ranking models")
    if page is not None and page.resolve() == file.resolve():
        raise ScorecraftError(f"{page}: this is the table itself; choose another name for the page")
    table = read_score_table(
        file, model=model_column, benchmark=benchmark_column, score=score_column, item=item_column,
        order=[name.strip() for name in order.split(",")] if order else (), lower=list(lower or []),
    )  # fmt: skip
    settings = RankingSettings(
        eliminate=eliminate, runs=runs, ties=ties.value, margin=margin, missing=missing.value,
        order="random" if random_order else "given", resamples=resamples, confidence=confidence, seed=seed,
    )  # fmt: skip
    with (
        phase_bar(show=not (quiet or json)) as progress,
        compiling_told(lambda said: progress(said, 0, 1)),
    ):
        found = rank_table(table, settings, progress)
    if page is not None:
        _write_page(page, found, file.name)
    if json:
        from scorecraft.runs.files import json_text

        print(json_text(as_data(found, file), indent=1))
        return
    _print(output(), found, page)


def _write_page(page: Path, found: TableRanking, name: str) -> None:
    from scorecraft.report.ranking_page import page as page_of
    from scorecraft.runs.files import replace_text

    if not page.parent.is_dir():
        raise ScorecraftError(f"{page}: there is no folder '{page.parent}'; make it, or choose another place")
    replace_text(page, page_of(found, name))


def as_data(found: TableRanking, file: Path) -> dict[str, Any]:
    """Return everything as data.

    Args:
        found: the ranking.
        file: the table.
    """
    models = found.table.models
    sens = found.sensitivity
    return {
        "file": str(file),
        "models": list(models),
        "benchmarks": list(found.table.benchmarks),
        "columns_left_out": list(found.table.left_out),
        "missing": [{"benchmark": benchmark, "model": model} for benchmark, model in found.table.missing],
        "resampled": found.resampled,
        "confidence": found.settings.confidence,
        "swiss_standard_error": found.swiss.sem.tolist(),
        "swiss_tied": found.swiss.tied.tolist(),
        "swiss_survival": found.swiss.survival.tolist(),
        "methods": [
            {
                "method": one.method, "value": one.value.tolist(), "rank": one.rank.tolist(),
                "rank_low": one.low.tolist(), "rank_high": one.high.tolist(),
                "value_low": one.value_low.tolist(), "value_high": one.value_high.tolist(),
                "rank_shares": one.shares.tolist(),
            }
            for one in found.methods
        ],
        "kendall_tau": found.tau.tolist(),
        "sensitivity": {
            "eliminated": list(sens.grid), "expected_score": sens.curves.tolist(), "slope": sens.slope.tolist(),
            "slope_against_field": sens.relative.tolist(), "label": list(sens.label),
        },
        "orders": None if found.orders is None else {
            "kendall_tau": found.orders.tau.tolist(), "between": found.orders.between,
        },
    }  # fmt: skip


def _print(console: Console, found: TableRanking, page: Path | None) -> None:
    from scorecraft.report.ranking_page import about, order_sentence, resampling, verdict

    console.print(plain(about(found)))
    if found.table.left_out:
        console.print(plain(f"columns without numbers, left out: {', '.join(found.table.left_out)}", style="dim"))
    _print_missing(console, found)
    rows = short_rows(found)
    titles = ("", "points", "Swiss", "mean", "z", "Borda", "wins", "B-T", "Elo", "if failing")
    _table(console, titles, rows[:SHOWN])
    if len(rows) > SHOWN:
        console.print(plain(f"... {len(rows) - SHOWN} more: --json or --page shows them", style="dim"))
    console.print(plain("\n" + verdict(found)))
    console.print(plain(order_sentence(found)))
    console.print(plain(resampling(found), style="dim"))
    if page is not None:
        console.print(plain(f"page: {page}"))


def short_rows(found: TableRanking) -> list[tuple[str, ...]]:
    """Return the ranks for a terminal: the Swiss one with its interval, the others alone.

    Args:
        found: the ranking.
    """
    from scorecraft.report.ranking_page import rank_and_interval

    swiss, rows = found.of("swiss"), []
    for m in sorted(range(len(found.table.models)), key=lambda m: swiss.rank[m]):
        label = found.sensitivity.label[m]
        others = (f"{one.rank[m]}" for one in found.methods if one is not swiss)
        rows.append((
            found.table.models[m], f"{swiss.value[m]:.2f}", rank_and_interval(swiss, m), *others,
            "" if label == "other" else label.split()[-1],
        ))  # fmt: skip
    return rows


def _print_missing(console: Console, found: TableRanking) -> None:
    cells = found.table.missing
    if cells:
        first = ", ".join(f"{model} on {benchmark}" for benchmark, model in cells[:3])
        more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
        rule = "they lose to all that have one" if found.settings.missing == "loss" else "they sit that benchmark out"
        console.print(plain(f"{len(cells)} scores are missing ({first}{more}): {rule}", style="yellow"))


def _table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(plain(title), justify="left" if place in {0, len(titles) - 1} else "right", overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    console.print(table)
