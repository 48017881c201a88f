"""`scorecraft verify-check`: a second verifier over answers that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from scorecraft.audit.verify_check import Verifier, VerifierCheck
    from scorecraft.recipes.recipe import Recipe
    from scorecraft.stats.intervals import Interval


def verify_check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines, CSV or Parquet with completions and true answers.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="RECIPE", help="Its reward is the first verifier (default: exact string)."),
    ] = None,
    reward: Annotated[
        str | None, typer.Option("--reward", metavar="NAME", help="Which reward of the recipe, if it has several.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="What the answers are: auto, numeric, choice, set, ...")
    ] = "auto",
    absolute: Annotated[float | None, typer.Option(metavar="X", help="Numbers may be off by this much.")] = None,
    relative: Annotated[float | None, typer.Option(metavar="X", help="Numbers may be off by this share.")] = None,
    completion_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the completion is.")] = None,
    answer_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the true answer is.")] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where it is said whether the answer is right, on some rows.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="A column, for error rates of each of its values.")
    ] = None,
    shown: Annotated[int, typer.Option("--shown", metavar="N", min=0, help="Disagreements to show.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Check a verifier with a second one: where they part and why, and how often each errs where rows are labelled.

    The second verifier is `verify`, which compares values and not letters. From the labelled rows come rates of false
    positives and false negatives with intervals, and the lines of a recipe that correct for them.

    \b
    scorecraft verify-check answers.jsonl
    scorecraft verify-check answers.csv --recipe mine.yaml --reward correct
    scorecraft verify-check answers.parquet --label-column human --by source
    """
    from scorecraft.audit.answer_rows import Columns, read_answer_rows
    from scorecraft.audit.verify_check import as_data, check_verifiers
    from scorecraft.cli.display import phase_bar
    from scorecraft.rewards.verify.options import KINDS, Options
    from scorecraft.runs.files import json_text

    known = [name for name in KINDS if name not in ("code", "reasoning-gym")]
    if kind not in known:
        raise ScorecraftError(f"--kind: expected one of {', '.join(known)}, got '{kind}'")
    if reward is not None and recipe is None:
        raise ScorecraftError("--reward names a reward of a recipe; give the recipe with --recipe")
    options = Options(kind=kind, absolute=absolute, relative=relative)  # pyright: ignore[reportArgumentType]
    rows = read_answer_rows(file, Columns(completion_column, answer_column, label_column, by))
    loaded = _load(recipe) if recipe is not None else None
    with phase_bar(show=not json) as progress:
        found = check_verifiers(
            rows, options, recipe=loaded, reward=reward, by=by or "",
            progress=lambda done, total: progress("verdicts", done, total),
        )  # fmt: skip
    if json:
        print(json_text({"file": str(file), **as_data(found)}, indent=1))
    else:
        _print(output(), found, shown)


def _load(name: str) -> Recipe:
    """Return a recipe whose task checks plain answers where it names none."""
    from scorecraft.recipes import ready
    from scorecraft.recipes.recipe import Recipe

    source = ready.find(name)
    if "task" not in source.data:
        source.data["task"] = "jsonl"
    return Recipe.from_source(source)


def _print(console: Console, check: VerifierCheck, shown: int) -> None:
    from rich.table import Table

    from scorecraft.audit.verify_check import advice, snippet

    verifiers = (check.first, check.second)
    table = Table(box=None, pad_edge=False)
    for heading in ("verifier", "accepts", "no verdict", "false positives", "false negatives"):
        table.add_column(heading, justify="left" if heading == "verifier" else "right", no_wrap=heading != "verifier")
    for verifier in verifiers:
        table.add_row(*_row(verifier.name, verifier, len(check.rows)))
        for value, rates in verifier.by.items():
            table.add_row(
                plain(f"  {check.by} = {value}", "dim"), "", "", _rate(rates.false_positive),
                _rate(rates.false_negative),
            )  # fmt: skip
    console.print(table)
    rates = check.second.rates
    console.print(
        f"\n{len(check.rows):,} rows, {check.labelled:,} labelled ({rates.right_rows:,} right, "
        f"{rates.wrong_rows:,} wrong); intervals are of 95 %",
        soft_wrap=True,
    )
    _print_disagreements(console, check, shown)
    for verifier in verifiers:
        console.print()
        console.print(plain(advice(verifier, check.by)), soft_wrap=True)
        lines = snippet(verifier, check.by)
        if lines:
            console.print(plain(lines, "cyan"), soft_wrap=True)


def _row(name: str, verifier: Verifier, rows: int) -> list[str | Text]:
    rates = verifier.rates
    share = f"{verifier.accepted:,} ({verifier.accepted / rows:.1%})"
    return [plain(name), share, f"{verifier.failed:,}", _rate(rates.false_positive), _rate(rates.false_negative)]


def _rate(found: Interval | None) -> str:
    return "-" if found is None else f"{found.estimate:.1%} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _print_disagreements(console: Console, check: VerifierCheck, shown: int) -> None:
    from rich.table import Table

    places = check.disagreements()
    console.print(f"\nThe two disagree on {len(places):,} of {len(check.rows):,} rows.")
    if not places or not shown:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("row", "true answer", check.first.name, check.second.name, "label", "why"):
        table.add_column(plain(heading, "dim"), no_wrap=heading not in ("true answer", "why"))
    for place in places[:shown]:
        row, one, other = check.rows[place], check.first.judged[place], check.second.judged[place]
        label = "" if row.label is None else "right" if row.label else "wrong"
        table.add_row(
            str(row.number), plain(_short(row.answer)), _verdict(one.accepts), _verdict(other.accepts), label,
            plain(_why(one.said, other.said)),
        )  # fmt: skip
    console.print(table)
    if len(places) > shown:
        console.print(f"... and {len(places) - shown:,} more; --shown or --json for all")


def _verdict(accepts: bool | None) -> str:
    return "no verdict" if accepts is None else "right" if accepts else "wrong"


def _why(first: str, second: str) -> str:
    return _short(second) if first == second else f"{_short(first)} | {_short(second)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
