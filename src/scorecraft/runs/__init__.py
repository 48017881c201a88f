"""The run store: what a training wrote, and reading it back."""

from scorecraft.runs.store import RunStore, is_run
from scorecraft.runs.versions import environment

__all__ = ["RunStore", "environment", "is_run"]
