"""Why nothing trains: the reasons a run logged under ``zero/<reason>``, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PREFIX = "zero/"

# reason: (title, how it reads after "because", what it means, what mends it)
_REASONS = {
    "same-reward": (
        "Same reward",
        "every completion of the prompt earned the same",
        "Every completion of the prompt earned the same, so all advantages are 0.",
        "Choose problems the policy solves sometimes, sample more completions per prompt, or use a finer reward.",
    ),
    "abstained": (
        "Reward abstained",
        "no reward gave a value",
        "No reward gave a value: it abstained or failed.",
        "Look at the outcomes of each reward; answers that cannot be parsed are the usual cause.",
    ),
    "truncated": (
        "Truncated",
        "the length limit cut the completion",
        "The length limit cut the completion, and the recipe leaves such ones out.",
        "Raise max_new_tokens, or reward brevity.",
    ),
    "masked": (
        "Masked",
        "the policy sampled no token of it itself",
        "Nothing that the policy sampled itself: what is there was forced or came from a tool.",
        "Nothing to mend, unless the share is larger than the task explains.",
    ),
    "dropped": (
        "Dropped",
        "the advantage part left the completion out",
        "The advantage kept these completions out of the loss.",
        "Look at the filter in the recipe if the share is larger than you meant.",
    ),
    "zero": (
        "Advantage of 0",
        "the advantage came out as 0 although the group's rewards differ",
        "Every token's advantage came out as 0 although the group's rewards differ.",
        "Look at the credit: it may give nothing to these completions, or the mean may fall exactly on their reward.",
    ),
    "filtered": (
        "Filtered",
        "the sampling's filter left the completion out",
        "Drawn, and left out by filter_groups; the share is of the completions that were kept.",
        "Look at the filter in the recipe if the share is larger than you meant.",
    ),
    "clipped": (
        "Clipped",
        "the clip took the gradient away",
        "The share of tokens whose ratio to the sampling policy left the clip range, which takes the gradient away.",
        "Lower the learning rate, take fewer updates per batch, or widen the range.",
    ),
}
# Those that a saved rollout can carry, see `rollout_reasons`.
ROLLOUT_REASONS = ("masked", "filtered", "abstained", "same-reward", "truncated", "zero")
# Of tokens, and of completions that are no longer there: no share of the rollouts trained on.
_APART = ("filtered", "clipped")


def reasons(keys: Iterable[str]) -> list[dict[str, str]]:
    """Return the reasons that were logged, each with its metric key, title, meaning and remedy."""
    found = []
    for key in keys:
        if key.startswith(PREFIX):
            reason = key.removeprefix(PREFIX)
            title, because, meaning, remedy = _known(reason)
            found.append({"key": key, "title": title, "because": because, "meaning": meaning, "remedy": remedy})
    order = [PREFIX + reason for reason in _REASONS]
    return sorted(found, key=lambda entry: order.index(entry["key"]) if entry["key"] in order else len(order))


def described(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return title, words and remedy of each reason, for the rollouts that carry its name."""
    return {
        name: {"title": title, "because": because, "remedy": remedy}
        for name in names
        for title, because, _, remedy in [_known(name)]
    }


def _known(reason: str) -> tuple[str, str, str, str]:
    words = reason.replace("-", " ")
    return _REASONS.get(reason, (words.capitalize(), words, "", ""))


def summary(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in sentences what share of the rollouts had no advantage lately, and why.

    Lately is the last tenth of the steps, at least one; a run that logged no reasons has no sentences.
    """
    logged = [row for row in rows if any(key.startswith(PREFIX) for key in row)]
    if not logged:
        return []
    lately = logged[-max(1, len(logged) // 10) :]
    shares = _mean_shares(lately)
    idle = {reason: share for reason, share in shares.items() if reason not in _APART and share > 0}
    total = sum(idle.values())
    when = f"In the last {len(lately)} steps" if len(lately) > 1 else "In the last step"
    if total < 5e-4:
        sentences = [f"{when} every rollout had an advantage."]
    else:
        largest = sorted(idle, key=lambda reason: -idle[reason])
        listed = ", ".join(f"{_percent(idle[reason])} because {_known(reason)[1]}" for reason in largest)
        sentences = [f"{when} {_percent(total)} of the rollouts had no advantage: {listed}."]
        if total >= 0.5 and _known(largest[0])[3]:
            sentences.append(_known(largest[0])[3])
    if shares.get("filtered", 0) > 0:
        sentences.append(f"For every 100 rollouts kept, {100 * shares['filtered']:.0f} were drawn and filtered out.")
    if shares.get("clipped", 0) > 0:
        sentences.append(f"The clip took the gradient from {_percent(shares['clipped'])} of the tokens.")
    return sentences + _dead_steps(logged)


def _mean_shares(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    keys = dict.fromkeys(key for row in rows for key in row if key.startswith(PREFIX))
    found = {}
    for key in keys:
        values = [row[key] for row in rows if isinstance(row.get(key), int | float)]
        if values:
            found[key.removeprefix(PREFIX)] = sum(values) / len(values)
    return found


def _dead_steps(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    dead = [row["step"] for row in rows if (row.get("zero_advantage_groups") or 0) >= 1]
    if not dead:
        return []
    shown = ", ".join(map(str, dead[:5])) + (", ..." if len(dead) > 5 else "")
    return [f"In {len(dead)} of {len(rows)} steps no rollout at all had an advantage (step {shown})."]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%" if share >= 0.0995 or share == 0 else f"{100 * share:.1f}\u00a0%"
