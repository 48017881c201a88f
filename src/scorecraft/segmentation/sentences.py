"""Steps that are sentences, found by rules that stand up to decimals, abbreviations, lists, quotes and CJK text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.delimiters import BLANK_LINE, LINE, pieces
from scorecraft.segmentation.spans import Span

# Full stops of scripts without spaces end a sentence wherever they stand; the others only before whitespace.
_UNSPACED = "。！？｡"  # noqa: RUF001 - these are the marks meant
_MARKS = ".!?…‽؟۔।॥" + _UNSPACED  # noqa: RUF001 - these too
_QUOTES = "\"'”’»›」』】》〉"  # noqa: RUF001 - and these
_END = re.compile(rf"(?P<run>[{_MARKS}]++)(?P<closers>[{_QUOTES}\uff09)\]}}*_`$]*+)")
# A sentence does not begin with these: a calculation goes on, as in "5! = 120" or "1 + 2 + ... + n".
_CONTINUES = "=<>+/^\u00d7\u00f7\u2264\u2265\u2248\u2260\u00b7,;:"
_AFTER_FACTORIAL = "*-\u2212("
_OPENERS = "([{\"'\u201c\u2018«「『*_`$"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LABELS = _words(
    "answer appendix case chapter choice class example exercise figure grade group item lemma option part plan point "
    "problem question section step table theorem type"
)
_ENUMERATOR = re.compile(
    rf"[\s>#*•_-]*+(?:(?:{'|'.join(sorted(_LABELS))})\s++)?(?:[0-9]{{1,3}}|[a-z]|[ivx]{{1,4}})", re.IGNORECASE
)
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")
# What never ends a sentence, what ends one unless a number follows, and what ends one only before a capital letter.
_NEVER_LAST = _words(
    "mr mrs ms dr prof st mt vs e.g i.e cf viz al approx gen col capt lt sgt rev hon gov sen rep messrs resp"
)
_BEFORE_NUMBER = _words("no nos fig figs eq eqs sec ch p pp vol art ex thm def prop cor lem tab ref refs app")
_SOMETIMES_LAST = _words(
    "etc inc ltd co corp jr sr bros dept est min max hr hrs ft lb lbs oz ph.d jan feb apr jun jul aug sep sept oct nov "
    "dec mon tue wed thu fri"
)
_LONGEST_WORD = 24


def by_sentence(text: str, *, lines: bool = True, abbreviations: Sequence[str] = ()) -> list[Span]:
    """Return the sentences without the whitespace around them; a stretch of nothing but marks is none.

    A sentence ends with a run of ``. ! ? ...`` and the quotes and brackets that close after it, where whitespace or the
    text's end follows, and with a CJK full stop anywhere. No sentence ends inside a decimal, after an abbreviation, an
    initial or the number of a list's item, before an operator, or after an ellipsis or a closing quote that a
    lower-case letter follows. Quotes are not paired, so that one that is never closed does no harm.

    Args:
        text: to segment.
        lines: whether a line break ends a sentence; False is for text wrapped at a width, where only a blank line does.
        abbreviations: more words that never end a sentence, with or without their full stop.

    Raises `ScorecraftError` for an empty abbreviation.
    """
    if isinstance(abbreviations, str) or not all(word.strip(".") for word in abbreviations):
        raise ScorecraftError(f"abbreviations: expected a list of words, none of them empty, got {abbreviations!r}")
    never_last = _NEVER_LAST.union(word.lower().removesuffix(".") for word in abbreviations)
    blocks = pieces(text, LINE if lines else BLANK_LINE)
    return [span for block in blocks for span in _sentences(text, block, never_last)]


def _sentences(text: str, block: Span, never_last: frozenset[str]) -> Iterator[Span]:
    begin = block.start
    for found in _END.finditer(text, block.start, block.end):
        if found.end() == block.end or _is_end(text, begin, found, block.end, never_last):
            yield from _trimmed(text, begin, found.end())
            begin = found.end()
    yield from _trimmed(text, begin, block.end)


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the span without whitespace around it, unless marks are all it has."""
    held = text[start:end]
    if held.strip().strip(_MARKS + _QUOTES).strip():
        start += len(held) - len(held.lstrip())
        yield Span(start, start + len(held.strip()))


def _is_end(text: str, begin: int, found: re.Match[str], end: int, never_last: frozenset[str]) -> bool:
    """Return whether a run of marks that the block does not end with ends a sentence."""
    after = found.end()
    if any(mark in _UNSPACED for mark in found["run"]):
        return True
    if not text[after].isspace():
        return False
    while after < end and text[after].isspace():
        after += 1
    return after == end or _can_begin(text, begin, found, text[after], never_last)


def _can_begin(text: str, begin: int, found: re.Match[str], following: str, never_last: frozenset[str]) -> bool:
    """Return whether what follows the marks, from this character on, can begin a sentence."""
    run = found["run"]
    quoted = any(mark in _QUOTES for mark in found["closers"])
    if following in _CONTINUES or (quoted and following.islower()):
        return False
    if run == ".":
        return not _goes_on(text, begin, found.start(), following, never_last)
    if not run.strip(".…"):
        return not (following.islower() or following.isdigit())
    factorial = run == "!" and text[found.start() - 1 : found.start()].isdigit()
    return not (factorial and following in _AFTER_FACTORIAL)


def _goes_on(text: str, begin: int, stop: int, following: str, never_last: frozenset[str]) -> bool:
    """Return whether a single full stop belongs to an abbreviation, an initial or the number of an item."""
    near = max(begin, stop - 2 * _LONGEST_WORD)
    line = text.rfind("\n", near, stop) + 1 or near
    if (line == begin or line > near) and _ENUMERATOR.fullmatch(text, line, stop):
        return True
    word = _word_before(text, begin, stop)
    lower = word.lower()
    if lower in _BEFORE_NUMBER:
        return following.isdigit() or following in "(#§"
    if lower in never_last:
        return True
    if lower in _SOMETIMES_LAST or _DOTTED.fullmatch(word):
        return not following.isupper()
    if len(word) == 1 and word.isupper() and following.isupper():
        return _is_name(_word_before(text, begin, stop - 1 - _spaces_before(text, begin, stop - 1)))
    return False


def _is_name(word: str) -> bool:
    """Return whether an initial can come after the word: another initial, or a capital letter that is no label's."""
    if len(word) == 2 and word[1] == ".":
        return word[0].isupper()
    return word.isalpha() and word[0].isupper() and word.lower() not in _LABELS


def _word_before(text: str, begin: int, stop: int) -> str:
    start = stop
    while (
        start > max(begin, stop - _LONGEST_WORD) and not text[start - 1].isspace() and text[start - 1] not in _OPENERS
    ):
        start -= 1
    return text[start:stop]


def _spaces_before(text: str, begin: int, stop: int) -> int:
    held = text[max(begin, stop - _LONGEST_WORD) : stop]
    return len(held) - len(held.rstrip())
