"""What the studies found, as the package carries it: written by a full study, read by `scorecraft methods`."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).parent / "verdicts.json"


def verdicts() -> dict[str, str]:
    """Return the verdict of every study that was run in full, by slug."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def with_verdict(known: dict[str, str], slug: str, verdict: str) -> str:
    """Return the file's text with one verdict added or renewed."""
    return json.dumps(dict(sorted({**known, slug: verdict}.items())), indent=1) + "\n"
