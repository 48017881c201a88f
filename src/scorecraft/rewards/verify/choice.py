"""Multiple choice: which letter an answer names, if it names exactly one."""

from __future__ import annotations

import re

_OPTION = re.compile(r"(?:\\text ?\{ ?)?\(? ?([A-Ja-j]) ?\)? ?\}? ?[.:)]?")
_TRUE = re.compile(r"(?:\\text ?\{ ?)?\(? ?([A-J]) ?\)? ?\}?")
_LED = re.compile(r"(?:option|choice|answer)s? +\(?([A-Ja-j])\)?\b[.:)]?", re.IGNORECASE)
_FOLLOWED = re.compile(r"(?:\(([A-Ja-j])\)|([A-J])[.:)])\s*(?P<rest>\S.*)", re.DOTALL)
_ANOTHER = re.compile(r"\([A-Ja-j]\)|\b(?:or|and|not)\b|(?<![A-Za-z])[B-HJ](?![A-Za-z'])")


def true_choice(truth: str) -> str | None:
    """Return the letter, A to J, that a true answer is; None where it is something else."""
    found = _TRUE.fullmatch(truth)
    return found[1] if found else None


def given_choice(answer: str) -> str | None:
    """Return the letter that an answer names, as "C", "(C)", "C.", "option C" or "(C) 42"; None for several or none.

    A letter that other words follow without a bracket, full stop or colon is a word, such as the article "A".
    """
    found = _OPTION.fullmatch(answer) or _LED.fullmatch(answer)
    if found:
        return found[1].upper()
    found = _FOLLOWED.fullmatch(answer)
    if found is None or _ANOTHER.search(found["rest"]):
        return None
    return (found[1] or found[2]).upper()
