"""JSON answers: equal as values, whatever the order of keys and the spacing."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import Any

from scorecraft.rewards.verify.agreement import numbers_agree
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.verification import Unreadable

DEEPEST = 60
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL)


def read_json(text: str) -> Any:
    """Return the value of a JSON text; raises `Unreadable` where it is none, has a key twice, or is nested deeply."""
    depth = deepest = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise Unreadable(f"JSON nested more than {DEEPEST} deep")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON ({str(error)[:80]})") from error


def find_json(completion: str) -> str:
    """Return the JSON text of a completion: its last fenced block, else the whole of it."""
    blocks = _FENCE.findall(completion)
    return blocks[-1].strip() if blocks else completion.strip()


def same_json(given: Any, true: Any, options: Options) -> bool:
    """Return whether two JSON values are equal; numbers within the tolerances, and 1 is 1.0 but not true."""
    if isinstance(true, bool) or isinstance(given, bool) or true is None or given is None:
        return given is true
    if isinstance(true, int | float) and isinstance(given, int | float):
        return given == true or numbers_agree(Fraction(given), Fraction(true), options, decimal=False)
    if isinstance(true, list) and isinstance(given, list):
        pairs = zip(given, true, strict=False)
        return len(given) == len(true) and all(same_json(one, other, options) for one, other in pairs)
    if isinstance(true, dict) and isinstance(given, dict):
        return given.keys() == true.keys() and all(same_json(given[key], true[key], options) for key in true)
    return type(given) is type(true) and given == true


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is out of range")
    return value
