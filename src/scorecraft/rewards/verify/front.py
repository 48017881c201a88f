"""The front door: `verify` one completion, or `verify_many`, of which only the hard ones reach a worker process."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from scorecraft.errors import ScorecraftError, require
from scorecraft.rewards.verify.extraction import find_answer
from scorecraft.rewards.verify.fast import Pending, decide
from scorecraft.rewards.verify.options import Kind, Options
from scorecraft.rewards.verify.pool import Job, Reply, pool
from scorecraft.rewards.verify.verification import Ruling, Unreadable, Verification

EXTRA = "verify"
_REMEMBERED = 4096
_remembered: dict[Job, Reply] = {}


def verify(completion: str, truth: Any, *, kind: Kind = "auto", **more: Any) -> Verification:
    """Return the ruling on one completion: correct, wrong, unparsed, timeout or error, and why.

    Args:
        completion: what was written, of which the answer is found by `scorecraft.rewards.verify.extraction`.
        truth: the true answer, or a worked solution that ends in it; for kind "regex" a pattern that the whole answer
            must match, for "code" the tests (`scorecraft.rewards.verify.program`), for "reasoning-gym" the entry.
        kind: what the true answer is, see `Options`; "auto" tells by its form.
        more: the other fields of `Options`.

    Raises `ScorecraftError` for unknown options, and where math-verify is needed and not installed.
    """
    return verify_many([completion], [truth], Options(kind=kind, **more))[0]


def verify_many(
    completions: Sequence[str], truths: Sequence[Any], options: Options | None = None
) -> list[Verification]:
    """Return the ruling on every completion, in order.

    Args:
        completions: what was written.
        truths: the true answer of each.
        options: how to compare.

    Raises `ScorecraftError` as `verify` does, and where there are not as many truths as completions.
    """
    options = options or Options()
    if len(completions) != len(truths):
        raise ScorecraftError(f"verify_many: {len(completions)} completions, but {len(truths)} true answers")
    if options.kind == "code":
        from scorecraft.rewards.verify.program import run_programs

        return run_programs(completions, truths, options)
    if options.kind == "reasoning-gym":
        from scorecraft.rewards.verify.gym import score_entries

        return score_entries(completions, truths, options)
    results: list[Verification] = []
    pending: dict[int, Pending] = {}
    jobs: dict[Job, list[int]] = {}
    for place, (completion, truth) in enumerate(zip(completions, truths, strict=True)):
        start = time.perf_counter()
        if not isinstance(truth, str):
            truth = _text(truth)  # noqa: PLW2901 - a number is its text
        try:
            if options.kind == "regex":
                verdict = _pattern(completion, truth, jobs, place)
            else:
                verdict = decide(completion, truth, options)
        except Pending as left:
            pending[place] = left
            verdict = Verification(Ruling.ERROR)
            jobs.setdefault(Job("mathematics", _latex(left.true.text), _latex(left.text)), []).append(place)
        verdict.seconds = time.perf_counter() - start
        results.append(verdict)
    if jobs:
        _ask(jobs, pending, results, options)
    return results


def _text(truth: Any) -> str:
    if isinstance(truth, bool) or not isinstance(truth, int | float):
        raise ScorecraftError(f"verify: expected a text or a number as the true answer, got {type(truth).__name__}")
    return repr(truth)


def _latex(text: str) -> str:
    return text.replace(r"\lbrace ", r"\{").replace(r"\rbrace ", r"\}").replace(r"\rbrace", r"\}").replace("%", r"\%")


def _pattern(completion: str, pattern: str, jobs: dict[Job, list[int]], place: int) -> Verification:
    _compiled(pattern)
    try:
        answer = find_answer(completion)
    except Unreadable:
        # Without a mark the whole text is what must match.
        text, form = completion.strip(), "whole"
    else:
        text, form = answer.text, answer.form
    jobs.setdefault(Job("pattern", pattern, text), []).append(place)
    return Verification(Ruling.ERROR, form=form, given=text, truth=pattern)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> None:
    try:
        re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise ScorecraftError(f"verify: '{pattern[:60]}' is not a regular expression: {error}") from error


def _ask(
    jobs: dict[Job, list[int]], pending: dict[int, Pending], results: list[Verification], options: Options
) -> None:
    """Fill in the rulings of what the fast path left, each different question asked once."""
    unknown = [job for job in jobs if job not in _remembered]
    if any(job.kind == "mathematics" for job in unknown):
        require("math_verify", EXTRA, "comparing expressions that are not of the ordinary kinds")
    replies = dict(zip(unknown, pool(options.workers, options.memory_mb).run(unknown, options.seconds), strict=True))
    for job, places in jobs.items():
        reply = _remembered[job] if job in _remembered else replies[job]
        for place in places:
            before = results[place]
            left = pending.get(place)
            verdict = _from_reply(reply, before if left is None else _of_pending(left))
            verdict.seconds = before.seconds + reply.seconds / len(places)
            results[place] = verdict
    _remember({job: reply for job, reply in replies.items() if reply.same is not None})


def _of_pending(left: Pending) -> Verification:
    answer = left.answer
    return Verification(Ruling.ERROR, form=answer.form, given=answer.text, truth=left.true.text, path="math-verify")


def _from_reply(reply: Reply, verdict: Verification) -> Verification:
    path = verdict.path if verdict.path == "math-verify" else "worker"
    if reply.same is not None:
        ruling = Ruling.CORRECT if reply.same else Ruling.WRONG
        score = 1.0 if reply.same else 0.0
    else:
        score = 0.0
        ruling = {"timeout": Ruling.TIMEOUT, "given": Ruling.UNPARSED}.get(reply.failure, Ruling.ERROR)
    reason = f"the true answer: {reply.message}" if reply.failure == "truth" else reply.message
    return Verification(
        ruling, reason, verdict.form, verdict.given, verdict.truth, reply.values, path, reply.seconds, score
    )


def _remember(replies: dict[Job, Reply]) -> None:
    """Keep verdicts for the next batch; a group of rollouts often gives the same answer again."""
    if len(_remembered) + len(replies) > _REMEMBERED:
        _remembered.clear()
    _remembered.update(replies)
