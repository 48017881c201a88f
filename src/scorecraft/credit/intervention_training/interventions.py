"""An intervention: one step to put in the place of the first error; how it is read, and how it is spliced in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scorecraft.catalog import implements
from scorecraft.credit.intervention_training.substeps import SEPARATOR
from scorecraft.errors import ScorecraftError

_OPEN, _CLOSE = "<intervention>", "</intervention>"
_KEY = re.compile(r"""["'](content|location)["']\s*:""")
_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?")
_ESCAPE = re.compile(r"""\\(?:(["'\\/])|((?:u[0-9a-fA-F]{4}\\)*u[0-9a-fA-F]{4})|n([A-Za-z]*))""")
# Behind "\n" these make commands of LaTeX; any other letters are a line break and the word after it.
_COMMANDS = re.compile(
    "abla|atural|cong|e|earrow|eg|eq|exists|ewcommand|ewline|ewpage|geq|gtr|i|leftarrow|leq|less|mid|oindent|olimits|"
    "onumber|orm|ot|otag|otin|parallel|prec|rightarrow|sim|subseteq|succ|supseteq|u|warrow"
)


@dataclass(frozen=True, slots=True)
class Intervention:
    """One step and where it goes.

    location: the 1-based substep that it stands for; all substeps before it are kept. One above the number of substeps
    appends. content: the step, in the voice of who wrote the attempt; empty where no error was found.
    """

    location: int
    content: str


NO_ERROR = Intervention(0, "")
"""What a proposer returns that finds no error, or has nothing to put in."""


@implements("intervention-training")
def parse_intervention(text: str) -> Intervention | None:
    r"""Return the intervention of the last ``<intervention>`` block of a reply; None where none can be read.

    The block holds ``{"content": "...", "location": 7}`` in any order. Taken as well: single quotes around keys and
    values, line breaks and unescaped quotes in the content, "Substep 7" for 7, and unescaped backslashes. Of the
    escapes of JSON only ``\" \\ \/ \n \uXXXX`` are decoded, since in mathematics ``\f \t \b \r`` begin commands; so
    does ``\n`` before the rest of one, as in ``\nu``. An empty block or content gives an intervention without content.

    Args:
        text: the reply of a model.

    Source: InT, 2026, arXiv 2601.14209.
    """
    end = text.rfind(_CLOSE)
    begin = text.rfind(_OPEN, 0, max(end, 0))
    if begin < 0:
        return None
    block = text[begin + len(_OPEN) : end]
    if not re.search(r"[^\s{}`]", block.replace("json", "")):
        return NO_ERROR
    fields = _fields(block)
    content = _content(fields[0]) if fields is not None else None
    if fields is None or content is None:
        return None
    if not content.strip():
        return NO_ERROR
    number = _NUMBER.search(fields[1])
    whole = number is not None and len(number[0]) <= 9 and "." not in number[0]
    return Intervention(int(number[0]), content) if number is not None and whole else None


def _fields(block: str) -> tuple[str, str] | None:
    """Return what stands behind the keys "content" and "location"."""
    keys = list(_KEY.finditer(block))
    contents = [key for key in keys if key[1] == "content"]
    locations = [key for key in keys if key[1] == "location"]
    if not contents or not locations:
        return None
    if keys[0][1] == "content":
        # The content may quote the other key; the last one is the key itself.
        return block[contents[0].end() : locations[-1].start()], block[locations[-1].end() :]
    return block[contents[0].end() :], block[locations[0].end() : contents[0].start()]


def _content(field: str) -> str | None:
    """Return a quoted text as its writer meant it, empty for null, None for anything else."""
    value = field.strip()
    if re.match(r"(null|None)\b", value):
        return ""
    quote = value[:3] if value[:3] in ('"""', "'''") else value[:1]
    end = value.rfind(quote, len(quote))
    if quote[:1] not in ('"', "'") or end < 0:
        return None
    return _ESCAPE.sub(_decoded, value[len(quote) : end])


def _decoded(escape: re.Match[str]) -> str:
    mark, code, word = escape[1], escape[2], escape[3]
    if mark is not None:
        return mark
    if code is not None:
        decoded = str(json.loads(f'"\\{code}"'))
        return decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return escape[0] if _COMMANDS.fullmatch(word) else "\n" + word


@implements("intervention-training")
def splice(attempt_steps: Sequence[str], intervention: Intervention, separator: str = SEPARATOR) -> str:
    """Return the guided prefix ``z = y_1 .. y_{L-1}, content``, joined with the separator; nothing comes after it.

    Each line of the content becomes a substep of its own, so that the result splits as an attempt does.

    Args:
        attempt_steps: the substeps y of the attempt.
        intervention: its location L is in 1 .. n + 1 for n substeps.
        separator: what stands between substeps.

    Raises `ScorecraftError` for a location outside that range or an empty content.

    Source: InT, 2026, arXiv 2601.14209.
    """
    if not intervention.content.strip():
        raise ScorecraftError("splice: the intervention has no content, which says that no error was found")
    if not 1 <= intervention.location <= len(attempt_steps) + 1:
        raise ScorecraftError(
            f"splice: expected a location in 1 .. {len(attempt_steps) + 1} for {len(attempt_steps)} substeps, "
            f"got {intervention.location}"
        )
    lines = [line for line in intervention.content.strip().split("\n") if line.strip()]
    return separator.join([*attempt_steps[: intervention.location - 1], *lines])
