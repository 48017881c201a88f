"""`scorecraft plan-samples`: how many samples until one is right often enough."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.decisions.pass_rate_file import PassRates
    from scorecraft.decisions.sample_budget import SampleBudget

SHOWN = 10


class Goal(StrEnum):
    """What the target is asked of."""

    EACH = "each"
    ALIKE = "alike"
    MEAN = "mean"


_TITLES = {
    "each": "every prompt by itself reaches it",
    "alike": "one number for all prompts, so that their mean reaches it",
    "mean": "the fewest in all, so that the mean reaches it",
}


def plan_samples(
    pass_rate: Annotated[
        Path | None,
        typer.Option(
            "--pass-rate", metavar="FILE", help="Pass rates: a prompt or a sample a line; CSV, Parquet, JSONL."
        ),
    ] = None,
    target: Annotated[float, typer.Option("--target", metavar="P", help="Wanted chance of a right one.")] = 0.95,
    goal: Annotated[
        Goal | None, typer.Option("--goal", help="Of what (default: all three, beside each other).")
    ] = None,
    good: Annotated[
        int | None, typer.Option("--good", metavar="K", help="Without a file: so many are good ...")
    ] = None,
    of: Annotated[
        int | None, typer.Option("--of", metavar="M", help="... of so many, drawn without repetition.")
    ] = None,
    known: Annotated[
        bool, typer.Option("--known", help="Take the rates for certain, and not for what few samples showed.")
    ] = False,
    most: Annotated[int, typer.Option(metavar="N", min=1, help="Samples of a prompt, at most.")] = 100_000,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Samples of each prompt, CSV; needs --goal.")
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(metavar="NAME", help="Which prompt a row is of.")] = None,
    rate_column: Annotated[str | None, typer.Option(metavar="NAME", help="Its rate.")] = None,
    correct_column: Annotated[str | None, typer.Option(metavar="NAME", help="Right samples, or 0 and 1.")] = None,
    samples_column: Annotated[str | None, typer.Option(metavar="NAME", help="How many samples there were.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Plan how many samples to draw, so that one of them is right often enough.

    The average pass rate promises too much: easy prompts are solved many times over, hard ones not at all. So each
    prompt counts with its own rate, and with what is not known of it where it rests on few samples.

    \b
    scorecraft plan-samples --pass-rate rollouts.jsonl --target 0.95
    scorecraft plan-samples --pass-rate rates.csv --target 0.9 --goal mean --out plan.csv
    scorecraft plan-samples --good 312 --of 1594323 --target 0.95
    """
    if (pass_rate is None) == (good is None and of is None):
        raise ScorecraftError("give either --pass-rate FILE, or --good K and --of M")
    if pass_rate is None:
        if good is None or of is None:
            raise ScorecraftError("--good and --of belong together")
        _of_population(good, of, target, json=json)
        return
    if out is not None and goal is None:
        raise ScorecraftError("--out: say with --goal which plan is to be written")
    from scorecraft.decisions.pass_rate_file import read_pass_rates
    from scorecraft.decisions.sample_budget import (
        PassCurve,
        samples_for_all_alike,
        samples_for_each,
        samples_for_the_mean,
    )

    rates = read_pass_rates(
        pass_rate, prompt=prompt_column, rate=rate_column, correct=correct_column, samples=samples_column
    )
    curve = PassCurve(rates.rate, None if known else rates.trials)
    makers = {"each": samples_for_each, "alike": samples_for_all_alike, "mean": samples_for_the_mean}
    plans: dict[str, SampleBudget | str] = {}
    for name in makers if goal is None else [goal.value]:
        try:
            plans[name] = makers[name](curve, target, most)
        except ScorecraftError as error:
            if goal is not None:
                raise
            plans[name] = str(error)
    if out is not None and goal is not None:
        _write(out, rates, plans[goal.value])
    _show(rates, plans, curve.trials is None, target, out, json=json)


def _of_population(good: int, of: int, target: float, *, json: bool) -> None:
    from scorecraft.decisions.hypergeometric import approximations

    rows = approximations(target, good, of)
    if json:
        from scorecraft.runs.files import json_text

        print(
            json_text({"good": good, "of": of, "target": target, "methods": [row._asdict() for row in rows]}, indent=1)
        )
        return
    console = output()
    console.print(plain(f"{good:,} of {of:,} are good; {rows[0].tips:,} draws hold one with a chance of {target:g}"))
    for row in rows[1:]:
        apart = "exact here" if row.tips == rows[0].tips else f"{row.relative_error:+.2g} of it"
        console.print(plain(f"  {row.method:>9} {row.tips:>12,}  {apart}{'' if row.valid else ', not meant for this'}"))


def _show(
    rates: PassRates, plans: dict[str, Any], certain: bool, target: float, out: Path | None, *, json: bool
) -> None:
    trusted = "taken for certain" if certain else "with what so few samples leave open"
    told = {
        name: plan if isinstance(plan, str) else {
            "total": plan.total, "reached": plan.reached, "least": int(plan.samples.min()),
            "most": int(plan.samples.max()), "out_of_reach": int((plan.samples < 0).sum()),
        }
        for name, plan in plans.items()
    }  # fmt: skip
    if json:
        from scorecraft.runs.files import json_text

        print(json_text({
            "prompts": len(rates.names), "mean_rate": float(rates.rate.mean()), "rates_certain": certain,
            "target": target, "plans": told,
        }, indent=1))  # fmt: skip
        return
    console = output()
    console.print(plain(f"{len(rates.names):,} prompts, mean pass rate {rates.rate.mean():.3g}, {trusted}"))
    _naive(console, float(rates.rate.mean()), target, plans)
    for name, one in told.items():
        if isinstance(one, str):
            console.print(plain(f"{name:>6}: {one}"))
            continue
        beyond = f"; {one['out_of_reach']} prompts are out of reach" if one["out_of_reach"] else ""
        console.print(
            plain(
                f"{name:>6}: {one['total']:>10,} samples, {max(one['least'], 0):,} to {one['most']:,} a prompt; chance "
                f"{one['reached']:.3g} on average ({_TITLES[name]}){beyond}"
            )
        )
    if out is not None:
        console.print(plain(f"plan: {out}"))


def _naive(console: Console, rate: float, target: float, plans: dict[str, Any]) -> None:
    """Say what the average rate would promise, and what comes of that."""
    from scorecraft.decisions.hypergeometric import tips_needed_with_repetition

    alike = plans.get("alike")
    if 0 < rate < 1 and alike is not None and not isinstance(alike, str):
        naive = tips_needed_with_repetition(target, rate)
        console.print(
            plain(f" naive: {naive:,} samples a prompt by the average rate; {int(alike.samples.max()):,} are needed")
        )


def _write(out: Path, rates: PassRates, plan: Any) -> None:
    import csv
    import io

    from scorecraft.runs.files import replace_text

    if not out.parent.is_dir():
        raise ScorecraftError(f"{out}: there is no folder '{out.parent}'; make it, or choose another place")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("prompt", "pass_rate", "samples", "success"))
    for name, rate, samples, success in zip(rates.names, rates.rate, plan.samples, plan.success, strict=True):
        writer.writerow((name, f"{rate:.6g}", int(samples), f"{success:.6g}"))
    replace_text(out, text.getvalue())
