"""The final answer as plus or minus one, read from what the policy itself wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.rewards.verify import Options, Ruling, Verification, verify_many
from scorecraft.rollouts import Rollouts

ExtractFrom = Literal["completion", "prefill+completion"]


@implements("repair-from-flawed")
def boxed_answer_rulings(
    completions: Sequence[str],
    answers: Sequence[str],
    *,
    prefills: Sequence[str] | None = None,
    extract_from: ExtractFrom = "completion",
) -> list[Verification]:
    """Return the ruling on the last boxed answer of every completion; anything but a box is no answer.

    Args: as `binary_final_answer_reward`.
    """
    if extract_from not in ("completion", "prefill+completion"):
        known = ("completion", "prefill+completion")
        raise ScorecraftError(f"unknown extract_from '{extract_from}': {nearest(extract_from, known)}")
    for name, given in (("answers", answers), ("prefills", prefills)):
        if given is not None and len(given) != len(completions):
            raise ScorecraftError(
                f"binary_final_answer_reward: {len(completions)} completions, but {len(given)} {name}"
            )
    if extract_from == "prefill+completion" and prefills is None:
        raise ScorecraftError("binary_final_answer_reward: extract_from 'prefill+completion' needs prefills")
    for row, answer in enumerate(answers):
        if not answer.strip():
            raise ScorecraftError(f"binary_final_answer_reward: the true answer of completion {row} is empty")
    texts = list(completions)
    if extract_from == "prefill+completion" and prefills is not None:
        texts = [prefill + text for prefill, text in zip(prefills, completions, strict=True)]
    rulings = verify_many(texts, answers, Options(loose=False))
    for ruling in rulings:
        if ruling.verdict in (Ruling.CORRECT, Ruling.WRONG) and ruling.form != "boxed":
            ruling.verdict, ruling.reason, ruling.score = Ruling.UNPARSED, "no boxed answer", 0.0
    return rulings


@implements("repair-from-flawed")
def binary_final_answer_reward(
    completions: Sequence[str],
    answers: Sequence[str],
    *,
    prefills: Sequence[str] | None = None,
    extract_from: ExtractFrom = "completion",
) -> Float32[Tensor, " rollout"]:
    """Return +1 where the last boxed answer is the true one, by value, and -1 elsewhere.

    Answers are compared by `scorecraft.rewards.verify`, which evaluates nothing that the policy wrote; where it ran
    out of time or failed there is no value (NaN).

    Args:
        completions: what the policy wrote, without the prefix it started from.
        answers: the true ones.
        prefills: the prefixes; read only with "prefill+completion".
        extract_from: "completion", or "prefill+completion" as in the published code, where a box in the prefix counts.

    Raises `ScorecraftError` for lengths that differ, an empty true answer, an unknown ``extract_from``, or
    "prefill+completion" without prefills.

    Source: Can Large Reasoning Models Improve Accuracy on Mathematical Tasks Using Flawed Thinking?, 2025,
    arXiv 2512.17079.
    """
    rulings = boxed_answer_rulings(completions, answers, prefills=prefills, extract_from=extract_from)
    values = {Ruling.CORRECT: 1.0, Ruling.WRONG: -1.0, Ruling.UNPARSED: -1.0}
    return torch.tensor([values.get(ruling.verdict, float("nan")) for ruling in rulings], dtype=torch.float32)


def prefixes_of(rollouts: Rollouts) -> list[str]:
    """Return the forced prefix that each completion's notes tell of, empty where they tell of none.

    Args:
        rollouts: the completions.
    """
    return [str(note.get("prefix") or "") for note in rollouts.notes]


def own_texts(rollouts: Rollouts) -> list[str]:
    """Return the completions without the forced prefixes that their notes tell of.

    Args:
        rollouts: the completions.

    Raises `ScorecraftError` where a completion does not begin with its prefix.
    """
    return [
        _own(text, prefix, row)
        for row, (text, prefix) in enumerate(zip(rollouts.texts, prefixes_of(rollouts), strict=True))
    ]


def _own(text: str, prefix: str, row: int) -> str:
    if text.startswith(prefix):
        return text[len(prefix) :]
    if prefix.startswith(text):  # the length limit cut the prefix itself
        return ""
    raise ScorecraftError(
        f"rollout {row} does not begin with the forced prefix of its notes, so its own text is not known: "
        f"{text[:40]!r} and {prefix[:40]!r}"
    )
