"""Characters of an answer: mathematical typography becomes ASCII, and what only looks like an answer is refused.

A digit is ``0`` to ``9``. Other scripts' digits, letters made to look like digits, invisible characters and marks
that change the direction of writing are no answer: what a reader sees and what is compared would not be the same.
"""

from __future__ import annotations

import re
import unicodedata

from scorecraft.rewards.verify.verification import Unreadable

_TYPOGRAPHY = str.maketrans(
    {
        "\u2212": "-", "\u00d7": r"\times ", "\u00b7": r"\cdot ", "\u22c5": r"\cdot ", "\u00f7": r"\div ",
        "\u2044": "/", "\u2215": "/", "\u221a": r"\sqrt ", "\u221e": r"\infty ", "\u2264": r"\le ",
        "\u2265": r"\ge ", "\u2260": r"\ne ", "\u00b1": r"\pm ", "\u222a": r"\cup ", "\u2208": r"\in ",
        "\u00b0": r"^\circ ", "\u00b2": "^{2}", "\u00b3": "^{3}", "\u00bd": r"\frac{1}{2}",
        "\u00bc": r"\frac{1}{4}", "\u00be": r"\frac{3}{4}", "\u2153": r"\frac{1}{3}", "\u2154": r"\frac{2}{3}",
        "\u03c0": r"\pi ", "\u03b1": r"\alpha ", "\u03b2": r"\beta ", "\u03b3": r"\gamma ", "\u03b8": r"\theta ",
        "\u03bb": r"\lambda ", "\u03bc": r"\mu ", "\u03c6": r"\phi ", "\u03c9": r"\omega ",
        "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"',
        "\u20ac": r"\text{euro} ", "\u00a3": r"\text{pound sterling} ", "\u00a5": r"\text{yen} ",
        "\u20b9": r"\text{rupee} ",
    }
)  # fmt: skip

_ROOT = re.compile("\u221a *([0-9]+)")

# Control and format characters, private and unassigned blocks, halves of surrogate pairs; tab and new line excepted.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\ue000-\uf8ff"
    "\U000e0000-\U000e0fff]"
)


def ascii_mathematics(text: str) -> str:
    """Return an answer with typographic mathematics in ASCII; accented letters of words stay as they are.

    Raises `Unreadable` where it has invisible or direction-changing characters, or digits that are not ``0`` to ``9``.
    """
    hidden = _HIDDEN.search(text)
    if hidden:
        raise Unreadable(f"an invisible or control character (U+{ord(hidden[0]):04X}) in the answer")
    if text.isascii():
        return text
    text = _ROOT.sub(r"\\sqrt{\1}", text).translate(_TYPOGRAPHY)
    for character in text:
        if character > "\x7f" and unicodedata.category(character)[0] == "N":
            raise Unreadable(f"a look-alike digit (U+{ord(character):04X}) in the answer")
    return unicodedata.normalize("NFC", text)
