"""Ranks and surprisals by hand, against scipy's ranks and the published rule; the ratio, its rivals and its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy.stats import rankdata

from scorecraft.distill.rank_surprisal import (
    average_rank,
    average_surprisal,
    dataset_rsr,
    mean_token_ratio,
    projected_rank_surprisal,
    rank_entropy_ratio,
    rsr,
    surprising_token_rsr,
    token_rank_surprisal,
)
from scorecraft.errors import ScorecraftError


def ranks(*values):
    return torch.tensor(values, dtype=torch.int32)


FIRST = (ranks(1, 2, 150), torch.tensor([0.5, 1.5, 8.0]))
SECOND = (ranks(1, 1), torch.tensor([0.1, 0.3]))


def test_the_ratio_by_hand():
    # (1 + 2 + 100) / 10, and with the whole rank (1 + 2 + 150) / 10.
    assert rsr(*FIRST) == pytest.approx(10.3)
    assert rsr(*FIRST, rank_clip=None) == pytest.approx(15.3)
    assert rsr(*FIRST, rank_clip=2) == pytest.approx(5 / 10)
    assert rsr(*SECOND) == pytest.approx(2 / 0.4)


def test_the_other_means_of_a_trace_by_hand():
    # 1/.5, 2/1.5 and 150/8 or 100/8.
    assert mean_token_ratio(*FIRST, rank_clip=None) == pytest.approx((2 + 4 / 3 + 18.75) / 3)
    assert mean_token_ratio(*FIRST) == pytest.approx((2 + 4 / 3 + 12.5) / 3)
    assert average_rank(FIRST[0]) == pytest.approx(51)
    assert average_rank(FIRST[0], 100) == pytest.approx(103 / 3)
    assert average_surprisal(FIRST[1]) == pytest.approx(10 / 3)
    # 30 % of three tokens is one, the most surprising; half of them are two.
    assert surprising_token_rsr(*FIRST) == pytest.approx(100 / 8)
    assert surprising_token_rsr(*FIRST, top=0.5) == pytest.approx(102 / 9.5)
    assert surprising_token_rsr(*FIRST, top=1.0) == rsr(*FIRST)
    assert rank_entropy_ratio(FIRST[0], torch.tensor([1.0, 2.0, 1.0])) == pytest.approx(103 / 4)


def test_the_three_means_of_a_data_set_differ():
    # Means of the first: 103/3 and 10/3; of the second: 1 and .2.
    assert dataset_rsr([FIRST, SECOND]) == pytest.approx((103 / 3 + 1) / (10 / 3 + 0.2))
    assert dataset_rsr([FIRST, SECOND]) == pytest.approx(10.0)
    assert dataset_rsr([FIRST, SECOND], how="mean") == pytest.approx(7.65)
    assert dataset_rsr([FIRST, SECOND], how="pooled") == pytest.approx(105 / 10.4)


def test_ranks_and_surprisals_by_hand():
    logits = torch.tensor([[2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = token_rank_surprisal(logits, torch.tensor([1, 3]), entropy=True)
    assert found.rank.tolist() == [2, 1]
    first = math.log(math.exp(2) + math.e + 2) - 1
    assert found.surprisal.tolist() == pytest.approx([first, math.log(4)])
    assert first == pytest.approx(1.493812, abs=1e-6)
    assert rsr(found.rank, found.surprisal) == pytest.approx(1.041628, abs=1e-6)
    p = np.exp([2, 1, 0, 0]) / np.exp([2, 1, 0, 0]).sum()
    assert found.entropy is not None
    assert found.entropy.tolist() == pytest.approx([-(p * np.log(p)).sum(), math.log(4)], abs=1e-6)


def test_a_token_that_cannot_come_adds_nothing_to_the_entropy():
    logits = torch.tensor([[0.0, 0.0, -math.inf]])
    found = token_rank_surprisal(logits, torch.tensor([0]), entropy=True)
    assert found.entropy is not None
    assert found.entropy.tolist() == pytest.approx([math.log(2)])
    assert found.surprisal.tolist() == pytest.approx([math.log(2)])


LOGITS = st.lists(st.lists(st.integers(-6, 6), min_size=7, max_size=7), min_size=1, max_size=40)


@given(LOGITS, st.sampled_from([1, 3, 128]), st.integers(0, 6))
def test_ranks_are_scipys_and_blocks_change_nothing(table, rows, target):
    logits = torch.tensor(table, dtype=torch.float32)
    targets = torch.full((len(table),), target)
    whole = token_rank_surprisal(logits, targets)
    wanted = [rankdata([-value for value in row], method="min")[target] for row in table]
    assert whole.rank.tolist() == wanted
    reference = -torch.log_softmax(logits.double(), 1)[:, target]
    assert whole.surprisal.tolist() == pytest.approx(reference.tolist(), abs=1e-5)
    parts = projected_rank_surprisal(logits, lambda own: own, targets, rows_per_block=rows)
    assert parts.rank.tolist() == whole.rank.tolist()
    assert parts.surprisal.tolist() == pytest.approx(whole.surprisal.tolist(), abs=1e-6)


@given(st.integers(0, 2**16))
def test_the_published_rule_gives_the_same_on_logits_of_two_bytes(seed):
    # Largest logits in two bytes, both sides of the comparison turned to float32; ties are frequent.
    logits = torch.randn(6, 200, generator=torch.Generator().manual_seed(seed)).bfloat16()
    targets = torch.arange(6) * 30
    chosen = logits.float().gather(1, targets[:, None])[:, 0]
    top = torch.topk(logits, 100, dim=1).values.float()
    published = (1 + (top > chosen[:, None]).sum(1)).clamp(max=100)
    surprisal = logits.float().logsumexp(1) - chosen
    found = token_rank_surprisal(logits, targets)
    assert found.rank.clamp(max=100).tolist() == published.tolist()
    assert found.surprisal.tolist() == pytest.approx(surprisal.tolist(), abs=1e-5)


TRACES = st.lists(st.tuples(st.integers(1, 400), st.floats(0.01, 20)), min_size=1, max_size=20)


@given(TRACES, st.randoms(use_true_random=False))
def test_the_ratio_is_bounded_and_keeps_no_order(trace, random):
    def both(rows):
        return ranks(*(rank for rank, _ in rows)), torch.tensor([own for _, own in rows])

    rank, surprisal = both(trace)
    value, mean = rsr(rank, surprisal), float(surprisal.double().mean())
    assert 1 / mean * (1 - 1e-6) <= value <= 100 / mean * (1 + 1e-6)
    weighted = (rank.clamp(max=100) / surprisal.double() * surprisal.double()).sum() / surprisal.double().sum()
    assert value == pytest.approx(float(weighted))
    random.shuffle(trace)
    assert rsr(*both(trace)) == pytest.approx(value)
    assert dataset_rsr([(rank, surprisal)]) == pytest.approx(value)


@given(TRACES)
def test_a_larger_clip_never_lowers_the_ratio(trace):
    rank, surprisal = ranks(*(rank for rank, _ in trace)), torch.tensor([own for _, own in trace])
    values = [rsr(rank, surprisal, clip) for clip in (1, 50, 100, None)]
    assert values == sorted(values)


def test_text_that_the_student_is_certain_of_sorts_last():
    assert rsr(ranks(1, 1), torch.tensor([0.0, 1e-8])) == math.inf
    assert dataset_rsr([(ranks(1), torch.zeros(1))]) == math.inf
    assert rsr(ranks(1), torch.tensor([-1e-7])) == math.inf  # rounding


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rsr(ranks(), torch.zeros(0)), "no response tokens"),
        (lambda: rsr(ranks(1), torch.tensor([1.0, 2.0])), "shapes"),
        (lambda: rsr(ranks(0), torch.tensor([1.0])), "count from 1"),
        (lambda: rsr(ranks(1), torch.tensor([1.0]), 0), "clip of at least 1"),
        (lambda: rsr(ranks(1), torch.tensor([-1.0])), "at least 0"),
        (lambda: rsr(ranks(1), torch.tensor([math.nan])), "finite"),
        (lambda: surprising_token_rsr(*FIRST, top=0.0), "share of tokens"),
        (lambda: dataset_rsr([]), "at least one trace"),
        (lambda: dataset_rsr([FIRST], how="median"), "'median'"),  # pyright: ignore[reportArgumentType]
        (lambda: token_rank_surprisal(torch.zeros(1, 3), torch.tensor([3])), "token 0 is 3"),
        (lambda: token_rank_surprisal(torch.zeros(1, 3), torch.tensor([-1])), "token 0 is -1"),
        (lambda: token_rank_surprisal(torch.zeros(2, 3), torch.tensor([0])), "2 rows of logits"),
        (lambda: token_rank_surprisal(torch.tensor([[0.0, math.nan]]), torch.tensor([0])), "NaN"),
        (lambda: token_rank_surprisal(torch.tensor([[0.0, -math.inf]]), torch.tensor([1])), "probability 0"),
    ],
)
def test_bad_input_is_named(call, said):
    # Where signatures are checked too, a wrong shape or name is refused before it is looked at.
    with pytest.raises((ScorecraftError, TypeCheckError), match=f"{said}|Type-check error"):
        call()


def test_no_tokens_have_no_scores():
    found = token_rank_surprisal(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), entropy=True)
    assert len(found.rank) == len(found.surprisal) == 0
