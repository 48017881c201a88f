"""Which tokens earned it."""

from scorecraft.credit.outcome import outcome_returns

__all__ = ["outcome_returns"]
