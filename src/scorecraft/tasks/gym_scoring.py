"""Scores an answer with a reasoning-gym data set's own scorer, without letting the answer run as code.

A few of those scorers evaluate the answer as Python or as a SymPy expression. For them an answer must be the
true one to the letter, or be a harmless expression: no names but those of usual functions and of at most two
letters, no attributes, no quotes outside literals. Any other answer counts as wrong without being evaluated.
Harmless expressions can still take for ever, so these scorers run in `scorecraft.tasks.gym_worker`.
"""

from __future__ import annotations

import ast
import inspect
import re
from copy import deepcopy
from functools import lru_cache
from typing import Any

from scorecraft.tasks.gym_data import gym_dataset, gym_entry, gym_registry

LONGEST_EXPRESSION = 2000
_TRIGONOMETRIC = ("sin", "cos", "tan", "sec", "csc", "cot", "sinh", "cosh", "tanh", "asin", "acos", "atan")
FUNCTIONS = frozenset((*_TRIGONOMETRIC, "exp", "log", "sqrt", "cbrt", "abs", "and", "not"))

_EVALUATES = re.compile(r"\b(eval|exec|parse_expr|sympify)\(")
_WORD = re.compile(r"[^\W\d]\w*")
_ATTRIBUTE = re.compile(r"\.\s*[^\W\d]")


@lru_cache(maxsize=256)
def _scorer_evaluates(cls: type) -> bool:
    return bool(_EVALUATES.search(inspect.getsource(cls.score_answer)))  # pyright: ignore[reportAttributeAccessIssue]


def evaluates_answers(address: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Return whether the entry's scorer evaluates the answer's text."""
    registry = gym_registry()
    source = entry.get("metadata", {}).get("source_dataset")
    classes = [registry[name][0] for name in {address["dataset"], source} if name in registry]
    return any(_scorer_evaluates(cls) for cls in classes)


def harmless(answer: str) -> bool:
    """Return whether a text can be evaluated without running anything but arithmetic and usual functions."""
    if len(answer) > LONGEST_EXPRESSION or "__" in answer or "\\" in answer or _ATTRIBUTE.search(answer):
        return False
    if any(len(word) > 2 and word.lower() not in FUNCTIONS for word in _WORD.findall(answer)):
        return False
    return not re.search(r"['\"`]", answer) or _is_literal(answer)


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def gym_score(address: dict[str, Any], answer: str) -> float:
    """Return the data set's own score of an answer; whatever its scorer raises comes through."""
    entry = gym_entry(address)
    return float(gym_dataset(address).score_answer(answer, deepcopy(entry)))
