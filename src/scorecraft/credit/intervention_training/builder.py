"""From problems, references and failed attempts to supervised examples, with a count of what was dropped and why."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scorecraft.catalog import implements
from scorecraft.credit.intervention_training.attempts import Attempt, GuidedAttempt
from scorecraft.credit.intervention_training.coverage import CoverageStatistics
from scorecraft.credit.intervention_training.examples import (
    TARGETS,
    Encoder,
    InterventionExample,
    Target,
    row_example,
)
from scorecraft.credit.intervention_training.filters import (
    Drop,
    Leak,
    Rollout,
    Verify,
    check_rollouts,
    filter_interventions,
    reveals_answer,
)
from scorecraft.credit.intervention_training.interventions import Intervention, splice
from scorecraft.credit.intervention_training.proposer import InterventionProposer
from scorecraft.credit.intervention_training.substeps import SEPARATOR, substeps
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Problem

Unique = Literal["attempt", "problem"]
Rewrite = Callable[[Sequence[Attempt]], Sequence[str]]
"""Returns a whole new solution for every failed attempt."""


@dataclass(frozen=True)
class InterventionExamples:
    """Examples with the rows that they are from, in one order, and how they came about.

    dropped: how many for each reason: attempts under the two reasons that are of attempts, else proposals. attempts,
    proposals: how many there were. statistics: of the continuations from guided prefixes.
    """

    examples: tuple[InterventionExample, ...]
    rows: tuple[GuidedAttempt, ...]
    dropped: Mapping[Drop, int]
    attempts: int
    proposals: int
    statistics: CoverageStatistics

    def summary(self) -> str:
        """Return the counts as lines of text."""
        lines = [f"{self.attempts} attempts, {self.proposals} proposals, {len(self.examples)} examples"]
        lines += [f"  dropped, {reason}: {self.dropped[reason]}" for reason in Drop if self.dropped[reason]]
        found = self.statistics
        if found.rollouts:
            lines.append(
                f"  {found.correct} of {found.rollouts} continuations right ({found.success_rate:.2%}); "
                f"{found.covered} of {found.problems} problems solved at least once"
            )
        return "\n".join(lines)


@implements("intervention-training")
def intervention_examples(
    problems: Sequence[Problem],
    attempts: Sequence[Sequence[str]],
    proposer: InterventionProposer,
    encoder: Encoder,
    *,
    rollout: Rollout,
    verify: Verify,
    references: Sequence[str] | None = None,
    target: Target = "prefix+intervention",
    proposals: int = 1,
    n_rollouts: int = 32,
    min_correct: int = 1,
    leak: Leak = "substring",
    unique: Unique = "attempt",
    max_tokens: int = 16384,
    end_token: int | None = None,
    separator: str = SEPARATOR,
    rewrite: Rewrite | None = None,
    strict: bool = True,
) -> InterventionExamples:
    """Return supervised examples made of failed attempts: propose, splice, filter, encode.

    Args:
        problems: that the model fails.
        attempts: its wrong completions for each problem.
        proposer: finds the first error and proposes a step.
        encoder: turns texts into tokens.
        rollout: samples continuations of a guided prefix from the model.
        verify: says whether a completion is right.
        references: a right solution for each problem; None for the gold completions of the problems.
        target: what of it is learned (`row_example`).
        proposals: asked for each attempt.
        n_rollouts: continuations of every guided prefix.
        min_correct: how many of them must be right.
        leak: the rule by which a step gives the answer away (`reveals_answer`).
        unique: "attempt" keeps the first usable proposal of an attempt; "problem" then keeps of each problem the one
            with the most right continuations.
        max_tokens: a longer example is dropped, never cut.
        end_token: put at the end of whole solutions only.
        separator: what stands between substeps.
        rewrite: writes the solutions of target "self-reflection"; those that are wrong are dropped.
        strict: a right attempt is an error; if False it is dropped and counted.

    Raises `ScorecraftError` for a right attempt under ``strict``, a problem without an answer or, where the proposer or
    the target needs one, without a reference, sequences of unequal length, options outside their range, and a
    proposer, rollout or rewrite that returns another number of results than it was asked for. Warns of attempts
    that are one substep, and of answers of one character under the rule "substring".

    Source: InT, 2026, arXiv 2601.14209.
    """
    _check_options(target, proposals, n_rollouts, min_correct, leak, unique, max_tokens, rewrite)
    solutions = [problem.gold for problem in problems] if references is None else list(references)
    _check_problems(problems, attempts, solutions, proposer.needs_reference or target == "reference")
    dropped: Counter[Drop] = Counter()
    failed = _failed(problems, attempts, solutions, verify, separator, strict, dropped)
    _warn(failed, leak, separator)
    given = [list(found) for found in proposer.propose(failed, proposals)] if failed else []
    if len(given) != len(failed) or any(len(found) > proposals for found in given):
        raise ScorecraftError(f"proposer: expected up to {proposals} proposals for each of {len(failed)} attempts")
    rows = [
        row
        for attempt, found in zip(failed, given, strict=True)
        for row in _guided(attempt, found, leak, separator, dropped)
    ]
    asked = len({attempt.problem_index for attempt in failed})
    filtered = filter_interventions(rows, rollout, verify, n_rollouts, min_correct, asked)
    dropped[Drop.NO_SUCCESS] += len(rows) - len(filtered.kept)
    kept = _best(filtered.kept, dropped) if unique == "problem" else filtered.kept
    pairs = _encoded(kept, target, encoder, verify, rewrite, max_tokens, end_token, separator, dropped)
    return InterventionExamples(
        tuple(example for _, example in pairs),
        tuple(row for row, _ in pairs),
        {reason: dropped[reason] for reason in Drop},
        sum(map(len, attempts)),
        sum(map(len, given)),
        filtered.statistics,
    )


def _failed(
    problems: Sequence[Problem],
    attempts: Sequence[Sequence[str]],
    references: Sequence[str],
    verify: Verify,
    separator: str,
    strict: bool,
    dropped: Counter[Drop],
) -> list[Attempt]:
    failed: list[Attempt] = []
    for index, (problem, texts, reference) in enumerate(zip(problems, attempts, references, strict=True)):
        seen: set[str] = set()
        for place, text in enumerate(texts):
            if text in seen:
                dropped[Drop.ATTEMPT_REPEATED] += 1
                continue
            seen.add(text)
            if not verify(problem, text):
                failed.append(Attempt(problem, tuple(substeps(text, separator)), reference, index, place))
            elif strict:
                raise ScorecraftError(
                    f"problem {index}, attempt {place} is correct and has no error to correct; leave it out, or pass "
                    "strict=False to have such attempts dropped"
                )
            else:
                dropped[Drop.ATTEMPT_CORRECT] += 1
    return failed


def _guided(
    attempt: Attempt, proposals: Sequence[Intervention | None], leak: Leak, separator: str, dropped: Counter[Drop]
) -> list[GuidedAttempt]:
    """Return the first usable proposal of an attempt, spliced in, if there is one."""
    row: list[GuidedAttempt] = []
    for proposal in proposals:
        if proposal is None:
            dropped[Drop.UNREADABLE] += 1
        elif not proposal.content.strip():
            dropped[Drop.NO_ERROR_FOUND] += 1
        elif not 1 <= proposal.location <= len(attempt.steps) + 1:
            dropped[Drop.BAD_LOCATION] += 1
        elif reveals_answer(proposal.content, attempt.problem.answer, leak):
            dropped[Drop.LEAK] += 1
        elif row:
            dropped[Drop.DUPLICATE] += 1
        else:
            prefix = separator.join(attempt.steps[: proposal.location - 1])
            row.append(GuidedAttempt(attempt, proposal, prefix, splice(attempt.steps, proposal, separator)))
    return row


def _best(rows: Sequence[GuidedAttempt], dropped: Counter[Drop]) -> list[GuidedAttempt]:
    """Return of every problem the row with the most right continuations, the first of equals."""
    best: dict[int, GuidedAttempt] = {}
    for row in rows:
        index = row.attempt.problem_index
        if index not in best or row.correct > best[index].correct:
            best[index] = row
    dropped[Drop.DUPLICATE] += len(rows) - len(best)
    return list(best.values())


def _encoded(
    rows: Sequence[GuidedAttempt],
    target: Target,
    encoder: Encoder,
    verify: Verify,
    rewrite: Rewrite | None,
    max_tokens: int,
    end_token: int | None,
    separator: str,
    dropped: Counter[Drop],
) -> list[tuple[GuidedAttempt, InterventionExample]]:
    rewrites = _rewrites(rows, rewrite if target == "self-reflection" else None)
    pairs: list[tuple[GuidedAttempt, InterventionExample]] = []
    for row, text in zip(rows, rewrites, strict=True):
        if target == "self-reflection" and not (text.strip() and verify(row.attempt.problem, text)):
            dropped[Drop.WRONG_REWRITE] += 1
            continue
        example = row_example(row, target, encoder, rewrite=text, end_token=end_token, separator=separator)
        if example is None:
            dropped[Drop.NOTHING_TO_LEARN] += 1
        elif len(example.tokens) > max_tokens:
            dropped[Drop.TOO_LONG] += 1
        else:
            pairs.append((row, example))
    return pairs


def _rewrites(rows: Sequence[GuidedAttempt], rewrite: Rewrite | None) -> list[str]:
    if rewrite is None or not rows:
        return [""] * len(rows)
    texts = list(rewrite([row.attempt for row in rows]))
    if len(texts) != len(rows):
        raise ScorecraftError(f"rewrite: expected one solution for each of {len(rows)} attempts, got {len(texts)}")
    return texts


def _check_options(
    target: str,
    proposals: int,
    n_rollouts: int,
    min_correct: int,
    leak: str,
    unique: str,
    max_tokens: int,
    rewrite: Rewrite | None,
) -> None:
    """Refuse before any model is asked what would be refused after it."""
    check_rollouts(n_rollouts, min_correct)
    for name, value, known in (
        ("target", target, TARGETS),
        ("leak", leak, ("substring", "token")),
        ("unique", unique, ("attempt", "problem")),
    ):
        if value not in known:
            raise ScorecraftError(f"unknown {name} '{value}'; expected one of {', '.join(known)}")
    for name, number in (("proposals", proposals), ("max_tokens", max_tokens)):
        if number < 1:
            raise ScorecraftError(f"{name}: expected at least 1, got {number}")
    if target == "self-reflection" and rewrite is None:
        raise ScorecraftError(
            "target 'self-reflection' needs 'rewrite', such as the method of that name of LanguageModelProposer"
        )


def _check_problems(
    problems: Sequence[Problem], attempts: Sequence[Sequence[str]], references: Sequence[str], needs_reference: bool
) -> None:
    if not len(problems) == len(attempts) == len(references):
        raise ScorecraftError(
            f"expected attempts and a reference for every problem, got {len(problems)} problems, lists of attempts "
            f"for {len(attempts)} and {len(references)} references"
        )
    for index, (problem, texts, reference) in enumerate(zip(problems, attempts, references, strict=True)):
        if isinstance(texts, str):
            raise ScorecraftError(f"problem {index}: expected a list of attempts, got one text; put it in a list")
        if not problem.answer.strip():
            raise ScorecraftError(f"problem {index} has no answer; a step that gives it away could not be found")
        if needs_reference and not reference.strip():
            raise ScorecraftError(
                f"problem {index} has no reference solution; give one in 'references' or as its gold completion, or "
                "use a proposer that needs none"
            )


def _warn(failed: Sequence[Attempt], leak: Leak, separator: str) -> None:
    single = sum(len(attempt.steps) == 1 for attempt in failed)
    if single:
        warnings.warn(
            f"{single} of {len(failed)} attempts do not have the separator {separator!r}: each is one substep, so "
            "nothing of it can be kept before an error",
            ScorecraftWarning,
            stacklevel=3,
        )
    short = len({a.problem_index for a in failed if len(a.problem.answer.strip()) == 1})
    if short and leak == "substring":
        warnings.warn(
            f"{short} problems have an answer of one character, which the rule leak='substring' finds in almost any "
            "step; leak='token' drops fewer",
            ScorecraftWarning,
            stacklevel=3,
        )
