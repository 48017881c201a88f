"""`scorecraft plugins check`: what of a recipe carries over to TRL or verl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from scorecraft.integrations.check import Engine

app = typer.Typer(help="Take a recipe to TRL or verl.", no_args_is_help=True)
_COLOURS = {"yes": "green", "with a setting": "yellow", "no": "red"}


@app.callback()
def _plugins() -> None:
    """Take a recipe to TRL or verl."""


@app.command("check", short_help="Say what of a recipe carries over to TRL or verl.")
def check(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file or a ready recipe.")],
    engine: Annotated[str, typer.Option("--engine", metavar="trl|verl", help="The trainer.")] = "trl",
    json: Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")] = False,
) -> None:
    """Say what of a recipe carries over, what needs which setting there, and what cannot.

    Exits with 1 where something cannot.

    \b
    scorecraft plugins check mine.yaml --engine trl
    scorecraft plugins check mine.yaml --engine verl
    """
    from dataclasses import asdict

    from scorecraft.integrations.check import ENGINES
    from scorecraft.integrations.check import check as carried
    from scorecraft.recipes.ready import load_recipe
    from scorecraft.runs.files import json_text

    if engine not in ENGINES:
        raise ScorecraftError(f"--engine: expected {' or '.join(ENGINES)}, got '{engine}'")
    found = carried(load_recipe(recipe), cast("Engine", engine), recipe)
    if json:
        print(json_text([asdict(each) for each in found], indent=1))
    else:
        console = output()
        for each in found:
            console.print(plain(f"{each.carries:<14} ", _COLOURS[each.carries]) + plain(each.what), soft_wrap=True)
            for line in (each.why, *each.settings):
                if line:
                    console.print(plain(f"{'':15}{line}", "dim" if line == each.why else ""), soft_wrap=True)
    if any(each.carries == "no" for each in found):
        raise typer.Exit(1)
