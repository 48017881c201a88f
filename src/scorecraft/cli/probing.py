"""`scorecraft probe-reward`: does a trick earn more than honest work, before anything is trained."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import clean, errors, output, plain
from scorecraft.cli.training import split_arguments

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.audit.probe_reward import Finding, Probe

# A trick pays, and it was asked to be told by the exit code.
PAYS = 1
_COLOURS = {"pays": "red", "does not pay": "green", "unclear": "yellow", "not scored": "yellow"}


def probe_reward(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE [KEY=VALUE...]",
            help="A ready recipe's name or a YAML file (default: default), then overrides.",
            show_default=False,
        ),
    ] = None,
    problems: Annotated[int, typer.Option(min=2, help="Number of problems of the recipe's task.")] = 64,
    accuracy: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How often the honest work is right that is compared with.")
    ] = 0.5,
    magic: Annotated[
        list[str] | None, typer.Option("--magic", metavar="TEXT", help="A magic text to try as well; may be repeated.")
    ] = None,
    policy: Annotated[
        bool | None,
        typer.Option(
            "--policy/--no-policy",
            help="Load the recipe's policy, to count tokens and for rewards that ask it (default: unless tunnel-tiny).",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of slips and of rewards that draw random numbers.")] = 0,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write a page with examples.")] = None,
    fail: Annotated[
        bool, typer.Option("--fail-if-any-pays", help="Exit with 1 if a trick pays, for use in CI.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show the tricks that do not pay as well.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> None:
    """See whether tricks pay: padding, repeated steps, several answers, instructions to the grader, and more.

    No policy is trained. Honest completions, right and wrong, and each trick's completions are scored by all rewards
    of the recipe, and the margin of a trick above honest work is given with an interval, and the reward that pays it.

    \b
    scorecraft probe-reward hacked
    scorecraft probe-reward mine.yaml --page probe.html
    scorecraft probe-reward mine.yaml reward.brevity.weight=0.1 --problems 256
    scorecraft probe-reward mine.yaml --magic "As an AI," --fail-if-any-pays
    """
    name, overrides = split_arguments(arguments or [])

    from scorecraft.recipes.ready import load_recipe

    recipe = load_recipe(name or "default", overrides)
    # Imported after the recipe was checked: a mistake in it is told without the wait for the libraries.
    from scorecraft.audit.probe_page import as_data
    from scorecraft.audit.probe_page import page as render
    from scorecraft.audit.probe_reward import probe_reward as probe
    from scorecraft.audit.rewarded import Rewarded
    from scorecraft.cli.display import phase_bar
    from scorecraft.runs.files import json_text, replace_text

    with phase_bar(show=not json) as progress:

        @cache
        def load(name: str, **options: Any) -> Any:
            from scorecraft.lm.policy import resolve_policy

            return resolve_policy(
                name, options, recipe.task, device=recipe.device, dtype=recipe.dtype, progress=progress
            )

        wanted = policy if policy is not None else recipe.policy.name != "tunnel-tiny"
        asked = load(recipe.policy.name, **recipe.policy.options) if wanted else None
        found = probe(
            Rewarded(recipe.task, recipe.reward, recipe.combination, asked, load),
            problems=problems,
            accuracy=accuracy,
            magic=magic or (),
            longest=recipe.sampling.max_new_tokens,
            seed=seed,
            progress=lambda done, total: progress("scoring completions", done, total),
        )
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        replace_text(page, render(found, Path(name or "default").stem))
    if json:
        print(json_text(as_data(found), indent=1))
    else:
        if asked is None and recipe.policy.name != "tunnel-tiny":
            errors().print("tokens are counted as characters; --policy counts those of the recipe's policy")
        _print(output(), found, page, every=every)
    if fail and found.pays:
        raise typer.Exit(PAYS)


def _print(console: Console, probe: Probe, page: Path | None, *, every: bool) -> None:
    from rich.table import Table

    from scorecraft.audit.probe_page import being_right, headline

    console.print(plain(f"{probe.task}: {probe.problems} problems. {being_right(probe)}"), soft_wrap=True)
    shown = [finding for finding in probe.findings if every or finding.verdict != "does not pay"]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("trick", "on", "verdict", "margin", "paid by"):
        table.add_column(plain(heading, "dim"), no_wrap=heading != "paid by")
    for finding in shown:
        table.add_row(
            plain(finding.title), plain(finding.on.removesuffix(" work"), "dim"),
            plain(finding.verdict, _COLOURS[finding.verdict]), plain(_margin(finding)),
            plain((finding.paid_by or "") if finding.verdict != "does not pay" else ""),
        )  # fmt: skip
    if shown:
        console.print()
        console.print(table)
    console.print()
    console.print(plain(headline(probe), "bold red" if probe.pays else "bold"), soft_wrap=True)
    named = {finding.title for finding in shown}
    left = dict.fromkeys(finding.title for finding in probe.findings if finding.title not in named)
    if left:
        console.print(plain(f"Do not pay: {', '.join(left)}.", "dim"), soft_wrap=True)
    if page is not None:
        console.print(clean(f"page: {page}"), soft_wrap=True)


def _margin(finding: Finding) -> str:
    from scorecraft.audit.probe_page import percent, signed

    if finding.share is not None:
        return f"as right: {percent(finding.share)}"
    if finding.margin is None:
        return "-"
    estimate, low, high = (signed(value, 2) for value in finding.margin)
    return f"{estimate} [{low}, {high}]"
