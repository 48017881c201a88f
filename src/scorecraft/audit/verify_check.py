"""Two verifiers on the same answers: where they part, how often each errs against the labels, what corrects for it.

A false positive is a wrong answer that a verifier takes for right, a false negative a right one that it refuses; an
answer that it cannot read is refused, since the reward pays nothing for it. What timed out or failed has no verdict
and is counted apart.

Source: Wilson, 1927 (intervals); Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers,
2025, arXiv 2510.00915 (correction).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scorecraft.audit.answer_rows import AnswerRow
from scorecraft.errors import ScorecraftError
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.verify import Options, Ruling, Verification, verify_many
from scorecraft.rewards.verify.extraction import find_answer, true_answer
from scorecraft.rewards.verify.verification import Unreadable
from scorecraft.stats.intervals import Interval, wilson_interval

CHUNK = 1000
# Rewards build a table as wide as the longest completion.
REWARD_CHUNK = 128
ACCEPTED = 0.5
# As the transform has it: what is left of a verdict must be at least this share.
LEAST = 0.05

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One verifier's view of an answer: whether it accepts it (None where it has no verdict), and why or how."""

    accepts: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a verifier errs on labelled rows; None where no row could show it."""

    false_positive: Interval | None
    false_negative: Interval | None
    wrong_rows: int
    right_rows: int

    @property
    def measured(self) -> bool:
        """True where both are known."""
        return self.false_positive is not None and self.false_negative is not None


@dataclass(frozen=True)
class Verifier:
    """One of the two: its name, what it says of each row, and its error rates, over all rows and by group.

    reward: what a recipe calls it; "" where no recipe has it.
    """

    name: str
    reward: str
    judged: tuple[Judged, ...]
    rates: Rates
    by: Mapping[str, Rates] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Number of rows it accepts."""
        return sum(one.accepts is True for one in self.judged)

    @property
    def failed(self) -> int:
        """Number of rows on which it has no verdict."""
        return sum(one.accepts is None for one in self.judged)


@dataclass(frozen=True)
class VerifierCheck:
    """What came of a check: the rows and the two verifiers, the user's first."""

    rows: tuple[AnswerRow, ...]
    first: Verifier
    second: Verifier
    by: str = ""

    @property
    def labelled(self) -> int:
        """Number of rows with a label."""
        return sum(row.label is not None for row in self.rows)

    def disagreements(self) -> list[int]:
        """Return the places of the rows that only one of the two accepts."""
        return [
            place
            for place, (one, other) in enumerate(zip(self.first.judged, self.second.judged, strict=True))
            if one.accepts != other.accepts
        ]


def check_verifiers(
    rows: Sequence[AnswerRow],
    options: Options | None = None,
    *,
    recipe: Recipe | None = None,
    reward: str | None = None,
    by: str = "",
    progress: Progress | None = None,
) -> VerifierCheck:
    """Return what two verifiers say of the same answers.

    Args:
        rows: the answers.
        options: of `verify`, which is the second verifier.
        recipe: its reward is the first verifier; without one, comparing the answers letter by letter is.
        reward: which reward of the recipe, where it has several.
        by: name of the column that the rows' ``by`` is from; rates are then also given for each of its values.
        progress: told how many verdicts are done, of how many.

    Raises `ScorecraftError` for a reward that the recipe does not have, or that compares completions with each other.
    """
    total = 2 * len(rows)
    report: Progress = progress or (lambda done, total: None)
    if recipe is None:
        own, first = "", [_exact(row) for row in rows]
    else:
        own, part = _chosen(recipe, reward)
        first = _by_reward(rows, recipe, part, lambda done: report(done, total))
    second: list[Judged] = []
    for start in range(0, len(rows), CHUNK):
        report(len(rows) + start, total)
        chunk = rows[start : start + CHUNK]
        found = verify_many([row.completion for row in chunk], [row.answer for row in chunk], options)
        second += [_judged(one) for one in found]
    report(total, total)
    name = f"reward '{own}'" if own else "exact string"
    verifiers = _verifier(name, own, rows, first, by), _verifier("verify", "verify", rows, second, by)
    return VerifierCheck(tuple(rows), *verifiers, by)


def _verifier(name: str, reward: str, rows: Sequence[AnswerRow], judged: Sequence[Judged], by: str) -> Verifier:
    groups: dict[str, list[int]] = {}
    if by:
        for place, row in enumerate(rows):
            groups.setdefault(row.by, []).append(place)
    each = {
        value: rates([rows[i] for i in places], [judged[i] for i in places]) for value, places in sorted(groups.items())
    }
    return Verifier(name, reward, tuple(judged), rates(rows, judged), each)


def rates(rows: Sequence[AnswerRow], judged: Sequence[Judged]) -> Rates:
    """Return the error rates over the labelled rows that have a verdict, with 95 % Wilson intervals.

    Args:
        rows: the answers.
        judged: what a verifier says of each.
    """
    pairs = [
        (row.label, one.accepts)
        for row, one in zip(rows, judged, strict=True)
        if row.label is not None and one.accepts is not None
    ]
    on_wrong = [accepts for label, accepts in pairs if not label]
    on_right = [accepts for label, accepts in pairs if label]
    return Rates(
        wilson_interval(sum(on_wrong), len(on_wrong)) if on_wrong else None,
        wilson_interval(len(on_right) - sum(on_right), len(on_right)) if on_right else None,
        len(on_wrong),
        len(on_right),
    )


def _exact(row: AnswerRow) -> Judged:
    """Return whether the answer has the letters of the true one."""
    try:
        found = find_answer(row.completion, numeric=True).text
    except Unreadable as error:
        return Judged(False, f"unparsed: {error}")
    return Judged(found.strip() == true_answer(row.answer), found)


def _judged(found: Verification) -> Judged:
    said = f"{found.verdict}: {found.reason}" if found.reason else found.given
    accepts = None if found.verdict in (Ruling.TIMEOUT, Ruling.ERROR) else found.correct
    return Judged(accepts, said)


def _chosen(recipe: Recipe, reward: str | None) -> tuple[str, Reward]:
    names = list(recipe.reward)
    if reward is None and len(names) > 1:
        raise ScorecraftError(f"the recipe has the rewards {', '.join(names)}; say which one with --reward")
    name = reward or names[0]
    if name not in recipe.reward:
        raise ScorecraftError(f"no reward '{name}' in this recipe; it has {', '.join(names)}")
    part = recipe.reward[name]
    if part.scope != "rollout":
        raise ScorecraftError(
            f"reward '{name}' compares completions with each other, so it is no verifier of one answer"
        )
    return name, part


def _by_reward(rows: Sequence[AnswerRow], recipe: Recipe, part: Reward, report: Callable[[int], None]) -> list[Judged]:
    """Return whether the reward, before its transforms, gives at least a half."""
    import torch

    from scorecraft.context import Context
    from scorecraft.problem import Problem
    from scorecraft.rollouts_from_texts import rollouts_from_texts

    context = Context(recipe.task, torch.Generator().manual_seed(0))
    judged: list[Judged] = []
    for start in range(0, len(rows), REWARD_CHUNK):
        report(start)
        chunk = rows[start : start + REWARD_CHUNK]
        problems = [Problem(row.prompt, true_answer(row.answer), metadata=dict(row.metadata)) for row in chunk]
        completions = [row.completion for row in chunk]
        rollouts = rollouts_from_texts([row.prompt for row in chunk], completions, problems, range(len(chunk)))
        scores = part(rollouts, context)
        for value, outcome in zip(scores.values.tolist(), scores.outcomes, strict=True):
            scored = value == value  # noqa: PLR0124 - NaN is not itself
            judged.append(Judged(value >= ACCEPTED if scored else None, f"{value:g}" if scored else str(outcome)))
    return judged


def advice(verifier: Verifier, by: str = "") -> str:
    """Return what to do about a verifier's errors, in a sentence or two.

    Args:
        verifier: one that was checked.
        by: name of the column that its rates are told apart by; "" for none.
    """
    found = verifier.rates
    if not found.measured:
        missing = [name for name, rows in (("wrong", found.wrong_rows), ("right", found.right_rows)) if not rows]
        return f"error rates of {verifier.name} are unknown: no row is labelled as {' or as '.join(missing)}"
    if not correctable(found):
        return (
            f"{verifier.name} errs so often that its verdicts say next to nothing (false positives plus false "
            "negatives of 95 % or more); no correction helps, replace it"
        )
    if not any(_pair(found)):
        count = found.wrong_rows + found.right_rows
        return f"{verifier.name} made no error on {count:,} labelled rows: nothing to correct"
    if not verifier.reward:
        return f"{verifier.name}: its errors are what the reward 'verify' is there to avoid"
    if by:
        return f"to correct for the errors of {verifier.name}, by '{by}', which the problems need in their metadata:"
    return (
        f"to correct for the errors of {verifier.name} (one pair of rates for all problems restores the scale of the "
        "reward; to turn the gradient, rates must differ between problems: see --by):"
    )


def correctable(found: Rates) -> bool:
    """Return whether something is left of the verdicts once the errors are taken off."""
    return found.measured and 1 - sum(_pair(found)) >= LEAST


def _pair(found: Rates) -> tuple[float, float]:
    assert found.false_positive is not None
    assert found.false_negative is not None
    return round(found.false_positive.estimate, 4), round(found.false_negative.estimate, 4)


def snippet(verifier: Verifier, by: str = "") -> str:
    """Return the lines of a recipe that correct for a verifier's errors; "" where there is nothing to correct.

    Args:
        verifier: one that was checked.
        by: the metadata key that rates are told apart by; groups without both kinds of labels keep the common rates.
    """
    if not verifier.reward or not correctable(verifier.rates) or not any(_pair(verifier.rates)):
        return ""
    false_positive, false_negative = _pair(verifier.rates)
    lines = [
        "reward:", f"  {verifier.reward}:", "    transforms:", "      - noise-correction:", "          kind: backward",
        f"          false_positive: {false_positive:g}", f"          false_negative: {false_negative:g}",
    ]  # fmt: skip
    groups = {value: _pair(found) for value, found in verifier.by.items() if correctable(found)}
    if by and groups:
        lines += [f"          by: {_quoted(by)}", "          rates:"]
        lines += [f"            {_quoted(value)}: [{one:g}, {other:g}]" for value, (one, other) in groups.items()]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return (
        text
        if text.isidentifier() and text.lower() not in ("true", "false", "yes", "no", "null", "on", "off")
        else ("'" + text.replace("'", "''") + "'")
    )


def as_data(check: VerifierCheck) -> dict[str, Any]:
    """Return everything as JSON values, every disagreement among them."""
    disagreements = [
        {
            "row": check.rows[place].number,
            "answer": check.rows[place].answer,
            "completion_end": check.rows[place].completion[-200:],
            "label": check.rows[place].label,
            **{
                verifier.name: {"accepts": verifier.judged[place].accepts, "said": verifier.judged[place].said}
                for verifier in (check.first, check.second)
            },
        }
        for place in check.disagreements()
    ]
    return {
        "rows": len(check.rows),
        "labelled": check.labelled,
        "verifiers": [_verifier_data(verifier, check.by) for verifier in (check.first, check.second)],
        "disagreements": disagreements,
    }


def _verifier_data(verifier: Verifier, by: str) -> dict[str, Any]:
    return {
        "name": verifier.name,
        "accepted": verifier.accepted,
        "without_verdict": verifier.failed,
        **_rates_data(verifier.rates),
        "by": {value: _rates_data(found) for value, found in verifier.by.items()},
        "advice": advice(verifier, by),
        "recipe": snippet(verifier, by),
    }


def _rates_data(found: Rates) -> dict[str, Any]:
    return {
        "false_positive": None if found.false_positive is None else found.false_positive._asdict(),
        "false_negative": None if found.false_negative is None else found.false_negative._asdict(),
        "labelled_wrong": found.wrong_rows,
        "labelled_right": found.right_rows,
    }
