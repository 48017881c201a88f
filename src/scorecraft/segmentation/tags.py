"""Steps that are the contents of XML-like tags, as a policy writes them: nested, unclosed, with attributes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.spans import Span, not_blank, outside

Nested = Literal["outer", "inner"]
UnclosedTag = Literal["end", "drop"]

# Attributes must have values, without which the comparison "a<b and c>d" would be a tag.
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\s"'<>=`]++)"""
_MARKUP = re.compile(
    rf"<(?P<closing>/?)(?P<name>[A-Za-z_][\w.:-]*+)(?P<attributes>(?:\s++[\w.:-]++\s*+=\s*+{_VALUE})*+)\s*+(?P<empty>/?)>"
)
_ATTRIBUTE = re.compile(rf"([\w.:-]++)\s*+=\s*+({_VALUE})")


@dataclass
class Tag:
    """A tag in a text: where it is, and where its content is.

    start: its first character, that of ``<name>``. end: behind ``</name>``.
    content: what is between. attributes: as they are written, unquoted.
    closed: False where ``</name>`` is missing. depth: how many tags it is in.
    """

    name: str
    start: int
    content: Span
    end: int
    attributes: dict[str, str] = field(default_factory=dict)
    closed: bool = False
    depth: int = 0


def find_tags(
    text: str, names: Sequence[str] | None = None, *, unclosed: UnclosedTag = "end", opened: str | None = None
) -> list[Tag]:
    """Return the tags of a text in the order of their starts.

    ``</a>`` closes the innermost open ``<a>``; without one it is plain text. A tag that is never closed ends where the
    tag around it ends, where the next of its name opens beside it, or with the text.

    Args:
        text: to search.
        names: of tags that count, all where it is not given; other tags are plain text.
        unclosed: "end" keeps such tags; "drop" takes them for plain text.
        opened: name of the tag that the text begins inside, as where the prompt ends with ``<think>``.

    Raises `ScorecraftError` for names that are no list of texts, or an unknown ``unclosed``.
    """
    if names is not None and (isinstance(names, str) or not all(names)):
        raise ScorecraftError(f"tag: expected names such as ['think', 'answer'], got {names!r}")
    if unclosed not in ("end", "drop"):
        raise ScorecraftError(f"tag: expected unclosed to be 'end' or 'drop', got {unclosed!r}")
    tags = _matched(text, names, opened)
    return _nested([tag for tag in tags if tag.closed] if unclosed == "drop" else tags, len(text))


def by_tag(
    text: str,
    *,
    names: Sequence[str] | None = None,
    nested: Nested = "outer",
    between: bool = False,
    unclosed: UnclosedTag = "end",
    opened: str | None = None,
) -> list[Span]:
    """Return the contents of tags; blank ones are no steps. `find_tags` says which tag is which.

    Args:
        text: to segment.
        names: of tags that count, all where it is not given.
        nested: "outer" gives the content of a tag whole, with the tags in it; "inner" cuts it at them, so that every
            character is in the piece of its innermost tag.
        between: whether what is before, between and after the tags is a step too.
        unclosed: see `find_tags`.
        opened: see `find_tags`.

    Raises `ScorecraftError` for an unknown ``nested`` and what `find_tags` raises for.
    """
    if nested not in ("outer", "inner"):
        raise ScorecraftError(f"tag: expected nested to be 'outer' or 'inner', got {nested!r}")
    tags = find_tags(text, names, unclosed=unclosed, opened=opened)
    rest = outside([(tag.start, tag.end) for tag in tags if tag.depth == 0], len(text))
    if nested == "outer":
        contents = [tag.content for tag in tags if tag.depth == 0]
        return not_blank(text, sorted([*contents, *rest]) if between else contents)
    markup = {Span(tag.start, tag.content.start) for tag in tags} | {Span(tag.content.end, tag.end) for tag in tags}
    # Empty markup, of a tag that the text begins inside or that is not closed, still is where one piece ends.
    edges = sorted({edge for span in markup for edge in span} | {0, len(text)})
    found = [piece for piece in map(Span, edges, edges[1:]) if piece not in markup]
    # A piece between the tags is one of the rest, since every edge of an outer tag cuts.
    left_out = set() if between else set(rest)
    return not_blank(text, [piece for piece in found if piece not in left_out])


def _matched(text: str, names: Sequence[str] | None, opened: str | None) -> list[Tag]:
    """Return the tags with their contents where they are closed, in the order of their starts."""
    tags: list[Tag] = []
    pending: list[Tag] = []
    waiting: dict[str, int] = {}

    def begin(tag: Tag) -> None:
        tags.append(tag)
        pending.append(tag)
        waiting[tag.name] = waiting.get(tag.name, 0) + 1

    if opened is not None:
        begin(Tag(opened, 0, Span(0, 0), 0))
    for found in _MARKUP.finditer(text):
        name, place = found["name"], found.end()
        if names is not None and name not in names and name != opened:
            continue
        if not found["closing"]:
            written = {key: _unquoted(value) for key, value in _ATTRIBUTE.findall(found["attributes"])}
            tag = Tag(name, found.start(), Span(place, place), place, written)
            if found["empty"]:
                tag.closed = True
                tags.append(tag)
            else:
                begin(tag)
        elif waiting.get(name):
            while True:
                tag = pending.pop()
                waiting[tag.name] -= 1
                if tag.name == name:
                    break
            tag.content, tag.end, tag.closed = Span(tag.content.start, found.start()), place, True
    return tags


def _nested(tags: Sequence[Tag], length: int) -> list[Tag]:
    """Set the ends of unclosed tags, and how deep every tag is."""
    # A frame is a closed tag with the unclosed ones that are open in it, by name; the first frame is the text.
    frames: list[tuple[Tag | None, dict[str, Tag]]] = [(None, {})]
    depth = 0

    def end_unclosed(open_tags: dict[str, Tag], place: int, until: str | None = None) -> int:
        ended = 0
        while open_tags:
            name, tag = open_tags.popitem()
            tag.content, tag.end = Span(tag.content.start, place), place
            ended += 1
            if name == until:
                break
        return ended

    for tag in tags:
        while (around := frames[-1][0]) is not None and around.end <= tag.start:
            depth -= 1 + end_unclosed(frames.pop()[1], around.content.end)
        open_tags = frames[-1][1]
        if tag.name in open_tags:
            depth -= end_unclosed(open_tags, tag.start, tag.name)
        tag.depth = depth
        depth += 1
        if tag.closed:
            frames.append((tag, {}))
        else:
            open_tags[tag.name] = tag
    for around, open_tags in frames:
        end_unclosed(open_tags, length if around is None else around.content.end)
    return list(tags)


def _unquoted(value: str) -> str:
    return value[1:-1] if value[0] in "\"'" else value
