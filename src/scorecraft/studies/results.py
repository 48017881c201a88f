"""Where results are: ``studies/<slug>/<scale>.json`` with its picture, and a page that shows all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scorecraft.catalog import verdicts
from scorecraft.errors import ScorecraftError
from scorecraft.runs import files
from scorecraft.studies.figure import draw
from scorecraft.studies.page import page

FOLDER = Path("studies")


def keep(result: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write a full result and its picture, renew the page and, in the repository, the catalog's verdicts."""
    target = folder / result["slug"]
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{result['scale']}.json"
    files.replace_text(path, files.json_text(dict(result), indent=1) + "\n")
    files.replace_text(path.with_suffix(".svg"), draw(result))
    files.replace_text(folder / "index.html", page(all_results(folder), folder))
    if (folder.parent / "src" / "scorecraft").is_dir():
        text = verdicts.with_verdict(verdicts.verdicts(), str(result["slug"]), str(result["verdict"]))
        files.replace_text(verdicts.FILE, text)
    return path


def read(slug: str, scale: str = "full", folder: Path = FOLDER) -> dict[str, Any]:
    """Return a kept result; raises `ScorecraftError` where there is none, or it is not one."""
    path = folder / slug / f"{scale}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScorecraftError(f"{path}: there is no such result; scorecraft study run {slug} --scale {scale}") from None
    except ValueError as error:
        raise ScorecraftError(f"{path}: not readable ({error}); run the study again") from error
    if not isinstance(found, dict) or "experiments" not in found:
        raise ScorecraftError(f"{path}: not the result of a study")
    return found


def all_results(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return all full results, by slug."""
    return [read(path.parent.name, "full", folder) for path in sorted(folder.glob("*/full.json"))]
