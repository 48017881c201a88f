"""`scorecraft mechanism`: what to pay raters or verifiers whose effort nobody sees."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.decisions.game_file import NamedGame
    from scorecraft.decisions.information_mechanism import Deviation, Mechanism

SHOWN = 40
app = typer.Typer(
    help="Pay agents for effort that nobody sees: the best mechanism, and what it is worth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Kind(StrEnum):
    """Which mechanisms are looked for."""

    CORRELATED = "correlated"
    POINT = "point"
    ALL = "all"


@app.command("example", short_help="Print a game to start from.")
def example() -> None:
    """Print a game to start from: two raters with the same blind spots.

    \b
    scorecraft mechanism example > game.json
    """
    from scorecraft.decisions.game_file import EXAMPLE

    print(EXAMPLE, end="")


@app.command("solve", short_help="Find the best mechanism for a game in a file.")
def solve(
    file: Annotated[Path, typer.Argument(metavar="GAME.json", help="The game; 'mechanism example' prints one.")],
    cap: Annotated[
        float | None,
        typer.Option("--cap", metavar="X", help="The most that one agent is paid; the file's, or 1, if not given."),
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--kind", help="Recommendations drawn together, one that is always the same, or both.")
    ] = Kind.ALL,
    individual_rationality: Annotated[
        bool, typer.Option("--individual-rationality", help="Payments cover the cost of every recommended effort.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the best mechanism here, as JSON.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Find what to recommend, what to pay for which report in which state, and what to do then.

    Agents obey and tell the truth because nothing else pays them more: every other effort and every way to misreport is
    tried afterwards, and what it would gain is shown. Recommendations drawn together may be worth more than any single
    one: sometimes a second agent is sent only to check the first.

    \b
    scorecraft mechanism example > game.json
    scorecraft mechanism solve game.json
    scorecraft mechanism solve game.json --cap 5 --out mechanism.json
    """
    from scorecraft.decisions.game_file import read_game
    from scorecraft.decisions.information_mechanism import best_deviation, solve_correlated, solve_uncorrelated

    named = read_game(file)
    limit = cap if cap is not None else 1.0 if named.cap is None else named.cap
    if out is not None and not out.parent.is_dir():
        raise ScorecraftError(f"{out}: there is no folder '{out.parent}'; make it, or choose another place")
    found: dict[str, Mechanism] = {}
    if kind in {Kind.CORRELATED, Kind.ALL}:
        found["correlated"] = solve_correlated(named.game, limit, ir=individual_rationality)
    if kind in {Kind.POINT, Kind.ALL}:
        found["point"] = solve_uncorrelated(named.game, limit)
    checks = {
        name: [best_deviation(named.game, mech, i) for i in range(named.game.agents)] for name, mech in found.items()
    }
    data = {name: as_data(named, mech, checks[name]) for name, mech in found.items()}
    best = max(found, key=lambda name: found[name].value)
    if out is not None:
        from scorecraft.runs.files import json_text, replace_text

        replace_text(out, json_text({"cap": limit, **data[best]}, indent=1) + "\n")
    if json:
        from scorecraft.runs.files import json_text

        print(json_text({"file": str(file), "cap": limit, "mechanisms": data}, indent=1))
        return
    _print(output(), named, found, checks, limit)
    if out is not None:
        output().print(plain(f"mechanism: {out}"))


def as_data(named: NamedGame, mech: Mechanism, checks: Sequence[Deviation]) -> dict[str, Any]:
    """Return a mechanism as data, by name.

    Args:
        named: the game.
        mech: the mechanism.
        checks: the best deviation of each agent.
    """
    from scorecraft.decisions.information_mechanism import as_table

    return {
        "value": mech.value,
        "recommendations": [
            {"efforts": _efforts(named, b), "probability": float(mech.mu[b])}
            for b in named.game.profiles()
            if mech.mu[b] > 0
        ],
        "mean_payments": dict(zip(named.agents, mech.payments(named.game).tolist(), strict=True)),
        "largest_gain_from_deviating": dict(zip(named.agents, (float(one.gain) for one in checks), strict=True)),
        "rules": [
            {
                "efforts": _efforts(named, row["efforts"]),
                "reports": dict(zip(named.agents, _signals(named, row["reports"]), strict=True)),
                "state": named.states[row["state"]],
                "action": named.actions[row["action"]],
                "pay": dict(zip(named.agents, row["pay"], strict=True)),
            }
            for row in as_table(named.game, mech)
        ],
    }


def _efforts(named: NamedGame, b: Sequence[int]) -> dict[str, str]:
    return {name: own[at] for name, own, at in zip(named.agents, named.efforts, b, strict=True)}


def _signals(named: NamedGame, s: Sequence[int]) -> list[str]:
    return [own[at] for own, at in zip(named.signals, s, strict=True)]


def _print(
    console: Console, named: NamedGame, found: dict[str, Mechanism], checks: dict[str, list[Deviation]], cap: float
) -> None:
    titles = {"correlated": "recommendations drawn together", "point": "always the same recommendation"}
    first_best = named.game.value() - sum(
        cost.reshape((1,) * i + (-1,) + (1,) * (named.game.agents - 1 - i)) for i, cost in enumerate(named.game.cost)
    )
    rows = [
        (titles[name], f"{mech.value:.6g}", f"{mech.payments(named.game).sum():.6g}",
         f"{max(float(one.gain) for one in checks[name]):.1e}")
        for name, mech in found.items()
    ]  # fmt: skip
    rows.append(("if effort could be seen", f"{first_best.max():.6g}", "", ""))
    _table(console, ("", "value", "paid on average", "most that deviating gains"), rows)
    best = max(found, key=lambda name: found[name].value)
    mech = found[best]
    console.print(plain(f"\n{titles[best]}; one agent is paid at most {cap:g} a round"))
    shown = sorted((b for b in named.game.profiles() if mech.mu[b] > 0), key=lambda b: -mech.mu[b])
    _table(
        console, (*named.agents, "how often"),
        [(*_efforts(named, b).values(), f"{mech.mu[b]:.4f}") for b in shown],
    )  # fmt: skip
    console.print("\nwhat is done with the reports")
    done = _decisions(named, mech)
    _table(console, ("told", *(f"{name} says" for name in named.agents), "action"), done[:SHOWN])
    if len(done) > SHOWN:
        console.print(plain(f"... {len(done) - SHOWN} more rows: --out or --json shows them", style="dim"))
    console.print("\nwhat is paid; where no row is shown, nothing is")
    rows = _rules(named, mech)
    agents = [f"{name} says" for name in named.agents]
    _table(console, ("told", *agents, "truth", "action", *(f"pay {name}" for name in named.agents)), rows[:SHOWN])
    if len(rows) > SHOWN:
        console.print(plain(f"... {len(rows) - SHOWN} more rows: --out or --json shows them", style="dim"))


def _decisions(named: NamedGame, mech: Mechanism) -> list[tuple[str, ...]]:
    """Return the action for each recommendation and joint report."""
    from scorecraft.decisions.information_mechanism import as_table

    rows = [
        (
            named.profile(row["efforts"]),
            *_signals(named, row["reports"]),
            named.actions[row["action"]],
        )
        for row in as_table(named.game, mech)
    ]
    return list(dict.fromkeys(rows))


def _rules(named: NamedGame, mech: Mechanism) -> list[tuple[str, ...]]:
    """Return the rows in which something is paid."""
    from scorecraft.decisions.information_mechanism import as_table

    return [
        (
            named.profile(row["efforts"]), *_signals(named, row["reports"]), named.states[row["state"]],
            named.actions[row["action"]], *(f"{pay:.4g}" for pay in row["pay"]),
        )
        for row in as_table(named.game, mech)
        if max(row["pay"]) > 0
    ]  # fmt: skip


def _table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(plain(title), overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    console.print(table)
