"""The papers: those whose methods are implemented here, and the classic work that built-in parts rest on."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from scorecraft.errors import ScorecraftError, nearest


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper.

    slug: its name here. month: of its first version, "YYYY-MM". authors: family names, empty where not recorded.
    arxiv: its identifier, empty where there is none. area: the room of its method; empty for classic work.
    claim: what it says, in one sentence; empty for classic work.
    """

    slug: str
    title: str
    month: str
    authors: str = ""
    arxiv: str = ""
    area: str = ""
    claim: str = ""


@cache
def papers() -> dict[str, Paper]:
    """Return the papers whose methods belong here, by slug."""
    return _read("papers.toml")


@cache
def references() -> dict[str, Paper]:
    """Return the classic work that built-in parts cite, by key."""
    return _read("references.toml")


def find(slug: str) -> Paper:
    """Return a paper by its slug, or classic work by its key; raises `ScorecraftError` with the nearest name."""
    known = papers() | references()
    if slug not in known:
        raise ScorecraftError(f"no paper '{slug}': {nearest(slug, known)}")
    return known[slug]


def areas() -> list[str]:
    """Return the areas that papers belong to."""
    return sorted({paper.area for paper in papers().values()})


def _read(name: str) -> dict[str, Paper]:
    text = (resources.files("scorecraft.catalog") / name).read_text(encoding="utf-8")
    return {slug: Paper(slug, **fields) for slug, fields in tomllib.loads(text).items()}
