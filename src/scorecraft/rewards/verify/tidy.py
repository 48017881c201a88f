"""Takes the decoration off an answer: what it looks like, not what it says."""

from __future__ import annotations

import re
from functools import lru_cache

from scorecraft.rewards.verify.characters import ascii_mathematics

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"), ('"', '"'))
_DECORATION = re.compile(
    r"(?<!\\)\\(?:displaystyle|textstyle|left(?![a-z])|right(?![a-z])|[bB]igg?[lr]?(?![a-z])|limits(?![a-z])|[!,;:])"
    r"|(?<=[0-9])\{,\}(?=[0-9])"
)
_NUMBER_IN_TEXT = re.compile(r"\\text ?\{ ?(-?[0-9][0-9.,]*%?) ?\}")
_THIN = ("\\,", "\\;", "\\:")
_NARROW_THOUSANDS = re.compile(r"(?<=[0-9])(?:\\[,;:!]|\\ |~)(?=[0-9]{3}(?![0-9]))")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-z])")
_STYLE = re.compile(r"\\(?:mathrm|mathbf|mathit|textbf|textit|textrm|textnormal|mbox|boldsymbol|operatorname)(?![a-z])")
_SPACE = re.compile(r"\\(?:quad|qquad)(?![a-z])|(?<!\\)\\ |~|\s+")
_RULE = re.compile(r"\\(le|ge)q(?:slant)?(?![a-z])|\\(n)eq(?![a-z])")


@lru_cache(maxsize=8192)
def tidy(text: str) -> str:
    r"""Return an answer without dollar signs, spacing commands, sizes and a final full stop.

    Raises `Unreadable` for invisible or look-alike characters, see `scorecraft.rewards.verify.characters`.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return text
    text = _unwrapped(ascii_mathematics(text))
    if "\\" in text or "{,}" in text:
        text = _NARROW_THOUSANDS.sub("", text)
        text = _DECORATION.sub(lambda match: "," if match[0] == "{,}" else " " if match[0] in _THIN else "", text)
        text = _FRACTION.sub(r"\\frac", _STYLE.sub(r"\\text", text))
        text = _RULE.sub(lambda match: f"\\{match[1] or 'ne'}", text)
        text = text.replace("\\%", "%").replace("\\$", "$").replace("\\{", "\\lbrace ").replace("\\}", "\\rbrace ")
        text = _NUMBER_IN_TEXT.sub(r"\1", text)
    text = _SPACE.sub(" ", text).strip()
    return _unwrapped(text)


def _unwrapped(text: str) -> str:
    """Return a text without the marks around the whole of it, and without a final full stop."""
    changed = True
    while changed and text:
        changed = False
        text = text.strip()
        for start, end in _WRAPPERS:
            inner = text[len(start) : -len(end)]
            if inner and text.startswith(start) and text.endswith(end) and start not in inner:
                text, changed = inner.strip(), True
        if text.endswith(".") and not text.endswith(".."):
            text, changed = text[:-1].rstrip(), True
    return text
