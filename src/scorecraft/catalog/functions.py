"""Which functions and parts implement a paper, read off the source, so that no extra has to be installed to ask."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import scorecraft


@cache
def implementations() -> dict[str, tuple[str, ...]]:
    """Return the dotted names of everything marked with `implements`, by slug, in the order of the source."""
    package = Path(scorecraft.__file__).parent
    found: dict[str, list[str]] = {}
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "@implements(" not in text:
            continue
        module = ".".join(("scorecraft", *file.relative_to(package).with_suffix("").parts))
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for slug in _slugs(node):
                    found.setdefault(slug, []).append(f"{module}.{node.name}")
    return {slug: tuple(names) for slug, names in found.items()}


def _slugs(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    return [
        str(mark.args[0].value)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call)
        and isinstance(mark.func, ast.Name)
        and mark.func.id == "implements"
        and mark.args
        and isinstance(mark.args[0], ast.Constant)
    ]
