"""Importing this module registers the built-in tasks."""

from __future__ import annotations

from scorecraft.tasks.calculator import Calculator
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.confidence import Confidence
from scorecraft.tasks.jsonl import JsonLines
from scorecraft.tasks.multiple_choice import MultipleChoice
from scorecraft.tasks.reasoning_gym import ReasoningGym
from scorecraft.tasks.rubric import Rubric
from scorecraft.tasks.second_turn import SecondTurn

__all__ = [
    "Calculator",
    "ChainArithmetic",
    "Confidence",
    "JsonLines",
    "MultipleChoice",
    "ReasoningGym",
    "Rubric",
    "SecondTurn",
]
