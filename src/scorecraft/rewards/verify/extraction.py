"""Finds the answer in a completion: one place, by fixed rules, or none.

1. Marks that are meant for a machine: ``\\boxed{...}`` (or ``\\fbox``), ``<answer>...</answer>`` and a line that
   begins with ``####``. The last of them counts, whichever it is. A last ``\\boxed`` that is never closed means
   that the text was cut off: there is no answer. Where several boxes stand side by side, with nothing but
   "and", "or" or commas between them, together they are one answer with several values; boxes further apart are
   corrections, and the last one counts.
2. Else the last phrase "the answer is ..." (or "answer: ..."), up to the end of its sentence.
3. Else, unless ``loose`` is off, a short text as a whole; the last formula between dollar signs; or, where the true
   answer is a number, the last number.

A heading ("#### Step 3") is no answer: a ``####`` line counts where it is the last line or begins like a formula.
Every search takes time linear in the text, of which the last 100,000 characters count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from scorecraft.rewards.verify.hidden import visible
from scorecraft.rewards.verify.verification import Unreadable
from scorecraft.rewards.verify.words import in_words

Form = Literal["boxed", "hash", "tag", "phrase", "math", "number", "whole"]
FORMS: tuple[Form, ...] = ("boxed", "hash", "tag", "phrase", "math", "number", "whole")

SEARCHED = 100_000
LONGEST = 2_000
_BOXES = ("\\boxed", "\\fbox")
_MOST_BOXES = 10

_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_HASH = re.compile(r"^[ \t]*####", re.MULTILINE)
_BETWEEN_BOXES = re.compile(r"[\s$,;.]*(?:and|or)?[\s$,;.]*")
_FORMULA_START = re.compile(r"(?![0-9]+[.)]\s+[A-Za-z])[-+$(\[{.\\0-9\u20ac\u00a3\u2212]")
_PHRASE = re.compile(r"\banswer(?:\s+is\b|\s*[:=])(?:\s*[:*]+)*", re.IGNORECASE)
_FORMULA = re.compile(r"\$\$?([^$\n]+)\$\$?|\\\(([^\n]+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?](?=\s|\*|$)|(?<=\s)I hope\b|,?\s+(?:because|since|which|where|so that)\b")
_TWO_WORDS = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,} +[A-Za-z]{2,}")  # money twice in a sentence is no formula
_BETWEEN_FORMULAS = re.compile(r"\s*(?:,\s*(?:and|or)?|and|or)\s*")
_PERCENT = re.compile(r"\s*\\?%")
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(rf"(?:(?<![0-9A-Za-z)\]}}])[-+])?(?:{_DIGITS})(?:/[0-9]+)?(?:\s?\\?%)?")
_TOUCHES = re.compile(r"[\w^\\{}]")
_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclass(slots=True)
class Answer:
    """An answer as it is written, and the form it was found in."""

    form: Form
    text: str


def find_answer(completion: str, *, numeric: bool = False, loose: bool = True) -> Answer:
    """Return the answer of a completion, see the module.

    Args:
        completion: any text.
        numeric: whether the last number counts where nothing else is found.
        loose: whether an answer counts that nothing marks as one.

    Raises `Unreadable` where there is no answer, or one of more than 2,000 characters.
    """
    text = visible(completion)[-SEARCHED:]
    answer = _marked(text) or _after_phrase(text)
    if answer is None and loose:
        answer = _unmarked(text, numeric)
    if answer is None:
        raise Unreadable("no answer found")
    if len(answer.text) > LONGEST:
        raise Unreadable(f"an answer of {len(answer.text)} characters")
    answer.text = answer.text.strip()
    if not answer.text:
        raise Unreadable(f"an empty answer ({answer.form})")
    return answer


def true_answer(truth: str) -> str:
    """Return the answer in a true answer, which may be a worked solution that ends in ``####`` or a box."""
    if not any(mark in truth for mark in (*_BOXES, "####", "</answer>")):
        return truth.strip()
    try:
        answer = _marked(truth[-SEARCHED:])
    except Unreadable:
        return truth.strip()
    return truth.strip() if answer is None else answer.text.strip()


def _marked(text: str) -> Answer | None:
    found = [(_last_box_start(text), "boxed"), (text.rfind("</answer>"), "tag"), (_hash_start(text), "hash")]
    place, form = max(found)
    if place < 0:
        return None
    if form == "boxed":
        return Answer("boxed", _boxed(text, place))
    if form == "tag":
        start = text.rfind("<answer>", 0, place)
        if start < 0:
            raise Unreadable("</answer> without <answer>")
        return _inner(Answer("tag", text[start + len("<answer>") : place]))
    end = text.find("\n", place)
    return _inner(Answer("hash", text[place + 4 : end if end >= 0 else None]))


def _inner(answer: Answer) -> Answer:
    """Return the box inside a tag or line where there is one."""
    start = _last_box_start(answer.text)
    return answer if start < 0 else Answer("boxed", _boxed(answer.text, start))


def _last_box_start(text: str, end: int | None = None) -> int:
    return max(text.rfind(box, 0, end) for box in _BOXES)


def _hash_start(text: str) -> int:
    """Return where the last ``####`` stands that begins a line and is no heading; -1 where there is none."""
    if "####" not in text:
        return -1
    last_character = len(text.rstrip())
    for found in reversed(list(_HASH.finditer(text))):
        end = text.find("\n", found.end())
        if end < 0 or end >= last_character or _FORMULA_START.match(text[found.end() : end].lstrip()):
            return found.end() - len("####")
    return -1


def _boxed(text: str, start: int) -> str:
    last, _ = _box_content(text, start)
    if last is None:
        raise Unreadable(r"the last \boxed{ is never closed")
    contents = [last]
    while len(contents) < _MOST_BOXES and (before := _last_box_start(text, start)) >= 0:
        content, end = _box_content(text[:start], before)
        if content is None or not _BETWEEN_BOXES.fullmatch(text[end:start]):
            break
        contents.append(content)
        start = before
    return ", ".join(dict.fromkeys(reversed(contents)))


def _box_content(text: str, start: int) -> tuple[str | None, int]:
    """Return what stands in the braces of a box that begins at ``start``, and where the box ends."""
    opened = start + (len("\\boxed") if text.startswith("\\boxed", start) else len("\\fbox"))
    while opened < len(text) and text[opened].isspace():
        opened += 1
    if opened >= len(text):
        return None, start
    if text[opened] != "{":  # TeX takes the next character
        return text[opened], opened + 1
    depth = 0
    for brace in _BRACE.finditer(text, opened):
        if brace[0] == "{":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
            if depth == 0:
                return text[opened + 1 : brace.start()], brace.end()
    return None, start


def _after_phrase(text: str) -> Answer | None:
    if "nswer" not in text and "NSWER" not in text:
        return None
    last = None
    for match in _PHRASE.finditer(text):
        last = match
    if last is None:
        return None
    rest = text[last.end() :].lstrip(" \t\r\n")[: LONGEST * 2]
    line = rest.partition("\n")[0].strip()
    formula = _FORMULA.match(rest)
    if formula and not _TWO_WORDS.search(_content(formula)):
        return Answer("phrase", _formulas(rest, formula))
    sentence = _SENTENCE_END.search(line)
    return Answer("phrase", (line[: sentence.start()] if sentence else line).strip(" *"))


def _formulas(rest: str, first: re.Match[str]) -> str:
    """Return the formula that begins a text, with those that follow after a comma, "and" or "or"."""
    found, match = [_content(first)], first
    while len(found) < _MOST_BOXES:
        between = _BETWEEN_FORMULAS.match(rest, match.end())
        following = _FORMULA.match(rest, between.end()) if between else None
        if following is None:
            break
        found.append(_content(following))
        match = following
    percent = _PERCENT.match(rest, match.end())
    return ", ".join(found) + ("%" if percent else "")


def _short(text: str) -> bool:
    return 0 < len(text) <= 80 and "\n" not in text and len(_WORD.findall(text)) <= 3


def _with_what_touches(text: str, number: re.Match[str]) -> str:
    """Return a number with the letters and braces that touch it: 42cm is no bare 42, and x_42 none at all."""
    start, end = number.span()
    while start and _TOUCHES.match(text[start - 1]):
        start -= 1
    while end < len(text) and _TOUCHES.match(text[end]):
        end += 1
    return text[start:end]


def _content(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()


def _unmarked(text: str, numeric: bool) -> Answer | None:
    whole = text.strip()
    if _short(whole) and not (numeric and in_words(whole)):
        return Answer("whole", whole)
    tail = whole[-LONGEST:]
    formula = None
    for match in _FORMULA.finditer(tail):
        formula = formula if _TWO_WORDS.search(_content(match)) else match
    number = None
    if numeric:
        for match in _NUMBER.finditer(tail):
            number = match
    if number and (formula is None or number.start() >= formula.end()):
        return Answer("number", _with_what_touches(tail, number))
    return None if formula is None else Answer("math", _content(formula))
