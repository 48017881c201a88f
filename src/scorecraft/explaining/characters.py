"""Texts cut into tokens, by a tokenizer or character by character, with their place in the text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Token = tuple[int, int, int]  # id, first character, end


class Texts:
    """Cuts texts and remembers what its tokens say.

    names: the text of every token that occurred. units: what a token is.
    """

    def __init__(self, tokenizer: Any = None) -> None:
        """Take a fast tokenizer, or None for characters."""
        self.tokenizer = tokenizer
        self.names: dict[int, str] = {}
        self.units = "characters" if tokenizer is None else "tokens"

    def tokens(self, text: str) -> list[Token]:
        """Return the tokens of a text."""
        if self.tokenizer is None:
            cut = [(ord(character), place, place + 1) for place, character in enumerate(text)]
        else:
            read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            cut = [
                (token, start, end)
                for token, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
            ]
        for token, start, end in cut:
            self.names.setdefault(token, text[start:end])
        return cut

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.names.get(token, "") for token in ids)
