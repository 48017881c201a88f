"""The interface of every credit part."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float32
from torch import Tensor

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable


class Credit(Part):
    """A credit part: rewards in, the return of every token out.

    The return of a token is the credit still to come at that token, so the return at the first sampled token
    is the whole credit of the rollout, and it is 0 wherever the policy did not sample (``rollouts.mask``).
    """

    @abstractmethod
    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns."""
