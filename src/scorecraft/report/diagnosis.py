"""Why tokens do not train: the reasons a run logged under ``zero/<reason>``, in words."""

from __future__ import annotations

from collections.abc import Iterable

PREFIX = "zero/"

# reason: (title, what it means, what mends it)
_REASONS = {
    "same-reward": (
        "Same reward",
        "Every completion of the prompt earned the same, so all advantages are 0.",
        "Choose problems the policy solves sometimes, sample more completions per prompt, or use a finer reward.",
    ),
    "abstained": (
        "Reward abstained",
        "No reward gave a value: it abstained or failed.",
        "Look at the outcomes of each reward; answers that cannot be parsed are the usual cause.",
    ),
    "truncated": (
        "Truncated",
        "The length limit cut the completion, and the recipe leaves such ones out.",
        "Raise max_new_tokens, or reward brevity.",
    ),
    "clipped": (
        "Clipped",
        "The ratio to the sampling policy left the clip range, which takes the gradient away.",
        "Lower the learning rate, take fewer updates per batch, or widen the range.",
    ),
    "masked": (
        "Masked",
        "Nothing that the policy sampled itself: what is there was forced or came from a tool.",
        "Nothing to mend, unless the share is larger than the task explains.",
    ),
    "filtered": (
        "Filtered",
        "The sampling or the advantage left these completions out on purpose.",
        "Look at the filter in the recipe if the share is larger than you meant.",
    ),
    "dropped": (
        "Dropped",
        "The advantage kept these completions out of the loss.",
        "Look at the filter in the recipe if the share is larger than you meant.",
    ),
    "zero": (
        "Advantage of 0",
        "Every token's advantage came out as 0 although the group's rewards differ.",
        "Look at the credit: it may give nothing to these completions, or the mean may fall exactly on their reward.",
    ),
}


def reasons(keys: Iterable[str]) -> list[dict[str, str]]:
    """Return the reasons that were logged, each with its metric key, title, meaning and remedy."""
    found = []
    for key in keys:
        if key.startswith(PREFIX):
            reason = key.removeprefix(PREFIX)
            title, meaning, remedy = _REASONS.get(reason, (reason.replace("-", " ").capitalize(), "", ""))
            found.append({"key": key, "title": title, "meaning": meaning, "remedy": remedy})
    order = [PREFIX + reason for reason in _REASONS]
    return sorted(found, key=lambda entry: order.index(entry["key"]) if entry["key"] in order else len(order))
