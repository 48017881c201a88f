"""Credit per turn: some rewards belong to one turn alone."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.named_rewards import outcome_values
from scorecraft.credit.turn_returns import Reach, turn_returns
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits


@register("credit", "turns")
class Turns(Credit):
    """Every reward named under ``of`` goes to the tokens of its turn, all others to every token.

    of: the turn, from 0, that a reward belongs to, as in ``{improved: 1}``; give such a reward weight 0 in the total,
    and its weight under ``weights`` (1 where there is none). reach: "own" keeps it to its turn, so that a bonus for
    the second answer says nothing of the first; "to-go" also credits the turns before it, by ``gamma`` a turn.
    """

    of: dict[str, int] = Field(default_factory=dict)
    weights: dict[str, float] = Field(default_factory=dict)
    reach: Reach = "own"
    gamma: float = Field(1.0, ge=0, le=1)

    def traits(self) -> Traits:
        """Return that tokens differ by turn where a reward belongs to one."""
        if not self.of:
            return Traits(provides=(Trait.WHOLE_RETURN,))
        return Traits(relies_on=(Note(Trait.TOKEN_DIFFERENCES, "it credits every turn on its own"),))

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        del context
        unknown = set(self.weights) - set(self.of)
        if unknown:
            raise ScorecraftError(f"credit 'turns': weights of {', '.join(sorted(unknown))}, which 'of' does not name")
        count = max(
            (int(rollouts.turns.max()) + 1 if rollouts.turns.numel() else 0, *(t + 1 for t in self.of.values()))
        )
        table = torch.zeros(len(rollouts), count, dtype=torch.float32)
        for name, turn in self.of.items():
            if turn < 0:
                raise ScorecraftError(f"credit 'turns': reward '{name}' belongs to turn {turn}; turns count from 0")
            table[:, turn] += outcome_values(rewards, name, self.name) * self.weights.get(name, 1.0)
        returns = turn_returns(table, rollouts.turns, rollouts.mask, reach=self.reach, gamma=self.gamma)
        return (returns + rewards.total[:, None] * rollouts.mask) * rewards.valid[:, None]
