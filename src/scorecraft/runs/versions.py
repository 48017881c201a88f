"""What a run was made with: packages, machine and the commit of the code around it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "scorecraft", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow", "pydantic",
    "reasoning-gym", "math-verify", "trl", "verl", "accelerate",
)  # fmt: skip


def environment(packages: Sequence[str] = PACKAGES, directory: Path | None = None) -> dict[str, Any]:
    """Return package versions, machine and commit for `RunStore.create`.

    packages: names of distributions; those that are not installed are left out.
    directory: where to ask git for the commit (default: the working directory); no commit outside a repository.

    The machine is described without its name or its users, so that a report can be passed on.
    """
    found = {name: _version(name) for name in packages}
    described: dict[str, Any] = {
        "packages": {name: text for name, text in found.items() if text},
        "python": platform.python_version(),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }
    commit = _git(directory, "rev-parse", "HEAD")
    if commit:
        described["commit"] = commit + (" (with changes)" if _git(directory, "status", "--porcelain", "-uno") else "")
    return described


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _git(directory: Path | None, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
