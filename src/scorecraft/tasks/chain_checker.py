"""The exact step checker of chains: it follows a solution line by line from a running value.

A step is
- **correct** where its arithmetic is true and it applies the chain's next operation to the running value;
- **redundant** where its arithmetic is true but it does not advance: it repeats an earlier correct or redundant
  step, or adds 0 to, subtracts 0 from or multiplies by 1 the running value;
- **wrong** where its arithmetic is false, or true with an operand that is not the running state's;
- **off-topic** where it does not parse as a step.

After a wrong step the checker goes on from what was written: the written result is the running value, and the
step stands for the next operation (or for the later one that it names; a step that names an operation already
done stands for none). Later steps that follow from there are correct *given the carried value*. Whether the
solution is still right as a whole is a separate question, answered by `ChainFollower.on_gold_path`.

An answer is correct where it is what the remaining operations make of the running value, redundant where it
repeats a correct answer, and wrong otherwise. "none" is a correct answer wherever an operand is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from scorecraft.problem import StepLabel
from scorecraft.tasks.arithmetic import Chain, Equation

NONE = "none"


@dataclass(frozen=True, slots=True)
class RunningState:
    """The running value (None while unknown) after ``position`` operations."""

    value: int | None
    position: int


class ChainFollower:
    """Follows one written solution of a chain; each call takes the next step and returns its label."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        first = chain.operands[0]
        # An uncertain first operand gives several states to start from; the first step decides.
        self._starts = [RunningState(value, 0) for value in first] or [RunningState(None, 0)]
        self.state = self._starts[-1]
        self._gold_states = list(self._starts)
        self._strayed = False
        self._stated: set[Equation] = set()
        self._answers: set[str] = set()
        self._restarted = False

    @property
    def on_gold_path(self) -> bool:
        """True where the running value is one that right steps reach after as many operations."""
        return self.state.value in self.chain.reachable[self.state.position] or (
            self.state.value is None and not self.chain.operands[0]
        )

    def equation(self, equation: Equation) -> StepLabel:
        """Take a step that is an equation."""
        start = next((s for s in reversed(self._starts) if self._is_next(equation, s)), None)
        if equation.true and start is not None:
            self._stated.add(equation)
            self._move(RunningState(equation.result, start.position + 1))
            return StepLabel.CORRECT
        stands_still = equation.neutral and any(equation.left == s.value for s in self._starts)
        if equation.true and (equation in self._stated or stands_still):
            self._stated.add(equation)
            return StepLabel.REDUNDANT
        self._move(RunningState(equation.result, self._resumes_at(equation)))
        return StepLabel.WRONG

    def answer(self, value: int | str) -> StepLabel:
        """Take an answer: an integer, or "none" for a problem that cannot be answered."""
        right = (
            not self.chain.answerable
            if value == NONE
            else any(
                s.value is not None and value in self.chain.outcomes([s.value], s.position)
                for s in {self.state, *self._starts}
            )
        )
        if not right:
            return StepLabel.WRONG
        label = StepLabel.REDUNDANT if str(value) in self._answers else StepLabel.CORRECT
        self._answers.add(str(value))
        return label

    def restart(self) -> None:
        """Begin a fresh attempt, which may go on from any state that the first one reached without a fault.

        Only the first call counts: a solution that repeats the request to check itself gains nothing.
        """
        if not self._restarted:
            self._restarted = True
            self._starts, self.state = list(self._gold_states), self._gold_states[-1]
            self._stated, self._answers = set(), set()

    def _is_next(self, equation: Equation, state: RunningState) -> bool:
        return (
            state.position < len(self.chain.operators)
            and equation.left == state.value
            and self._names(equation, state.position)
        )

    def _names(self, equation: Equation, position: int) -> bool:
        return (
            equation.operator == self.chain.operators[position] and equation.right in self.chain.operands[position + 1]
        )

    def _resumes_at(self, equation: Equation) -> int:
        """Return the position after a wrong step."""
        count = len(self.chain.operators)
        base = min(start.position for start in self._starts)
        # In a fresh attempt, what the first one had reached goes before the beginning.
        for position in [*range(self.state.position, count), *range(base, self.state.position)]:
            if self._names(equation, position):
                return position + 1
        if any(self._names(equation, position) for position in range(base)):
            return base
        # A step that names no operation of the chain stands for the one after the value that it takes up.
        taken_up = (start.position for start in reversed(self._starts) if start.value == equation.left)
        return min(next(taken_up, self.state.position) + 1, count)

    def _move(self, state: RunningState) -> None:
        self.state, self._starts = state, [state]
        if not self.on_gold_path:
            self._strayed = True
        elif not self._strayed:
            self._gold_states.append(state)
