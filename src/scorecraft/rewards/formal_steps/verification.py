"""The state machine of retrospective verification: every step of a solution ends in one of four states."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps.claim import Claim
from scorecraft.rewards.formal_steps.formalizer import Formalizer
from scorecraft.rewards.formal_steps.normal_form import contentless
from scorecraft.rewards.formal_steps.records import FormalizeError, NoClaim, StepRecord, StepState, Substatus
from scorecraft.rewards.formal_steps.results import AnyClaim, CheckResult, Prover

ContentlessAs = Literal["not-required", "success"]
_FAILED = StepState.FAILED_FORMALIZATION


@implements("formal-steps")
def verify_step(
    question: str,
    previous: Sequence[StepRecord],
    step: str,
    formalizer: Formalizer,
    prover: Prover,
    *,
    max_formalize: int = 3,
    timeout_s: float | None = None,
    attempts: int = 16,
    contentless_as: ContentlessAs = "not-required",
) -> StepRecord:
    """Return the record of one step.

    Up to ``max_formalize`` times the step is formalised: no claim needed ends in NO_VERIFICATION_REQUIRED; a claim that
    means something (it parses, is well-sorted, divides by nothing that may be 0, and its hypotheses do not contradict
    each other) is proved: success ends in SUCCESS_OF_PROOF, all else in FAILURE_OF_PROOF, with substatus "refuted"
    where there is a counterexample. Without such a claim the step ends in FAILED_FORMALIZATION.

    Args:
        question: what the solution answers.
        previous: the records of the steps before.
        step: the step.
        formalizer: makes the claim.
        prover: decides it.
        max_formalize: attempts to formalise; one that is deterministic gets one.
        timeout_s: for each question to the prover; None for the prover's own.
        attempts: proofs that the prover may try.
        contentless_as: what a claim that asserts nothing counts as; "success" as in the published code.

    Raises `ScorecraftError` for fewer than one attempt.

    Source: Safe, 2025, arXiv 2506.04592; the guards, "vacuous" and "contentless" are this project's.
    """
    if max_formalize < 1:
        raise ScorecraftError(f"verify_step: expected max_formalize of at least 1, got {max_formalize}")
    tries = 1 if formalizer.deterministic else max_formalize
    failed = StepRecord(step, _FAILED)
    for number in range(1, tries + 1):
        claim = formalizer.formalize(question, previous, step)
        if isinstance(claim, NoClaim):
            state = StepState.NO_VERIFICATION_REQUIRED
            return StepRecord(step, state, reason=claim.reason, attempts=number)
        if isinstance(claim, FormalizeError):
            failed = StepRecord(step, _FAILED, None, claim.fault, claim.message, attempts=number)
            continue
        checked = prover.check(claim, timeout_s)
        if checked.status == "well-formed":
            return _proved(step, claim, prover, timeout_s, attempts, contentless_as, number)
        failed = StepRecord(step, _FAILED, claim, _substatus(checked), checked.reason, attempts=number)
    return failed


def _substatus(checked: CheckResult) -> Substatus:
    assert checked.status != "well-formed"
    return checked.status


def _proved(
    step: str,
    claim: AnyClaim,
    prover: Prover,
    timeout_s: float | None,
    attempts: int,
    contentless_as: ContentlessAs,
    number: int,
) -> StepRecord:
    if isinstance(claim, Claim) and contentless(claim):
        state = StepState.SUCCESS_OF_PROOF if contentless_as == "success" else StepState.NO_VERIFICATION_REQUIRED
        return StepRecord(step, state, claim, "contentless", "the claim asserts nothing", attempts=number)
    proof = prover.prove(claim, timeout_s, attempts)
    reason = str(proof.evidence.get("reason", ""))
    if proof.status == "proved":
        return StepRecord(step, StepState.SUCCESS_OF_PROOF, claim, "", reason, proof, number)
    if proof.status == "unsupported":
        return StepRecord(step, _FAILED, claim, "unsupported", reason, proof, number)
    substatus: Substatus = "refuted" if proof.status == "refuted" else "unknown"
    return StepRecord(step, StepState.FAILURE_OF_PROOF, claim, substatus, reason, proof, number)


@implements("formal-steps")
def verify_trace(
    question: str,
    steps: Sequence[str],
    formalizer: Formalizer,
    prover: Prover,
    *,
    max_formalize: int = 3,
    timeout_s: float | None = None,
    attempts: int = 16,
    contentless_as: ContentlessAs = "not-required",
    budget_s: float = 3600.0,
) -> list[StepRecord]:
    """Return the record of every step, each verified in the context of the question and the steps before it.

    Args:
        question: what the solution answers.
        steps: the solution, see `split_steps`.
        formalizer: makes the claims.
        prover: decides them.
        max_formalize, timeout_s, attempts, contentless_as: see `verify_step`.
        budget_s: for the whole solution; one that takes longer has no records, so that its score is 0.

    Source: Safe, 2025, arXiv 2506.04592.
    """
    until = time.monotonic() + budget_s
    records: list[StepRecord] = []
    for step in steps:
        record = verify_step(
            question, records, step, formalizer, prover, max_formalize=max_formalize, timeout_s=timeout_s,
            attempts=attempts, contentless_as=contentless_as,
        )  # fmt: skip
        records.append(record)
        if time.monotonic() > until:
            return []
    return records
