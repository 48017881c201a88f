"""A proposer that asks a language model, usually the one that wrote the attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scorecraft.catalog import implements
from scorecraft.credit.intervention_training.attempts import Attempt
from scorecraft.credit.intervention_training.interventions import Intervention, parse_intervention
from scorecraft.credit.intervention_training.proposal_prompts import intervention_prompt, rewrite_prompt, solve_prompt
from scorecraft.credit.intervention_training.substeps import SEPARATOR
from scorecraft.errors import ScorecraftError

Message = Mapping[str, str]
Generate = Callable[[Sequence[Sequence[Message]]], Sequence[str]]
"""Returns the reply to each of many conversations; a message has "role" and "content"."""


@implements("intervention-training")
@dataclass(frozen=True)
class LanguageModelProposer:
    """Asks in two turns: solve along the reference; then check the attempt and propose one step.

    The first turn is asked once for every problem, the second ``n`` times for every attempt, with the first turn's
    reply in its context. generate: samples the replies; the paper's settings are temperature 0.6, top-p 0.95, top-k 20.

    Source: InT, 2026, arXiv 2601.14209; the wording of the prompts is ours.
    """

    generate: Generate

    @property
    def needs_reference(self) -> bool:
        """True: a model that could find its errors without one would not have made them."""
        return True

    def propose(self, attempts: Sequence[Attempt], n: int = 1) -> list[list[Intervention | None]]:
        """Return ``n`` proposals for every attempt, None where a reply could not be read.

        Raises `ScorecraftError` where ``generate`` does not return one text for every conversation.
        """
        openings = {_opening(attempt): None for attempt in attempts}
        solutions = dict(zip(openings, self._replies([[_user(text)] for text in openings]), strict=True))
        conversations = [self._second_turn(attempt, solutions[_opening(attempt)]) for attempt in attempts]
        replies = self._replies([conversation for conversation in conversations for _ in range(n)])
        proposals = [parse_intervention(reply) for reply in replies]
        return [proposals[row * n : (row + 1) * n] for row in range(len(attempts))]

    def rewrite(self, attempts: Sequence[Attempt]) -> list[str]:
        """Return a whole solution for every attempt, written after reflection on it: what "self-reflection" learns.

        Raises `ScorecraftError` as `propose` does.
        """
        texts = (rewrite_prompt(a.problem.prompt, a.reference, SEPARATOR.join(a.steps)) for a in attempts)
        return self._replies([[_user(text)] for text in texts])

    def _second_turn(self, attempt: Attempt, solution: str) -> list[Message]:
        asked = intervention_prompt(attempt.steps, attempt.problem.answer)
        return [_user(_opening(attempt)), {"role": "assistant", "content": solution}, _user(asked)]

    def _replies(self, conversations: list[list[Message]]) -> list[str]:
        if not conversations:
            return []
        replies = list(self.generate(conversations))
        if len(replies) != len(conversations) or not all(isinstance(reply, str) for reply in replies):
            raise ScorecraftError(
                f"generate: expected one text for each of {len(conversations)} conversations, got {len(replies)} "
                f"replies of type {', '.join(sorted({type(reply).__name__ for reply in replies})) or 'none'}"
            )
        return replies


def _opening(attempt: Attempt) -> str:
    return solve_prompt(attempt.problem.prompt, attempt.reference)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
