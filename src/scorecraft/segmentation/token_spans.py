"""`token_spans`: which characters of the decoded text each token is, for any fast tokenizer.

Decoders differ in what a token is. In byte-level ones it is bytes, in others a text, or a byte where the vocabulary has
no better; both are put together here without decoding more than once. What is none of these, such as a decoder that
changes text across tokens, is found from the texts of ever longer beginnings, which takes quadratic time.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.spans import Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class FastTokenizer(Protocol):
    """A tokenizer of transformers that stands on one of tokenizers, such as `PreTrainedTokenizerFast`."""

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer that it stands on."""
        ...


# What decodes every token by itself, but for the first and for runs of bytes.
_ONE_BY_ONE = frozenset(["Fuse", "Replace", "ByteFallback", "Metaspace", "Strip", "WordPiece"])
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_UNKNOWN = "\ufffd"
_span = partial(tuple.__new__, Span)  # of a pair, several times as fast as calling `Span`


def token_spans(tokenizer: FastTokenizer | Tokenizer, ids: Sequence[int], text: str | None = None) -> list[Span]:
    """Return the span of characters of every token in the text that the tokens decode to without special tokens.

    The spans cover the text in order. Tokens that share a character of several bytes all have it in their spans. What
    decodes to nothing has an empty span: a special token, an id outside the vocabulary.

    Args:
        tokenizer: a fast one, of transformers or of tokenizers.
        ids: tokens.
        text: that they decode to, where it is known, to make sure that it is.

    Raises `ScorecraftError` for a tokenizer that is not a fast one, or a text that is not what the tokens decode to.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "get_added_tokens_decoder"):
        raise ScorecraftError(f"token_spans: expected a fast tokenizer, got {type(tokenizer).__name__}")
    special = {token for token, added in backend.get_added_tokens_decoder().items() if added.special}
    pieces = _pieces(tokenizer, backend)
    gone = {token for token in set(ids) if token in special or pieces.written[token] is None}
    kept = [place for place, token in enumerate(ids) if token not in gone] if gone else range(len(ids))
    held = [ids[place] for place in kept] if gone else list(ids)
    decoded, spans = pieces.spans(held)
    if decoded is None or decoded != text:
        # The text may be another one, or the decoder does something that putting tokens together does not.
        actual = str(backend.decode(held, skip_special_tokens=True))
        if text is not None and actual != text:
            raise ScorecraftError(
                f"token_spans: the text is not what the tokens decode to; {_difference(text, actual)}"
            )
        if decoded != actual:
            spans = _spans_by_prefixes(backend, held, actual)
    return _with_empty(spans, kept, len(ids))


class _Kept(dict[int, Any]):
    """What a function says of a token, asked once."""

    def __init__(self, function: Callable[[int], Any]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, token: int) -> Any:
        value = self[token] = self.function(token)
        return value


class _Pieces:
    """What each token of a tokenizer decodes to, kept from call to call."""

    def __init__(self, backend: Any, state: str) -> None:
        self.backend, self.state = backend, state
        kinds, self.one_by_one = _kinds(state)
        self.bytes_only = kinds == ["ByteLevel"]
        self.falls_back = "ByteFallback" in kinds
        # A token as it is in the vocabulary, None where it is not; and as bytes, as the text that it is behind others,
        # as the text at the start, and as the byte that it stands for, None for other tokens.
        self.written = _Kept(lambda token: backend.id_to_token(token) if token >= 0 else None)
        self.bytes = _Kept(self._as_bytes)
        self.texts = _Kept(self._as_text)
        self.first = _Kept(lambda token: str(backend.decode([token], skip_special_tokens=False)))
        self.byte = _Kept(self._as_byte)

    def spans(self, ids: Sequence[int]) -> tuple[str | None, list[Span]]:
        """Return the text that the tokens are put together to, and their spans; None where that cannot be done."""
        if self.bytes_only:
            return _spans_in_bytes([self.bytes[token] for token in ids])
        if not self.one_by_one:
            return None, []
        if self.falls_back and any(self.byte[token] is not None for token in set(ids)):
            return self._spans_with_runs(ids)
        texts = [self.texts[token] for token in ids]
        texts[:1] = [self.first[token] for token in ids[:1]]
        return "".join(texts), _adjacent(map(len, texts))

    def _as_bytes(self, token: int) -> bytes:
        written, table = self.written[token], _bytes_of_characters()
        # An added token is written as it is and not in the table's characters.
        in_table = all(character in table for character in written)
        return bytes(map(table.__getitem__, written)) if in_table else written.encode("utf-8")

    def _as_text(self, token: int) -> str:
        # A decoder may leave out or join whitespace at the start of a text, so the token itself goes before.
        return str(self.backend.decode([token, token], skip_special_tokens=False)).removeprefix(self.first[token])

    def _as_byte(self, token: int) -> int | None:
        written = _BYTE.fullmatch(self.written[token])
        return int(written[1], 16) if written else None

    def _spans_with_runs(self, ids: Sequence[int]) -> tuple[str, list[Span]]:
        texts: list[str] = []
        spans: list[Span] = []
        position = 0
        for first, run in self._runs(ids):
            if run:
                piece, inside = self._run(run, ids[: len(run)] if first == 0 else None)
            else:
                piece = self.texts[ids[first]] if first else self.first[ids[first]]
                inside = [Span(0, len(piece))]
            texts.append(piece)
            spans += [Span(position + start, position + end) for start, end in inside]
            position += len(piece)
        return "".join(texts), spans

    def _runs(self, ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield the place of each token that is a text with b"", and of each run of byte tokens with its bytes."""
        run = bytearray()
        for place, token in enumerate(ids):
            byte = self.byte[token]
            if byte is not None:
                run.append(byte)
                continue
            if run:
                yield place - len(run), bytes(run)
                run.clear()
            yield place, b""
        if run:
            yield len(ids) - len(run), bytes(run)

    def _run(self, run: bytes, opening: Sequence[int] | None) -> tuple[str, list[Span]]:
        """Return the text of a run of byte tokens and their spans in it.

        Args:
            run: its bytes, which are one unknown character each unless all of them together are text.
            opening: its tokens where the text begins with them, whose whitespace a decoder may leave out.
        """
        try:
            text, spans = _spans_in_bytes([bytes([byte]) for byte in run], "strict")
        except UnicodeDecodeError:
            text, spans = _UNKNOWN * len(run), [Span(place, place + 1) for place in range(len(run))]
        shown = text if opening is None else str(self.backend.decode(list(opening), skip_special_tokens=False))
        missing = max(0, len(text) - len(shown))
        return shown, [Span(max(0, start - missing), max(0, end - missing)) for start, end in spans]


_known: WeakKeyDictionary[Any, _Pieces] = WeakKeyDictionary()


def _pieces(tokenizer: Any, backend: Any) -> _Pieces:
    try:
        state = backend.decoder.__getstate__().decode("utf-8") if backend.decoder is not None else "{}"
    except Exception:  # a decoder written in Python says nothing of what it does
        state = '{"type":"custom"}'
    if tokenizer is backend:  # cannot be referred to weakly
        return _Pieces(backend, state)
    known = _known.get(tokenizer)
    if known is None or known.state != state or known.backend is not backend:
        known = _known[tokenizer] = _Pieces(backend, state)
    return known


def _kinds(state: str) -> tuple[list[str], bool]:
    """Return the kinds of decoders that a tokenizer has, and whether together they decode tokens one by one."""
    root = json.loads(state)
    steps = root["decoders"] if root.get("type") == "Sequence" else [root] if root else []
    kinds = [str(step.get("type")) for step in steps]
    joined = any(step.get("cleanup") or step.get("stop") for step in steps)
    return kinds, not joined and _ONE_BY_ONE.issuperset(kinds)


@cache
def _bytes_of_characters() -> dict[str, int]:
    """Return the byte for which each character stands in byte-level vocabularies.

    Printable characters of Latin-1 stand for themselves, the other bytes for the characters from 256 on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _spans_in_bytes(parts: Sequence[bytes], errors: str = "replace") -> tuple[str, list[Span]]:
    """Return the text of bytes that come in parts, and the characters of which each part has a byte."""
    data = b"".join(parts)
    text = data.decode("utf-8", errors)
    if len(text) == len(data):
        return text, _adjacent(map(len, parts))
    ends = list(accumulate(map(len, parts)))
    starts = [0, *ends[:-1]]
    begins = (np.frombuffer(data, dtype=np.uint8) & 0xC0) != 0x80
    begins[_errors(data)] = True
    # The characters that begin before a place, and, with the place itself, up to the one that it is in.
    before = np.concatenate([[0], np.cumsum(begins)])
    upto = before[ends]
    inside = np.append(~begins, False)[starts]
    first = before[starts] - inside
    first = np.where(np.diff([0, *ends]) > 0, first, upto)
    return text, list(map(_span, zip(first.tolist(), upto.tolist(), strict=True)))


def _adjacent(lengths: Iterable[int]) -> list[Span]:
    """Return the spans of pieces of the given lengths that follow each other."""
    return list(map(_span, pairwise(accumulate(lengths, initial=0))))


def _errors(data: bytes) -> list[int]:
    """Return where each stretch of bytes starts that is no text and is decoded to one unknown character."""
    found, position, view = [], 0, memoryview(data)
    while True:
        try:
            codecs.utf_8_decode(view[position:], "strict", True)
            return found
        except UnicodeDecodeError as error:
            found.append(position + error.start)
            position += error.end


def _spans_by_prefixes(backend: Any, ids: Sequence[int], text: str) -> list[Span]:
    """Return the spans from how much of the text each beginning of the tokens decodes to."""
    spans: list[Span] = []
    start = 0
    for count in range(1, len(ids) + 1):
        beginning = str(backend.decode(list(ids[:count]), skip_special_tokens=True))
        shared = len(text) if count == len(ids) else max(start, _shared(beginning, text))
        # More than the text shares is part of a character, or of what the next tokens change.
        reached = min(len(text), shared + (len(beginning) > shared))
        # A token that adds nothing to an unknown character is one more byte of it.
        again = 0 < shared == start and len(beginning) == shared and beginning.endswith(_UNKNOWN)
        spans.append(Span(start - again, reached))
        start = shared
    return spans


def _shared(first: str, second: str) -> int:
    """Return how many characters two texts begin with alike."""
    if second.startswith(first):
        return len(first)
    return next(place for place, pair in enumerate(zip(first, second + "\0", strict=False)) if pair[0] != pair[1])


def _difference(text: str, actual: str) -> str:
    place = _shared(actual, text)
    return f"from character {place} on it is {text[place:]!r:.40}, the tokens are {actual[place:]!r:.40}"


def _with_empty(spans: Sequence[Span], kept: Sequence[int], count: int) -> list[Span]:
    """Return the spans with empty ones where tokens decode to nothing."""
    if len(kept) == count:
        return list(spans)
    whole: list[Span] = []
    positions = iter(zip(kept, spans, strict=True))
    following = next(positions, None)
    end = 0
    for place in range(count):
        if following is not None and following[0] == place:
            whole.append(following[1])
            end = following[1].end
            following = next(positions, None)
        else:
            whole.append(Span(end, end))
    return whole
