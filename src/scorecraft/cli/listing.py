"""`scorecraft tasks`, `parts`, `new`, `lint` and `report`: what there is, where to start, what came out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from scorecraft.cli.terminal import clean, output, plain
from scorecraft.errors import ScorecraftError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.parts import Part
    from scorecraft.tasks.gallery import TaskDescription

Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


def parts(
    slot: Annotated[str | None, typer.Argument(metavar="[SLOT]", help="task, sampling, reward, credit, ...")] = None,
    json: Json = False,
) -> None:
    """List what can fill the slots of a recipe, with every option and its default.

    \b
    scorecraft parts               all slots
    scorecraft parts reward        one of them
    """
    from scorecraft.parts import SLOT_MODULES
    from scorecraft.runs.files import json_text

    if slot is not None and slot not in SLOT_MODULES:
        raise ScorecraftError(f"unknown slot '{slot}': {nearest(slot, SLOT_MODULES)}")
    described = {name: describe_slot(name) for name in SLOT_MODULES if slot in (None, name)}
    if json:
        print(json_text(described, indent=1))
        return
    console = output()
    for name, entries in described.items():
        console.print(plain(f"{name}:", "bold"))
        for entry in entries:
            console.print(plain(f"  {entry['name']}", "cyan"), plain(entry["summary"], "dim"), soft_wrap=True)
            _print_options(console, entry["options"], indent=6)
        console.print()


def tasks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One task, with an example.")] = None,
    json: Json = False,
) -> None:
    """List the tasks; with a name, show an example problem, its solution step by step, and its options.

    \b
    scorecraft tasks
    scorecraft tasks chain-arithmetic
    """
    from scorecraft.runs.files import json_text
    from scorecraft.tasks.gallery import describe, describe_task

    described = describe() if name is None else [describe_task(name)]
    if json:
        print(json_text([_task_data(task) for task in described], indent=1))
        return
    console = output()
    for task in described:
        console.print(plain(task.name, "bold cyan"), plain(task.summary.replace("``", ""), "dim"), soft_wrap=True)
        if task.prompt:
            console.print(plain(_indented(task.prompt.strip(), 4)), soft_wrap=True)
        if name is not None:
            _print_task(console, task)
        console.print()


def _print_task(console: Console, task: TaskDescription) -> None:
    from scorecraft.cli.completions import step_line
    from scorecraft.parts import find

    if task.gold:
        console.print(plain("  solution", "dim"))
        console.print(plain(_indented(task.gold, 4)), soft_wrap=True)
    if task.steps:
        console.print(plain("  verdict on each step", "dim"))
        for step in task.steps:
            console.print("   ", step_line(step), soft_wrap=True)
    console.print(plain("  options", "dim"))
    _print_options(console, describe_part(find("task", task.name))["options"], indent=4)


def _task_data(task: TaskDescription) -> dict[str, Any]:
    from scorecraft.parts import find

    steps = [{"text": step.text, "label": str(step.label)} for step in task.steps]
    described = describe_part(find("task", task.name))
    return {**described, "prompt": task.prompt, "gold": task.gold, "steps": steps}


def _print_options(console: Console, options: list[dict[str, Any]], indent: int) -> None:
    from scorecraft.runs.files import json_text

    for option in options:
        default = ", must be given" if option["required"] else f" = {json_text(option['default'])}"
        console.print(plain(f"{' ' * indent}{option['name']}: {option['type']}{default}"), soft_wrap=True)


def _indented(text: str, width: int) -> str:
    return "\n".join(" " * width + line for line in text.split("\n"))


def describe_slot(slot: str) -> list[dict[str, Any]]:
    """Return every part of a slot with its summary and options, as plain data."""
    from scorecraft import parts as registry

    return [describe_part(registry.find(slot, name)) for name in registry.names(slot)]


def describe_part(part: type[Part]) -> dict[str, Any]:
    """Return a part's name, the first sentence of its docstring, and its options with type and default."""
    options = [
        {
            "name": option,
            "type": type_name(field.annotation),
            "required": field.is_required(),
            "default": None if field.is_required() else _plain_data(field.get_default(call_default_factory=True)),
        }
        for option, field in part.model_fields.items()
    ]
    summary = (part.__doc__ or "").strip().partition("\n\n")[0]
    return {"name": part.name, "summary": " ".join(summary.replace("``", "").split()), "options": options}


def _plain_data(value: Any) -> Any:
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain_data(item) for item in value]
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)


_TYPE_WORDS = {
    float: "number",
    int: "whole number",
    bool: "true | false",
    str: "text",
    type(None): "null",
    Path: "path",
    dict: "mapping",
}
_COUNTED = ("number", "whole number", "text", "path")


def type_name(annotation: Any) -> str:
    """Return a type as a recipe's reader would say it: ``number``, ``a | b``, ``list of text``."""
    if annotation in _TYPE_WORDS:
        return _TYPE_WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    inner = [argument for argument in arguments if argument is not Ellipsis]
    if origin is Literal:
        name = " | ".join(map(str, inner))
    elif origin in (tuple, list, set, frozenset):
        count = f"{len(inner)} " if origin is tuple and Ellipsis not in arguments else ""
        kinds = dict.fromkeys(map(type_name, inner))
        name = f"list of {count}{' / '.join(f'{kind}s' if kind in _COUNTED else kind for kind in kinds)}"
    elif origin in (Union, UnionType):
        name = " | ".join(map(type_name, inner))
    elif hasattr(annotation, "__metadata__"):
        name = type_name(inner[0])
    else:
        name = _TYPE_WORDS.get(origin) or getattr(annotation, "__name__", str(annotation))
    return name


def new(
    recipe: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="A ready recipe's name.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to (default: RECIPE.yaml).")] = None,
) -> None:
    """Copy a ready recipe, comments and all, to a file of your own; without a name, list them.

    \b
    scorecraft new
    scorecraft new default --to mine.yaml
    """
    from scorecraft.recipes import ready

    console = output()
    if recipe is None:
        for name in ready.names():
            console.print(plain(name, "bold cyan"))
            console.print(plain(f"  {ready.summary(name)}"))
        return
    text = ready.text(recipe)
    target = to or Path(f"{recipe}.yaml")
    if target.is_dir():
        target = target / f"{recipe}.yaml"
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ScorecraftError(f"{target}: exists already; choose another name with --to FILE") from None
    except OSError as error:
        raise ScorecraftError(f"{target}: cannot be written ({error.strerror})") from None
    console.print(clean(f"wrote {target}; run it with: scorecraft train {target}"), soft_wrap=True)


def lint(
    arguments: Annotated[
        list[str], typer.Argument(metavar="RECIPE [KEY=VALUE...]", help="A ready recipe or a file, then overrides.")
    ],
    json: Json = False,
) -> None:
    """Check whether a recipe's parts survive one another; exit code 1 where they do not.

    Types and names are checked too. What it says is a warning: every training says it again, and goes on.

    \b
    scorecraft lint mine.yaml
    scorecraft lint default sampling.group_size=1
    scorecraft lint hacked --json
    """
    from scorecraft.cli.training import split_arguments
    from scorecraft.recipes.lint import lint as check
    from scorecraft.recipes.ready import load_recipe
    from scorecraft.runs.files import json_text

    name, overrides = split_arguments(arguments)
    findings = check(load_recipe(name or "default", overrides))
    console = output()
    if json:
        print(json_text([asdict(finding) for finding in findings], indent=1))
    elif not findings:
        console.print(clean(f"{name or 'default'}: nothing found; the parts survive one another"))
    for finding in () if json else findings:
        console.print(plain(" and ".join(finding.where), "bold yellow"), soft_wrap=True)
        console.print(plain(f"  {finding.text}"))
        for source in finding.sources:
            console.print(plain(f"  source: {source}", "dim"))
    if findings:
        raise typer.Exit(1)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directories of runs.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to (default: in the run).")] = None,
) -> None:
    """Write one page on a run, or one that lays several runs over each other.

    Runs that differ only in the seed become one line with a band; recipes that share seeds get a table of
    differences, the others against the first.

    \b
    scorecraft report runs/default
    scorecraft report runs/a runs/b --out comparison.html
    scorecraft report runs/compare-a-b/*-seed-*
    """
    from scorecraft.report import write_report

    page = write_report(runs, out)
    output().print(clean(f"report: {page}"), soft_wrap=True)
