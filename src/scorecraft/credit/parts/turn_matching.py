"""Credit to turns by matching their tool calls with a golden trace."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float32, Float64, Int64
from pydantic import Field
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.credit.answer_overlap import answer_f1
from scorecraft.credit.credit import Credit
from scorecraft.credit.min_form import step_returns, token_returns_of_steps
from scorecraft.credit.named_rewards import with_outcome
from scorecraft.credit.tool_similarity import ToolCall, similarity_matrices
from scorecraft.credit.tool_trace_reward import tool_trace_rewards
from scorecraft.credit.turn_matching import Rescale, match_hard_batch, match_soft_batch
from scorecraft.credit.turn_rewards import TurnRewards, turn_rewards
from scorecraft.credit.written_calls import CallForm, form_of, golden_calls, read_answer, read_calls
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits
from scorecraft.turns import policy_turns


@implements("turn-matching")
@register("credit", "turn-matching")
class TurnMatching(Credit):
    """Every turn earns the similarity of its tool calls to the golden calls they are matched with (MatchTIR).

    A turn is what the policy writes between two answers of tools or users. Golden calls are the problem's metadata
    ``tool_calls``, or else those of its gold completion. A turn with ``<answer>...</answer>`` earns the overlap of that
    with the true answer. ``outcome`` names a reward that the last turn earns as well, times ``outcome_weight``.
    ``written`` says how calls are written (by default as the task's calls end); "toolrl" gives the last turn one reward
    for the whole trace, for comparison.
    """

    matching: Literal["hungarian", "greedy", "soft", "toolrl"] = "hungarian"
    unmatched: float = Field(0.0, allow_inf_nan=False)
    reg: float = Field(0.1, gt=0, allow_inf_nan=False)
    rescale: Rescale = "none"
    written: CallForm | None = None
    outcome: str | None = None
    outcome_weight: float = Field(1.0, allow_inf_nan=False)

    def traits(self) -> Traits:
        """Return that turns differ, unless one reward is for the whole trace, and that repeating a call is no gain."""
        cures = (Trait.FARMING,) if self.outcome is None else ()
        if self.matching == "toolrl":
            return Traits(cures=cures)
        return Traits(relies_on=(Note(Trait.TOKEN_DIFFERENCES, "it credits every turn on its own"),), cures=cures)

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        turns = policy_turns(rollouts.mask, rollouts.turns)
        counts = turns.amax(1) + 1 if turns.shape[1] else torch.zeros(len(rollouts), dtype=torch.int64)
        table = self._turns(rollouts, turns, counts, context)
        returns = token_returns_of_steps(step_returns(*table, "sum"), table.mask, turns, rollouts.mask)
        return with_outcome(returns, rollouts, rewards, self.outcome, self.outcome_weight, "turn-matching")

    def _turns(
        self,
        rollouts: Rollouts,
        turns: Int64[Tensor, "rollout token"],
        counts: Int64[Tensor, " rollout"],
        context: Context,
    ) -> TurnRewards:
        form = self.written or form_of(context.task.tool_call_end if context.task is not None else None)
        made, places, answers = _read(rollouts, turns, counts, form, context)
        of_problem = [golden_calls(problem, form) for problem in rollouts.problems]
        golds = [of_problem[index] for index in rollouts.group.tolist()]
        width = int(counts.max()) if len(counts) else 0
        if self.matching == "toolrl":
            nothing = torch.zeros(len(rollouts), 0, dtype=torch.int64)
            last = torch.arange(width) == counts[:, None] - 1
            whole = torch.where(last, tool_trace_rewards(made, golds)[:, None], float("nan"))
            return turn_rewards(nothing.double(), nothing, counts, whole)
        found = similarity_matrices(made, golds)
        matrices = (found.values, found.calls, found.golds)
        if self.matching == "soft":
            earned = match_soft_batch(*matrices, reg=self.reg, rescale=self.rescale).rewards
        else:
            earned = match_hard_batch(*matrices, solver=self.matching, unmatched=self.unmatched).rewards
        call_turns = torch.full(earned.shape, -1, dtype=torch.int64)
        for row, own in enumerate(places):
            call_turns[row, : len(own)] = torch.tensor(own, dtype=torch.int64)
        return turn_rewards(earned, call_turns, counts, answers)


def _read(
    rollouts: Rollouts,
    turns: Int64[Tensor, "rollout token"],
    counts: Int64[Tensor, " rollout"],
    form: CallForm,
    context: Context,
) -> tuple[list[list[ToolCall]], list[list[int]], Float64[Tensor, "rollout turn"]]:
    """Return every rollout's calls, the turns they are made in, and what the answers of turns earn (NaN for none)."""
    if context.policy is None:
        raise ScorecraftError("credit 'turn-matching' reads the calls of every turn, and needs the policy's tokenizer")
    answers = torch.full((len(rollouts), int(counts.max()) if len(counts) else 0), float("nan"), dtype=torch.float64)
    made: list[list[ToolCall]] = []
    places: list[list[int]] = []
    for row, (ids, of_token, problem) in enumerate(
        zip(rollouts.tokens.tolist(), turns.tolist(), rollouts.problem_of, strict=True)
    ):
        made.append([])
        places.append([])
        written: list[list[int]] = [[] for _ in range(int(counts[row]))]
        for token, turn in zip(ids, of_token, strict=True):
            if turn >= 0:
                written[turn].append(token)
        for turn, own in enumerate(written):
            text = context.policy.decode(own)
            calls = read_calls(text, form)
            made[row] += calls
            places[row] += [turn] * len(calls)
            answer = read_answer(text)
            if answer is not None:
                answers[row, turn] = answer_f1(answer, problem.answer)
    return made, places, answers
