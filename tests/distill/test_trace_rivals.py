"""The other ways to choose traces, by hand and against a plain gradient."""

from __future__ import annotations

import math

import pytest
import torch

from scorecraft.distill.trace_encoding import EncodedTrace
from scorecraft.distill.trace_rivals import _sentence_starts, gradient_norm, local_surprisal, rule_based_quality
from scorecraft.distill.trace_scoring import TraceScorer
from scorecraft.errors import ScorecraftError


def test_rules_by_hand():
    # Lengths 4 and 2: z = 1 and -1. Shares of "verify": 1/4 and 0. No other word of the rules.
    assert rule_based_quality(["we verify it now", "two words"]) == pytest.approx([0.3 + 0.2, -0.3 - 0.2])
    # Lengths are equal; "Perhaps" and "since" stand in one, "checked" is another word than "check".
    found = rule_based_quality(["Perhaps since then", "it was checked"])
    assert found == pytest.approx([0.5, -0.5])
    assert rule_based_quality(["one text"]) == [0.0]
    with pytest.raises(ScorecraftError, match="text 1 has no word"):
        rule_based_quality(["a", "..."])
    with pytest.raises(ScorecraftError, match="at least one text"):
        rule_based_quality([])


@pytest.mark.parametrize(
    ("texts", "starts"),
    [
        (["12", "=?", "\n", "12", "\n", "#"], [0, 3, 5]),
        (["It", " is", " 3", ".", "5", ".", " So", " on", "!"], [0, 6]),
        (["So", ".", " ", "It", ".\n", "\n", "x"], [0, 3, 6]),
        ([], [0]),
    ],
)
def test_sentences_end_with_lines_and_with_points_before_a_space(texts, starts):
    assert _sentence_starts(texts) == starts


def test_local_surprisal_sees_only_the_sentences_before(tunnel):
    scorer = TraceScorer(tunnel.model, tunnel.tokenizer)
    lines = ["12+7-3=?\n", "12+7=19\n", "19-3=16\n", "#16"]
    tokens = [tunnel.encode(line) for line in lines]
    whole = tuple(token for line in tokens for token in line)
    trace = EncodedTrace(whole, (False,) * len(tokens[0]) + (True,) * (len(whole) - len(tokens[0])))
    # One line of context: every line's log-probability after the line before it alone.
    scores = tunnel.score_tokens(tokens[:3], tokens[1:])
    wanted = -float(scores.sum()) / (len(whole) - len(tokens[0]))
    assert local_surprisal(scorer, trace, sentences=1) == pytest.approx(wanted, abs=1e-4)
    all_before = scorer.token_scores([trace])[0].surprisal.mean()
    assert local_surprisal(scorer, trace, sentences=9) == pytest.approx(float(all_before), abs=1e-4)
    with pytest.raises(ScorecraftError, match="at least 1 sentence"):
        local_surprisal(scorer, trace, sentences=0)
    with pytest.raises(ScorecraftError, match="no response token has a context"):
        local_surprisal(scorer, EncodedTrace(whole[:1], (True,)))


def test_the_gradients_norm_against_a_plain_backward(gpt2):
    trace = EncodedTrace((5, 9, 40, 7, 7), (False, False, True, True, True))
    model = gpt2
    logprobs = model(torch.tensor(trace.tokens)[None]).logits[0].log_softmax(-1)
    loss = -(logprobs[1, 40] + logprobs[2, 7] + logprobs[3, 7]) / 3
    loss.backward()
    wanted = math.sqrt(
        sum(float(weight.grad.square().sum()) for weight in model.parameters() if weight.grad is not None)
    )
    model.zero_grad()
    assert gradient_norm(model, trace) == pytest.approx(wanted, rel=1e-4)
    assert all(weight.grad is None for weight in model.parameters())
    with pytest.raises(ScorecraftError, match="at least one response token"):
        gradient_norm(model, EncodedTrace((5, 9), (True, False)))
