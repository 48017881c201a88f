"""Supervised examples: what the model is shown, and which of its tokens it learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.intervention_training.attempts import GuidedAttempt
from scorecraft.credit.intervention_training.loss import IGNORED
from scorecraft.credit.intervention_training.substeps import SEPARATOR
from scorecraft.errors import ScorecraftError

Target = Literal[
    "prefix", "intervention", "prefix+intervention", "prefix+intervention+suffix", "reference", "self-reflection"
]
TARGETS: tuple[Target, ...] = get_args(Target)
WHOLE: tuple[Target, ...] = ("prefix+intervention+suffix", "reference", "self-reflection")
"""The targets that are whole solutions, and so may end with an end token; the others are there to be continued."""


@runtime_checkable
class Encoder(Protocol):
    """What turns texts into tokens; a `scorecraft.lm.Policy` is one."""

    def encode_prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt, up to where the completion begins."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text alone, with no special token added."""
        ...


@dataclass(frozen=True, slots=True)
class InterventionExample:
    """Tokens, prompt included, and which of them are learned: the fields of supervised training's examples.

    problem_index, attempt_index: where it is from.
    """

    tokens: tuple[int, ...]
    learned: tuple[bool, ...]
    problem_index: int = 0
    attempt_index: int = 0

    def tensors(self) -> dict[str, Int64[Tensor, " token"]]:
        """Return ``input_ids`` and ``labels`` (-100 where nothing is learned), as Hugging Face has them."""
        tokens = torch.tensor(self.tokens, dtype=torch.int64)
        learned = torch.tensor(self.learned, dtype=torch.bool)
        return {"input_ids": tokens, "labels": torch.where(learned, tokens, IGNORED)}


@implements("intervention-training")
def supervised_example(
    prompt: str,
    text: str,
    encoder: Encoder,
    *,
    given: str = "",
    end_token: int | None = None,
    problem_index: int = 0,
    attempt_index: int = 0,
) -> InterventionExample:
    """Return a completion as an example: the prompt and what is given are shown, all other tokens are learned.

    The text is encoded as a whole, as the model would have written it; a token that spans the end of what is given is
    learned.

    Args:
        prompt: of the problem.
        text: the completion.
        encoder: turns texts into tokens.
        given: the beginning of the text that is not learned.
        end_token: put at the end and learned. None where the text is to be continued: a guided prefix must not teach
            the model to stop after it.
        problem_index: kept in the example.
        attempt_index: kept in the example.

    Raises `ScorecraftError` for a text that does not begin with what is given, or leaves nothing to learn.

    Source: InT, 2026, arXiv 2601.14209.
    """
    if not text.startswith(given):
        raise ScorecraftError("supervised_example: the text does not begin with what is given of it")
    shown = list(encoder.encode_prompt(prompt))
    written = list(encoder.encode(text))
    kept = _common(encoder.encode(given), written) if given else 0
    if end_token is not None:
        written.append(end_token)
    if kept == len(written):
        raise ScorecraftError("supervised_example: the text has no token to learn")
    return InterventionExample(
        (*shown, *written),
        (*[False] * (len(shown) + kept), *[True] * (len(written) - kept)),
        problem_index,
        attempt_index,
    )


@implements("intervention-training")
def row_example(
    row: GuidedAttempt,
    target: Target,
    encoder: Encoder,
    *,
    rewrite: str = "",
    end_token: int | None = None,
    separator: str = SEPARATOR,
) -> InterventionExample | None:
    """Return what a guided attempt teaches under a target; None where the prefix is the target and it is empty.

    "prefix+intervention" is the method: own correct prefix and intervention. "prefix": without the intervention.
    "intervention": the prefix is shown and not learned. "prefix+intervention+suffix": with a right continuation.
    "reference": the reference solution. "self-reflection": a whole solution that the model wrote after reading its
    attempt and the reference.

    Args:
        row: as `filter_interventions` keeps it.
        target: what is learned.
        encoder: turns texts into tokens.
        rewrite: the solution of "self-reflection".
        end_token: put at the end of whole solutions only, the last three.
        separator: what stands between substeps.

    Raises `ScorecraftError` for an unknown target, or one whose text the row does not have.

    Source: InT, 2026, arXiv 2601.14209; its paper names "self-reflection" and the text here is our reading of it.
    """
    if target not in TARGETS:
        raise ScorecraftError(f"unknown target '{target}'; expected one of {', '.join(TARGETS)}")
    text, given = row.text, ""
    if target == "prefix":
        text = row.prefix
    elif target == "intervention":
        given = row.prefix + separator if row.prefix else ""
    elif target == "prefix+intervention+suffix":
        text = row.text + row.suffix if row.suffix.strip() else ""
    elif target == "reference":
        text = row.attempt.reference
    elif target == "self-reflection":
        text = rewrite
    if not text.strip():
        if target == "prefix":
            return None
        raise ScorecraftError(
            f"problem {row.attempt.problem_index}, attempt {row.attempt.attempt_index}: target '{target}' has no text"
        )
    return supervised_example(
        row.attempt.problem.prompt,
        text,
        encoder,
        given=given,
        end_token=end_token if target in WHOLE else None,
        problem_index=row.attempt.problem_index,
        attempt_index=row.attempt.attempt_index,
    )


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two texts begin with in common."""
    count = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        count += 1
    return count
