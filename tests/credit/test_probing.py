"""Forced answers: which texts are asked, that all are asked at once, and what becomes of failures."""

from __future__ import annotations

import pytest
import torch

from scorecraft.credit.probing import probe_prefixes
from scorecraft.credit.stepwise_reward import stepwise_rewards
from scorecraft.errors import ScorecraftError

TEXTS = ["<think>one. Wait. two</think>4", "<think>a. b", "none"]
OFFSETS = [[11, 17], [9], []]
PROMPTS = ["P0:", "P1:", "P2:"]


class Generator:
    """Answers from a list by the text that is asked; keeps what it was asked."""

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def __call__(self, texts, n, max_tokens):
        self.calls.append((list(texts), n, max_tokens))
        return [self.answers[text] for text in texts]


TRUTH = ["4", "7", "0"]


def verify(answers, rows):
    return [None if answer == "?" else answer == TRUTH[row] for answer, row in zip(answers, rows, strict=True)]


def test_all_prefixes_are_asked_in_one_call_and_verified_by_row():
    generate = Generator(
        {
            "P0:<think>one.</think>": ["4", "5", "5", "5"],
            "P0:<think>one. Wait.</think>": ["4", "4", "4", "5"],
            "P0:<think>one. Wait. two</think>": ["4", "4", "4", "4"],
            "P1:<think>a.</think>": ["4", "4", "4", "7"],
            "P1:<think>a. b</think>": ["7", "7", "8", "8"],
        }
    )
    found = probe_prefixes(PROMPTS, TEXTS, OFFSETS, generate, verify, n=4)
    assert found.accuracies.tolist() == [[0.25, 0.75, 1.0], [0.25, 0.5, 0.0], [0.0, 0.0, 0.0]]
    assert found.mask.tolist() == [[True] * 3, [True, True, False], [False] * 3]
    assert found.failed == 0
    ((texts, n, max_tokens),) = generate.calls
    assert (len(texts), n, max_tokens) == (5, 4, 768)
    assert stepwise_rewards(found.accuracies, found.mask).tolist() == [[0.5, 0.25], [0.25, 0.0], [0.0, 0.0]]


def test_a_failed_probe_merges_its_neighbours():
    generate = Generator(
        {
            "P0:<think>one.</think>": ["4", "5"],
            "P0:<think>one. Wait.</think>": None,
            "P0:<think>one. Wait. two</think>": ["4", "?"],
            "P1:<think>a.</think>": ["?", "?"],
            "P1:<think>a. b</think>": [],
        }
    )
    found = probe_prefixes(PROMPTS, TEXTS, OFFSETS, generate, verify, n=2)
    # An answer that could not be verified does not count.
    assert found.accuracies[0].tolist() == [0.5, 0.0, 1.0]
    assert found.mask.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert found.failed == 3
    assert stepwise_rewards(found.accuracies, found.mask).tolist() == [[0.0, 0.5], [0.0, 0.0], [0.0, 0.0]]


def test_without_a_thought_nothing_is_asked():
    generate = Generator({})
    found = probe_prefixes(["P"], ["no thought"], [[]], generate, verify)
    assert generate.calls == []
    assert found.accuracies.shape == found.mask.shape == (1, 0)
    assert probe_prefixes([], [], [], generate, verify).accuracies.dtype == torch.float32


def test_tags_and_what_closes_a_prefix_can_be_others():
    generate = Generator({"P:one\nAnswer: ": ["4"], "P:one\ntwo\nAnswer: ": ["4"]})
    options = {"n": 1, "max_tokens": 9, "think_tags": ("", "#"), "closing": "\nAnswer: "}
    found = probe_prefixes(["P:"], ["one\ntwo#4"], [[3]], generate, verify, **options)
    assert found.accuracies.tolist() == [[1.0, 1.0]]
    assert generate.calls[0][1:] == (1, 9)


def answering(texts, n, max_tokens):
    return [["4"] * n for _ in texts]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: probe_prefixes(PROMPTS, TEXTS, [[11, 11], [], []], answering, verify), "row 0: expected cuts that in"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, [[17, 11], [], []], answering, verify), "row 0"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, [[], [6], []], answering, verify), "row 1: .* from 7 to below 11"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, [[], [11], []], answering, verify), "row 1"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, [[], [], [2]], answering, verify), "row 2: .* without a thought"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, OFFSETS[:2], answering, verify), "3 texts and 2 lists"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, OFFSETS, answering, verify, n=0), "at least 1"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, OFFSETS, lambda *a: [["4"]], verify), "answers to 1 of 5"),
        (lambda: probe_prefixes(PROMPTS, TEXTS, OFFSETS, answering, lambda *a: [True]), "1 verdicts on 25"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
