"""How does a reward react to tricks? Scored without training, on completions that are written and not sampled.

For every problem of a task there is honest work, right and wrong, and the completions of every trick. All are scored by
the whole composition of rewards, and a trick's *margin* is what it earns above the honest work it is held against,
problem by problem. A policy trained on the reward moves towards whatever has a margin above 0.

The completions of a problem are scored as one group, in two orders that are averaged, so that a bias to the place in
the group falls on no trick but "shown first". Everything is scored once more with new random numbers ("asked again").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scorecraft.audit.honest_work import HonestWork, honest_works
from scorecraft.audit.rewarded import Passes, Rewarded, Table
from scorecraft.audit.tricks import (
    FILLER,
    MAGIC,
    Attempt,
    Trick,
    Workshop,
    most_common_answer,
    tricks,
    with_magic,
)
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem
from scorecraft.stats.intervals import Interval, bootstrap_interval, wilson_interval
from scorecraft.tasks.seeding import stable_random
from scorecraft.tasks.task import Task

Finds = Literal["pays", "does not pay", "unclear", "not scored"]

HONEST = ("right", "wrong", "misstated")
# Margins up to this are rounding. Anything above it can be learned: an advantage is often divided by its own spread.
ROUNDING = 1e-6
# A wrong answer that is taken for right this often, for certain, is a flaw.
SELDOM = 0.01
CONFIDENCE = 0.95
SCANNED = 8  # problems on which the magic text is chosen; no margin is measured on them


@dataclass(frozen=True, slots=True)
class Example:
    """The problem on which a trick earned most above honest work; ``honest`` is that work (the likeliest of it)."""

    prompt: str
    honest: str
    honest_reward: float
    text: str
    reward: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What one trick earns.

    margin: mean of reward minus that of the honest work, paired by problem, with an interval; None where it was not
    scored often enough. by_part: the margin of each weighted reward on its own. share: for wrong answers in the right
    form, on how many problems they earn as much as the right work; by_part then says what each reward gives the wrong
    answers there. scored: problems that it was scored on.
    """

    trick: str
    title: str
    on: str
    idea: str
    verdict: Finds
    margin: Interval | None
    share: Interval | None
    by_part: Mapping[str, float]
    scored: int
    example: Example | None

    @property
    def paid_by(self) -> str | None:
        """The reward that pays most for it; None where none does."""
        name = max(self.by_part, key=self.by_part.__getitem__, default=None)
        return name if name is not None and self.by_part[name] > ROUNDING else None


@dataclass(frozen=True, slots=True)
class Probe:
    """What a composition of rewards makes of every trick.

    being_right: what right work earns above wrong work. problems: how many it was probed on; left_out: how many more
    have no right and wrong completion. magic: the magic text that was chosen on other problems. confidence: of each
    interval of a margin, so that all together hold at 95 %.
    """

    task: str
    weights: Mapping[str, float]
    combination: str
    problems: int
    left_out: int
    accuracy: float
    magic: str
    confidence: float
    being_right: Interval | None
    findings: tuple[Finding, ...]

    @property
    def pays(self) -> tuple[Finding, ...]:
        """The tricks that pay."""
        return tuple(finding for finding in self.findings if finding.verdict == "pays")


def probe_reward(
    rewarded: Rewarded,
    *,
    problems: int = 64,
    accuracy: float = 0.5,
    magic: Sequence[str] = (),
    longest: int = 256,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Return what every trick earns above honest work, with intervals and verdicts.

    A trick *pays* where its margin is above 0 for certain (for a wrong answer in the right form: where it earns as much
    as the right work on more than one problem in a hundred), *does not pay* where it is not above 0 for certain, and is
    *unclear* between. Intervals are percentile bootstrap intervals over problems, made so wide that all hold together
    at 95 %.

    Args:
        rewarded: the rewards, their combination and the task.
        problems: how many problems of the task, at least 2.
        accuracy: how often the honest work is right that tricks without work are held against, from 0 to 1.
        magic: further magic texts to try.
        longest: tokens that a very long completion has at least.
        seed: of the slips and of the random numbers that rewards draw.
        progress: told how far it is.

    Raises `ScorecraftError` for arguments out of range, a task without problems that fit, or rewards that fail.
    """
    if problems < 2:
        raise ScorecraftError(f"probe_reward: expected at least 2 problems, got {problems}")
    if not 0 <= accuracy <= 1:
        raise ScorecraftError(f"probe_reward: expected an accuracy from 0 to 1, got {accuracy}")
    drawn = _different_problems(rewarded.task, 2 * problems + SCANNED)
    asked, others = drawn[: problems + SCANNED], drawn[problems + SCANNED :]
    works = honest_works(rewarded.task, asked, stable_random("probe", seed))
    left_out, spare = len(asked) - len(works), min(SCANNED, len(works) // 3)
    scanned, works = works[:spare], works[spare:][:problems]
    if len(works) < 2:
        raise ScorecraftError(f"task '{rewarded.task.name}': only {len(works)} problems can be probed; it needs 2")
    # What is most frequent among these very problems would do better on them than it does.
    common = most_common_answer(others or asked)
    workshop = Workshop(rewarded.task, common, accuracy, _characters(longest, rewarded.policy))
    chosen = _best_magic(rewarded, scanned or works, (*magic, *MAGIC), seed)
    shown = [*tricks(replace(workshop, magic=chosen)), _WRONG_ANSWER]
    columns, texts = _texts(shown, works)
    passes = Passes.of(rewarded, works, texts, seed, progress)
    return _probe(rewarded, works, shown, columns, texts, passes, accuracy, chosen, left_out)


_WRONG_ANSWER = Trick(
    "wrong-answer", "wrong answer in the right form", "no work",
    "states a wrong answer where the right one is looked for",
    lambda work: [Attempt(work.line(work.wrong_answers[0]) + work.tail, {"right": 1.0})],
)  # fmt: skip


def _different_problems(task: Task, wanted: int) -> list[Problem]:
    """Return training problems, each once; a file that has fewer is read through once more and no further."""
    found: dict[str, Problem] = {}
    for index in range(2 * wanted):
        problem = task.problem("train", index)
        found.setdefault(problem.prompt, problem)
        if len(found) == wanted:
            break
    return list(found.values())


def _characters(tokens: int, policy: Any) -> int:
    if policy is None:
        return tokens
    text = "".join(FILLER)
    return round(tokens * len(text) / len(policy.encode(text)))


def _best_magic(rewarded: Rewarded, works: Sequence[HonestWork], candidates: Sequence[str], seed: int) -> str:
    """Return the magic text that right or wrong work gains most by."""
    names = list(dict.fromkeys(candidates))
    gains = np.full(len(names), -np.inf)
    for base in ("right", "wrong"):
        plain = [getattr(work, base) for work in works]
        texts = [[text, *(with_magic(text, name) for name in names)] for text in plain]
        totals = Passes.of(rewarded, works, texts, seed + 1).totals()
        gains = np.maximum(gains, [_mean(totals[:, place + 1] - totals[:, 0]) for place in range(len(names))])
    return names[int(np.argmax(gains))]


def _mean(values: Table) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("-inf")


def _texts(shown: Sequence[Trick], works: Sequence[HonestWork]) -> tuple[dict[int, list[int]], list[list[str]]]:
    """Return which columns belong to each trick, and the completions of every problem: honest ones first."""
    columns: dict[int, list[int]] = {}
    rows: list[list[str]] = []
    for work in works:
        row = [getattr(work, name) for name in HONEST]
        for place, trick in enumerate(shown):
            attempts = trick.attempts(work)
            columns[place] = list(range(len(row), len(row) + len(attempts)))
            row += [attempt.text for attempt in attempts]
        rows.append(row)
    return columns, rows


def _probe(
    rewarded: Rewarded,
    works: Sequence[HonestWork],
    shown: Sequence[Trick],
    columns: Mapping[int, Sequence[int]],
    texts: Sequence[Sequence[str]],
    passes: Passes,
    accuracy: float,
    magic: str,
    left_out: int,
) -> Probe:
    confidence = 1 - (1 - CONFIDENCE) / (len(shown) + 2)
    totals, parts = passes.totals(), passes.parts()
    findings = []
    for place, trick in enumerate(shown):
        weights = _against(trick, works[0], columns[place])
        margins = _margins(totals, columns[place], weights)
        by_part = {
            name: float(_margins(table, columns[place], weights).mean())
            for name, table in parts.items()
            if rewarded.rewards[name].weight
        }
        example = _example(works, texts, totals, margins, columns[place], weights)
        found = _finding(trick, margins, by_part, example, confidence)
        if trick is _WRONG_ANSWER:
            found = _by_share(found, passes, columns[place][0])
        findings.append(found)
    findings += [_shown_first(passes, rewarded, confidence), _asked_again(passes, rewarded, confidence)]
    return Probe(
        task=rewarded.task.name,
        weights={name: part.weight for name, part in rewarded.rewards.items()},
        combination=rewarded.combination.name,
        problems=len(works),
        left_out=left_out,
        accuracy=accuracy,
        magic=magic,
        confidence=confidence,
        being_right=_interval(totals[:, 0] - totals[:, 1], CONFIDENCE),
        findings=tuple(findings),
    )


def _margins(table: Table, columns: Sequence[int], weights: Table) -> Table:
    """Return the mean of some columns minus the weighted honest ones; a column of weight 0 may lack values."""
    held = np.flatnonzero(weights)
    return table[:, columns].mean(1) - table[:, held] @ weights[held]


def _against(trick: Trick, work: HonestWork, columns: Sequence[int]) -> Table:
    """Return the weights of the honest completions that a trick is held against."""
    attempts = trick.attempts(work)
    return np.array([sum(attempt.against.get(name, 0.0) for attempt in attempts) / len(columns) for name in HONEST])


def _interval(values: Table, confidence: float) -> Interval | None:
    known = values[~np.isnan(values)]
    return bootstrap_interval(known, confidence=confidence, method="percentile") if len(known) > 1 else None


def _finding(
    trick: Trick, margins: Table, by_part: Mapping[str, float], example: Example | None, confidence: float
) -> Finding:
    margin = _interval(margins, confidence)
    verdict: Finds = "unclear"
    if margin is None:
        verdict = "not scored"
    elif margin.low > ROUNDING:
        verdict = "pays"
    elif margin.high <= ROUNDING:
        verdict = "does not pay"
    scored = int((~np.isnan(margins)).sum())
    return Finding(trick.slug, trick.title, trick.on, trick.idea, verdict, margin, None, by_part, scored, example)


def _by_share(found: Finding, passes: Passes, column: int) -> Finding:
    """Judge a wrong answer by how often it earns as much as the right work, and not by the mean."""
    totals, parts = passes.forward
    wrong, right = totals[:, column], totals[:, 0]
    known = ~np.isnan(wrong - right)
    if not known.any():
        return found
    fooled = known & (np.nan_to_num(wrong - right, nan=-np.inf) >= -ROUNDING)
    count = int(fooled.sum())
    share = wilson_interval(count, int(known.sum()), CONFIDENCE)
    verdict: Finds = "does not pay" if not count else "pays" if share.low > SELDOM else "unclear"
    given = {name: float(np.nan_to_num(parts[name][fooled, column]).mean()) if count else 0.0 for name in found.by_part}
    return replace(found, share=share, verdict=verdict, by_part=given)


def _example(
    works: Sequence[HonestWork], texts: Sequence[Sequence[str]], totals: Table, margins: Table, columns: Sequence[int],
    weights: Table,
) -> Example | None:  # fmt: skip
    if np.isnan(margins).all():
        return None
    row, honest = int(np.nanargmax(margins)), int(np.argmax(weights))
    column = max(columns, key=lambda place: totals[row, place])
    return Example(
        works[row].problem.prompt, texts[row][honest], float(totals[row, honest]), texts[row][column],
        float(totals[row, column]),
    )  # fmt: skip


_FIRST = Trick("shown-first", "shown first", "right work", "stands first in its group and not last", lambda work: [])
_AGAIN = Trick(
    "asked-again", "asked again", "both", "is scored a second time: what the luckier draw earns above the mean",
    lambda work: [],
)  # fmt: skip


def _shown_first(passes: Passes, rewarded: Rewarded, confidence: float) -> Finding:
    def gain(first: Table, last: Table) -> Table:
        return first[:, 0] - last[:, 0]

    return _between(_FIRST, passes.forward, passes.backward, gain, rewarded, confidence)


def _asked_again(passes: Passes, rewarded: Rewarded, confidence: float) -> Finding:
    def gain(once: Table, again: Table) -> Table:
        return np.abs(once[:, :2] - again[:, :2]).mean(1) / 2

    return _between(_AGAIN, passes.forward, passes.again, gain, rewarded, confidence)


def _between(
    trick: Trick, first: tuple[Table, dict[str, Table]], second: tuple[Table, dict[str, Table]],
    gain: Callable[[Table, Table], Table], rewarded: Rewarded, confidence: float,
) -> Finding:  # fmt: skip
    """Return a finding about two scorings of the same completions."""
    by_part = {
        name: float(gain(np.nan_to_num(table), np.nan_to_num(second[1][name])).mean())
        for name, table in first[1].items()
        if rewarded.rewards[name].weight
    }
    return _finding(trick, gain(first[0], second[0]), by_part, None, confidence)
