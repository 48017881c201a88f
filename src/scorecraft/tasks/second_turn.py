"""A second turn: the first attempt is often flawed, then the user says "Check it." and it is corrected or kept.

The verdict on a whole conversation is the verdict on its last turn (what follows the last "Check it." line); to
judge the first attempt, give `check` the text of that turn alone. The gold second turn goes on from the last
state that the first one reached without a fault and states the answer again; where the first attempt was right
that is the answer alone.

The step checker takes the second turn for a fresh attempt that may go on from any state that the first one
reached without a fault. The user's line counts as an off-topic step (the policy did not write it), and only the
first one opens a fresh attempt.
"""

from __future__ import annotations

from random import Random

from scorecraft.parts import register
from scorecraft.problem import Problem, StepLabel, Verdict
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.chain_checker import ChainFollower, RunningState
from scorecraft.tasks.chain_task import ChainTask, answer_line, chain_answer
from scorecraft.tasks.chain_writer import Solution, write_solution
from scorecraft.tasks.task import Rate

REQUEST = "Check it."
FOLLOW_UP = f"\n{REQUEST}\n"


@register("task", "second-turn")
class SecondTurn(ChainTask):
    """Chains with a first attempt, then a request to check it, then a corrected or confirmed answer.

    flawed_first: probability that the first attempt of a gold trace has a wrong step (``flawed_steps`` adds
        wrong steps to both turns).
    """

    flawed_first: Rate = 0.5

    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks for a chain."""
        del random
        return Problem(f"{chain.text}=?\n", chain_answer(chain), metadata=chain.metadata)

    def follow_up(self, problem: Problem, turns: list[str]) -> str | None:
        """Return the request to check after the first turn, whatever it was; None after the second."""
        del problem
        return FOLLOW_UP if len(turns) == 1 else None

    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return a first attempt, the request and the second turn."""
        chain = Chain.from_metadata(problem.metadata)
        flaw_at = self._flaw_position(chain, random) if random.random() < self.flawed_first else None
        first = write_solution(chain, flaw_rate, self.spare_steps, random, flaw_at=flaw_at)
        start = _last_good_state(chain, first)
        second = write_solution(chain, flaw_rate, self.spare_steps, random, start=start)
        return [(_turn(first), True), (FOLLOW_UP, False), (_turn(second), True)]

    def _flaw_position(self, chain: Chain, random: Random) -> int:
        """Return where a first attempt goes wrong: no later than the operation it cannot do."""
        unknown = [max(place - 1, 0) for place, values in enumerate(chain.operands) if not values]
        return random.randint(0, unknown[0] if unknown else len(chain.operators) - 1)

    def check(self, problem: Problem, completion: str) -> Verdict:
        """Return whether the last turn's answer is the true one; UNPARSED where that turn has none."""
        return super().check(problem, _last_turn(completion))

    def label(self, problem: Problem, line: str, before: list[str], follower: ChainFollower) -> StepLabel:
        """Return the label of one line; the user's request opens a fresh attempt."""
        if line.strip() == REQUEST:
            follower.restart()
            return StepLabel.OFF_TOPIC
        return super().label(problem, line, before, follower)


def _turn(solution: Solution) -> str:
    return "\n".join([*map(str, solution.steps), answer_line(solution.value)])


def _last_turn(completion: str) -> str:
    lines = completion.split("\n")
    last = max((place for place, line in enumerate(lines) if line.strip() == REQUEST), default=-1)
    return "\n".join(lines[last + 1 :])


def _last_good_state(chain: Chain, solution: Solution) -> RunningState:
    """Return the last state before the first one that right steps do not lead to."""
    good = solution.states[0]
    for state in solution.states[1:]:
        if state.value not in chain.reachable[state.position]:
            break
        good = state
    return good
