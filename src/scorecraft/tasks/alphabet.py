"""The characters of the wind tunnel: every prompt and trace of a `TunnelTask` is written with these alone."""

from __future__ import annotations

# The newline and the 95 printable ASCII characters; with the tokenizer's four special tokens, 100 in all.
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
