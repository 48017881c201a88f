"""What of a completion counts: nothing that a reader of the final text would not see.

Left out are HTML comments, LaTeX comments (a ``%`` that begins a line or follows a space, unless a number stands
before it), ``\\iffalse ... \\fi``, the ``comment`` environment, and everything up to the last ``</think>``. A
``<think>`` that is not closed means that no answer was given yet. All of it takes time linear in the text.
"""

from __future__ import annotations

import re

from scorecraft.rewards.verify.verification import Unreadable

# The ends are searched from the start, and an opening without an end hides the rest.
_PAIRS = (("<!--", "-->"), (r"\begin{comment}", r"\end{comment}"), (r"\iffalse", r"\fi"))
_COMMENT = re.compile(r"(?:^[ \t]*|(?<=[^\d\s\\])[ \t]+)%[^\n]*", re.MULTILINE)
_THOUGHTS = ("think", "thinking")


def visible(completion: str) -> str:
    """Return the part of a completion that counts as its final text.

    Raises `Unreadable` where the completion ends inside its reasoning.
    """
    text = completion
    if "<think" in text or "</think" in text:
        text = _after_thoughts(text)
    for start, end in _PAIRS:
        if start in text:
            text = _without(text, start, end)
    if "%" in text:
        text = _COMMENT.sub("", text)
    return text


def _after_thoughts(text: str) -> str:
    for tag in _THOUGHTS:
        _, closed, rest = text.rpartition(f"</{tag}>")
        if closed:
            text = rest
        if f"<{tag}>" in text:
            raise Unreadable(f"the text ends inside <{tag}>")
    return text


def _without(text: str, start: str, end: str) -> str:
    kept, place = [], 0
    while (opened := text.find(start, place)) >= 0:
        kept.append(text[place:opened])
        closed = text.find(end, opened + len(start))
        if closed < 0:
            return "".join(kept)
        place = closed + len(end)
    kept.append(text[place:])
    return "".join(kept)
