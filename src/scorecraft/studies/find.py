"""Where studies are: one module a paper, named by its slug, with a constant ``STUDY``."""

from __future__ import annotations

import importlib
import importlib.util

from scorecraft.catalog.papers import papers
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Study


def study_slugs() -> list[str]:
    """Return the slugs of the papers that have a study."""
    return [slug for slug in papers() if importlib.util.find_spec(module_of(slug)) is not None]


def module_of(slug: str) -> str:
    """Return the module that holds a paper's study."""
    return f"scorecraft.studies.{slug.replace('-', '_')}"


def find_study(slug: str) -> Study:
    """Return a paper's study; raises `ScorecraftError` for an unknown slug or a paper without one."""
    if slug not in papers():
        raise ScorecraftError(f"no paper '{slug}': {nearest(slug, study_slugs())}")
    if slug not in study_slugs():
        raise ScorecraftError(f"paper '{slug}' has no study yet; studies: {', '.join(study_slugs()) or 'none'}")
    study = importlib.import_module(module_of(slug)).STUDY
    check_study(study)
    return study
