"""The interface of every transform: it changes one reward's values before they are weighted and combined."""

from __future__ import annotations

from abc import abstractmethod

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


class Transform(Part):
    """A step between a reward and its weight: scores in, scores out.

    What is not scored (abstained or failed) must stay so; `Scores.with_values` sees to it.
    """

    @abstractmethod
    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the changed scores of the same rollouts."""
