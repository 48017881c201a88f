"""Multiple choice: a chain with shuffled options, solved step by step and answered with a letter.

``12+7-3=?`` with ``A)18 B)16 C)6 D)17`` ends in ``#B``. A letter of either case is an answer, one that is not
among the options a wrong answer; where an operand is ``?`` the right answer is ``#none`` and all options are
decoys. The step checker takes a letter for the option's value: it is correct where that value follows from the
steps. A flawed trace whose value is not among the options picks the nearest one.
"""

from __future__ import annotations

from random import Random

from pydantic import Field

from scorecraft.parts import register
from scorecraft.problem import Problem, StepLabel
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.chain_checker import NONE, ChainFollower
from scorecraft.tasks.chain_task import ANSWER_MARK, ChainTask, answer_line
from scorecraft.tasks.chain_writer import SLIPS, write_solution

LETTERS = "ABCDEFGH"


@register("task", "multiple-choice")
class MultipleChoice(ChainTask):
    """Chains with shuffled options: written steps, then the letter of the right option.

    options: the number of options; the wrong ones are off by a slip of 1, 2 or 10, beyond six of them by up to 9.
    """

    options: int = Field(4, ge=2, le=len(LETTERS))

    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks for a chain and offers options in random order."""
        # Options of a problem without an answer look like those of one with: they lie around a possible value.
        pretended = [values or (random.randint(1, self.largest),) for values in chain.operands]
        (value,) = Chain(tuple(pretended), chain.operators).reachable[-1]
        rare = [offset for offset in range(-10, 11) if offset and offset not in SLIPS]
        away = [*random.sample(SLIPS, len(SLIPS)), *random.sample(rare, len(rare))]
        right = [value] if chain.answerable else []
        options = right + [value + offset for offset in away[: self.options - len(right)]]
        random.shuffle(options)
        listed = " ".join(f"{letter}){option}" for letter, option in zip(LETTERS, options, strict=False))
        answer = LETTERS[options.index(value)] if chain.answerable else NONE
        return Problem(f"{chain.text}=?\n{listed}\n", answer, metadata={**chain.metadata, "options": options})

    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return a written solution that ends with a letter."""
        solution = write_solution(Chain.from_metadata(problem.metadata), flaw_rate, self.spare_steps, random)
        value, options = solution.value, problem.metadata["options"]
        letter = None
        if value is not None:
            letter = LETTERS[min(range(len(options)), key=lambda index: abs(options[index] - value))]
        return [("\n".join([*map(str, solution.steps), answer_line(letter)]), True)]

    def answer_value(self, text: str) -> str | None:
        """Return the letter in upper case, or "none"; None for any other text."""
        if text == NONE:
            return NONE
        letter = text.upper()
        return letter if len(text) == 1 and text.isascii() and letter.isalpha() else None

    def label(self, problem: Problem, line: str, before: list[str], follower: ChainFollower) -> StepLabel:
        """Return the label of one line; a letter stands for its option's value."""
        text = line.strip(" ")
        if not text.startswith(ANSWER_MARK):
            return super().label(problem, line, before, follower)
        letter, options = self.answer_value(text[1:].strip(" ")), problem.metadata["options"]
        if letter is None:
            return StepLabel.OFF_TOPIC
        if letter == NONE:
            return follower.answer(NONE)
        place = LETTERS.find(letter)
        return follower.answer(options[place]) if 0 <= place < len(options) else StepLabel.WRONG
