"""Scores answers with the scorers of reasoning-gym, in a worker process with a time limit.

The truth is the entry: a mapping with "question", "answer" and "metadata", of which ``metadata.source_dataset``
names the scorer. Scorers that evaluate the answer's text see only harmless expressions
(`scorecraft.tasks.gym_scoring`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.verification import Ruling, Verification
from scorecraft.tasks.gym_data import gym_registry
from scorecraft.tasks.gym_scoring import evaluates_answers, harmless
from scorecraft.tasks.gym_worker import ScorerError, score_in_worker
from scorecraft.tasks.reasoning_gym import tagged_answer

FULL = 1.0


def score_entries(completions: Sequence[str], entries: Sequence[Any], options: Options) -> list[Verification]:
    """Return the ruling on every completion: correct where the scorer gives 1, and the score beside it.

    Raises `ScorecraftError` where reasoning-gym is not installed, or an entry is not one of its.
    """
    registry = gym_registry()
    addresses = [_address(entry, registry) for entry in entries]
    return [_ruling(text, address, options) for text, address in zip(completions, addresses, strict=True)]


def _address(entry: Any, registry: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(entry, str):
        try:
            entry = json.loads(entry)
        except ValueError as error:
            raise ScorecraftError("verify: expected a reasoning-gym entry, or its JSON text") from error
    metadata = entry.get("metadata") if isinstance(entry, Mapping) else None
    name = metadata.get("source_dataset") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or "answer" not in entry or "question" not in entry:
        raise ScorecraftError(
            "verify: expected a reasoning-gym entry with 'question', 'answer' and 'metadata' with a 'source_dataset'"
        )
    if name not in registry:
        raise ScorecraftError(f"verify: unknown reasoning-gym data set '{name}'; {nearest(name, registry)}")
    return {"dataset": name, "config": {}, "seed": 0, "entry": dict(entry)}


def _ruling(completion: str, address: dict[str, Any], options: Options) -> Verification:
    start = time.perf_counter()
    true = str(address["entry"]["answer"] or "").strip()
    answer = tagged_answer(completion, lines=not true or "\n" in true)
    verdict = _scored(answer, true, address, options.seconds) if answer else Verification(Ruling.UNPARSED, "no answer")
    verdict.given, verdict.truth, verdict.path = answer[:200], true[:200], "reasoning-gym"
    verdict.seconds = time.perf_counter() - start
    return verdict


def _scored(answer: str, true: str, address: dict[str, Any], seconds: float) -> Verification:
    if evaluates_answers(address, address["entry"]) and answer != true and not harmless(answer):
        return Verification(Ruling.UNPARSED, "more than an expression")
    try:
        score = score_in_worker(address, answer, seconds)
    except TimeoutError as error:
        return Verification(Ruling.TIMEOUT, str(error))
    except ScorerError as error:
        return Verification(Ruling.ERROR, str(error)[:200])
    if not math.isfinite(score):
        return Verification(Ruling.ERROR, f"the score is {score}")
    score = min(max(score, 0.0), 1.0)
    return Verification(Ruling.CORRECT if score >= FULL else Ruling.WRONG, score=score)
