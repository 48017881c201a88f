"""`scorecraft methods` and `cite`: what is implemented here, what came of it, and how to cite what is used."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError, nearest

_COLOURS = {"holds": "green", "does not hold": "red", "inconclusive": "yellow"}


def methods(
    area: Annotated[
        str | None, typer.Option("--area", metavar="AREA", help="Only one area: reward, credit, objective, ...")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")] = False,
) -> None:
    """List the published methods: the functions that implement each, and what its study found.

    \b
    scorecraft methods
    scorecraft methods --area credit
    scorecraft methods --json
    """
    from scorecraft.catalog.functions import implementations
    from scorecraft.catalog.papers import areas, papers
    from scorecraft.catalog.verdicts import verdicts
    from scorecraft.runs.files import json_text

    if area is not None and area not in areas():
        raise ScorecraftError(f"no area '{area}': {nearest(area, areas())}")
    functions, found = implementations(), verdicts()
    rows = [
        {**asdict(paper), "functions": list(functions.get(slug, ())), "verdict": found.get(slug)}
        for slug, paper in papers().items()
        if area in (None, paper.area)
    ]
    if json:
        print(json_text(rows, indent=1))
        return
    console = output()
    for row in rows:
        verdict = row["verdict"] or ("not studied yet" if row["functions"] else "not implemented yet")
        console.print(
            plain(row["slug"], "bold cyan"),
            plain(f"({row['area']})", "dim"),
            plain(verdict, _COLOURS.get(verdict, "dim")),
        )
        console.print(plain(f"  {row['claim']}"))
        for name in row["functions"]:
            console.print(plain(f"    {name}", "dim"), soft_wrap=True)
    done = sum(bool(row["functions"]) for row in rows)
    console.print(plain(f"\n{done} of {len(rows)} implemented", "dim"))


def cite(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE|SLUG [KEY=VALUE...]", help="A recipe (with overrides), or a method's slug."),
    ],
) -> None:
    """Print BibTeX for exactly what a recipe uses, or for one method.

    \b
    scorecraft cite default
    scorecraft cite mine.yaml advantage=leave-one-out
    scorecraft cite rlcr
    """
    from scorecraft.catalog.bibtex import bibtex
    from scorecraft.catalog.papers import papers, references
    from scorecraft.cli.training import split_arguments

    known = papers() | references()
    if len(arguments) == 1 and arguments[0] in known:
        found = [known[arguments[0]]]
    else:
        from scorecraft.recipes import ready
        from scorecraft.recipes.cite import citations

        name, overrides = split_arguments(arguments)
        try:
            recipe = ready.load_recipe(name or "default", overrides)
        except ScorecraftError as error:
            if str(error).startswith("no recipe "):
                raise ScorecraftError(
                    f"no recipe and no method '{name}': {nearest(name or '', [*ready.names(), *known])}"
                ) from None
            raise
        found = citations(recipe)
    print("\n\n".join(bibtex(paper) for paper in found))
