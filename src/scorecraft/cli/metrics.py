"""`scorecraft metrics`: what the probabilities in a file are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.metrics.file_metrics import FileMetrics, Settings
    from scorecraft.metrics.paired_files import Paired

SHOWN_SLICES, SHOWN_GROUPS = 5, 20


def metrics(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Predictions: Parquet, CSV, TSV or JSON Lines.")],
    label: Annotated[str, typer.Option("--label", metavar="COLUMN", help="What came true: 0 and 1, or a class.")],
    prob: Annotated[
        list[str],
        typer.Option("--prob", metavar="COLUMN", help="Its probability; one a class, or a pattern such as 'p_*'."),
    ],
    positive: Annotated[
        str | None, typer.Option("--positive", metavar="VALUE", help="Which label a single probability is of.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="COLUMN", help="Metrics of each of its values as well.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Another model's predictions of the same rows.")
    ] = None,
    against_prob: Annotated[
        list[str] | None,
        typer.Option("--against-prob", metavar="COLUMN", help="Its columns; alone, other columns of the same file."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="P", help="Probability from which a row counts as positive.")
    ] = 0.5,
    confidence: Annotated[float, typer.Option(metavar="C", help="Coverage of the intervals.")] = 0.95,
    slices: Annotated[
        bool, typer.Option("--slices/--no-slices", help="Look for slices of the other columns that are wrong.")
    ] = True,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write a page with pictures here.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the resampling.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Draw no progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Measure the probabilities in a file: how good, how well calibrated, where wrong; every metric with its interval.

    One pass in memory that does not grow with the file. Up to 2 million rows everything is exact; beyond, scores are
    counted in narrow bins, and a metric that this can move says by how much at most. With --against, two models are
    compared row by row.

    \b
    scorecraft metrics predictions.csv --label y --prob p
    scorecraft metrics predictions.parquet --label y --prob p --group site --page metrics.html
    scorecraft metrics predictions.jsonl --label species --prob 'p_*'
    scorecraft metrics mine.parquet --label y --prob p --against theirs.parquet
    """
    from scorecraft.cli.display import phase_bar
    from scorecraft.metrics.file_metrics import Settings, measure_file
    from scorecraft.metrics.paired_files import compare_files

    if page is not None and page.resolve() in {file.resolve(), None if against is None else against.resolve()}:
        raise ScorecraftError(f"{page}: this is a file of predictions; choose another name for the page")
    settings = Settings(
        label, prob, positive, list(group or []), slices=slices, threshold=threshold, confidence=confidence, seed=seed
    )
    with phase_bar(show=not (quiet or json)) as progress:
        found = measure_file(file, settings, lambda done, total: progress(file.name, done, total))
        paired = None
        if against is not None or against_prob:
            paired = compare_files(
                (file, prob), (against or file, list(against_prob or prob)), label, positive=positive,
                confidence=confidence, seed=seed, progress=lambda done, total: progress("both", done, total),
            )  # fmt: skip
    if page is not None:
        _write_page(page, found, paired)
    if json:
        from scorecraft.runs.files import json_text

        print(json_text(as_data(found, paired, settings), indent=1))
        return
    _print(output(), found, paired, page)


def _write_page(page: Path, found: FileMetrics, paired: Paired | None) -> None:
    from scorecraft.report.probability_page import page as page_of
    from scorecraft.runs.files import replace_text

    if not page.parent.is_dir():
        raise ScorecraftError(f"{page}: there is no folder '{page.parent}'; make it, or choose another place")
    replace_text(page, page_of(found, paired))


def as_data(found: FileMetrics, paired: Paired | None, settings: Settings) -> dict[str, Any]:
    """Return everything as data; what is infinite or undefined becomes null in JSON, with a note beside it."""

    def table(rows: Sequence[Any]) -> list[dict[str, Any]]:
        return [row._asdict() for row in rows]

    return {
        "file": str(found.path),
        "label": found.label,
        "probabilities": list(found.columns),
        "classes": list(found.classes),
        "rows": found.rows,
        "exact": found.exact,
        "confidence": settings.confidence,
        "metrics": table(found.metrics),
        "groups": [{**group._asdict(), "metrics": table(group.metrics)} for group in found.groups],
        "slices": table(found.slices),
        "against": None if paired is None else {
            "first": paired.first, "second": paired.second, "rows": paired.rows,
            "differences": [{**row, "better": one.better} for row, one in
                            zip(table(paired.differences), paired.differences, strict=True)],
        },
    }  # fmt: skip


def _print(console: Console, found: FileMetrics, paired: Paired | None, page: Path | None) -> None:
    from scorecraft.report.probability_page import about, bounds, number, remark, small_print

    console.print(plain(about(found)))
    rows = [(one.title, number(one.value), bounds(one.low, one.high), remark(one)) for one in found.metrics]
    _table(console, ("metric", "", f"{100 * found.confidence:g} % interval", ""), rows)
    if paired is not None:
        console.print(plain(f"\nagainst {paired.second}, {paired.rows:,} rows of both"))
        _table(
            console, ("", "first", "second", "difference", "", "p-value", "better"),
            [
                (
                    one.title, number(one.first), number(one.second), number(one.difference),
                    bounds(one.low, one.high), "" if one.p_value is None else f"{one.p_value:.2g} {one.test}",
                    one.better or one.note,
                )
                for one in paired.differences
            ],
        )  # fmt: skip
    if found.groups:
        console.print(f"\ngroups, {len(found.groups)}")
        names = ("base_rate", "brier", "ece", "auroc")
        shown = [
            (f"{g.column}: {g.value}", f"{g.rows:,}", number(g.mean_prob),
             *(number(one.value) for name in names for one in g.metrics if one.name == name))
            for g in found.groups[:SHOWN_GROUPS]
        ]  # fmt: skip
        _table(console, ("", "rows", "stated", "happened", "Brier score", "ECE", "AUROC"), shown)
    _print_slices(console, found)
    console.print(plain("\n" + small_print(found), style="dim"))
    if page is not None:
        console.print(plain(f"page: {page}"))


def _print_slices(console: Console, found: FileMetrics) -> None:
    from scorecraft.report.probability_page import bounds, number

    if not found.slices:
        return
    wrong = [one for one in found.slices if one.finding]
    console.print(f"\n{len(wrong)} of {len(found.slices)} slices are wrong beyond chance")
    shown = [
        (f"{one.column}: {one.value}", f"{one.rows:,}", number(one.mean_prob), number(one.rate),
         f"{one.gap:+.3g} {bounds(one.low, one.high)}", one.finding)
        for one in wrong[:SHOWN_SLICES]
    ]  # fmt: skip
    if shown:
        _table(console, ("", "rows", "stated", "happened", "gap", ""), shown)


def _table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place in {0, len(titles) - 1} else "right", overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    console.print(table)
