"""Other ways to choose traces, to compare with: local surprisal, the gradient's norm, and rules about the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from scorecraft.catalog import implements
from scorecraft.distill.rank_surprisal import average_surprisal
from scorecraft.distill.trace_encoding import EncodedTrace
from scorecraft.distill.trace_scoring import TraceScorer
from scorecraft.errors import ScorecraftError

# What the rules count, each with its weight; length has the rest.
RULES = ((r"check|verify", 0.20), (r"perhaps|might", 0.25), (r"therefore|since", 0.25))
LENGTH_WEIGHT = 0.30
_SENTENCE_END = (".", "!", "?")


@implements("rank-surprisal")
def rule_based_quality(texts: Sequence[str]) -> list[float]:
    """Return how a trace looks beside the others: 0.30 z(words) + 0.20 z(check, verify) + 0.25 z(perhaps, might)
    + 0.25 z(therefore, since), the last three as shares of the words; higher is better.

    Args:
        texts: all traces that are compared, since z is over them.

    Raises `ScorecraftError` for no texts, or one without a word.
    """
    if not texts:
        raise ScorecraftError("rule_based_quality: expected at least one text, got none")
    words = np.array([len(re.findall(r"\w+", text)) for text in texts], dtype=np.float64)
    if not words.all():
        raise ScorecraftError(f"rule_based_quality: text {int(np.argmin(words))} has no word")
    total = LENGTH_WEIGHT * _standardized(words)
    for pattern, weight in RULES:
        counts = [len(re.findall(rf"\b(?:{pattern})\b", text, re.IGNORECASE)) for text in texts]
        total += weight * _standardized(np.array(counts) / words)
    return total.tolist()


@implements("rank-surprisal")
def local_surprisal(scorer: TraceScorer, trace: EncodedTrace, sentences: int = 3) -> float:
    """Return the mean surprisal (nats) of the response with only a few sentences before each one as context.

    A sentence ends with a line, or with a token that ends with ``.``, ``!`` or ``?`` before a space. A first token
    left without any context is not counted.

    Args:
        scorer: student and settings.
        trace: as tokens.
        sentences: how many before each sentence are kept, at least 1.

    Raises `ScorecraftError` for fewer than one sentence, or a response without a token that has context.
    """
    if sentences < 1:
        raise ScorecraftError(f"local_surprisal: expected at least 1 sentence of context, got {sentences}")
    starts = _sentence_starts([scorer.tokenizer.decode([token]) for token in trace.tokens])
    windows = []
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else len(trace.tokens)
        first = starts[max(0, number - sentences)]
        wanted = [False] * (start - first) + list(trace.response[start:end])
        wanted[0] = False
        if any(wanted):
            windows.append(EncodedTrace(trace.tokens[first:end], tuple(wanted)))
    if not windows:
        raise ScorecraftError("local_surprisal: no response token has a context")
    return average_surprisal(torch.cat([scores.surprisal for scores in scorer.token_scores(windows)]))


@implements("rank-surprisal")
def gradient_norm(model: Any, trace: EncodedTrace) -> float:
    """Return the L2 norm of the gradient of the mean surprisal over the response, by all weights.

    The gradient is length-normalised by the mean. A random projection, which keeps the norm in expectation and saves
    memory where gradients are kept, is left out since only the norm is. Gradients that the model has are left alone.

    Args:
        model: a Hugging Face causal language model.
        trace: as tokens.

    Raises `ScorecraftError` where there is no response token, or no weight has a gradient.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    wanted = torch.tensor(trace.response, device=model.device)[1:]
    if not weights or not bool(wanted.any()):
        raise ScorecraftError("gradient_norm: expected a model with weights to train and at least one response token")
    tokens = torch.tensor(trace.tokens, device=model.device)
    with torch.enable_grad():
        logits = model(input_ids=tokens[None], use_cache=False).logits[0, :-1][wanted]
        loss = torch.nn.functional.cross_entropy(logits.float(), tokens[1:][wanted])
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum().sqrt())


def _sentence_starts(texts: Sequence[str]) -> list[int]:
    """Return the tokens with which sentences begin; white space belongs to the sentence before it."""
    starts, ended = [0], False
    for place, text in enumerate(texts):
        if ended and text.strip():
            starts.append(place)
            ended = False
        spaced = place + 1 < len(texts) and texts[place + 1][:1].isspace()
        ended = ended or "\n" in text or (spaced and text.rstrip().endswith(_SENTENCE_END))
    return starts


def _standardized(values: np.ndarray) -> np.ndarray:
    """Return z-scores; 0 for all where the values are equal."""
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros_like(values)
