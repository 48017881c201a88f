"""The value of the best of K: by hand, and against the enumeration of all draws."""

from __future__ import annotations

import inspect
from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.best_of_k_value import bok_success, step_q_values
from scorecraft.errors import ScorecraftError


def test_by_hand():
    # C(8,5) / C(10,5) = 56 / 252 = 2/9; with 6 right only 4 are wrong, so 5 draws always hit.
    found = bok_success(torch.tensor([6, 6, 2, 0, 0, 10]), 10, 5)
    torch.testing.assert_close(found, torch.tensor([1, 1, 7 / 9, 0, 0, 1]))
    # 1 - 0.8^5 = 1 - 0.32768.
    assert bok_success(torch.tensor([2]), 10, 5, "plugin").item() == pytest.approx(0.67232)
    assert bok_success(torch.tensor([0, 10]), 10, 5, "plugin").tolist() == [0, 1]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (4, 2), (6, 3), (5, 5)])
def test_unbiased_is_the_share_of_subsets_and_plugin_of_draws_with_replacement(n, k):
    for correct in range(n + 1):
        samples = [1] * correct + [0] * (n - correct)
        subsets = [any(samples[i] for i in chosen) for chosen in combinations(range(n), k)]
        draws = [any(samples[i] for i in chosen) for chosen in product(range(n), repeat=k)]
        count = torch.tensor([correct])
        assert bok_success(count, n, k).item() == pytest.approx(sum(subsets) / len(subsets), abs=1e-6)
        assert bok_success(count, n, k, "plugin").item() == pytest.approx(sum(draws) / len(draws), abs=1e-6)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_bounds_order_and_which_is_larger(case):
    n, k = case
    counts = torch.arange(n + 1)
    unbiased, plugin = bok_success(counts, n, k), bok_success(counts, n, k, "plugin")
    for found in (unbiased, plugin):
        assert found[0] == 0
        assert found[-1] == 1
        assert (found.diff() >= -1e-6).all()
    assert (unbiased >= plugin - 1e-6).all()


def test_its_mean_is_the_truth_and_the_plugin_is_below():
    # Exact expectation over c ~ Binomial(10, 0.2): true value 1 - 0.8^5.
    p, n = 0.2, 10
    chances = torch.distributions.Binomial(n, torch.tensor(p)).log_prob(torch.arange(n + 1.0)).exp()
    assert (chances * bok_success(torch.arange(n + 1), n, 5)).sum().item() == pytest.approx(0.67232, abs=1e-5)
    assert (chances * bok_success(torch.arange(n + 1), n, 5, "plugin")).sum().item() < 0.64


def test_shapes_and_the_prompt_apart_from_the_steps():
    counts = torch.tensor([[10, 6, 2, 0], [0, 0, 0, 0]])
    prompt, steps = step_q_values(counts, 10)
    torch.testing.assert_close(prompt, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(steps, torch.tensor([[1, 7 / 9, 0], [0, 0, 0]]))
    assert bok_success(torch.tensor(2), 10, 5).shape == ()
    for estimator in ("unbiased", "plugin"):
        assert bok_success(torch.zeros(0, 3, dtype=torch.int64), 10, 5, estimator).shape == (0, 3)
    assert step_q_values(torch.zeros(2, 1, dtype=torch.int64), 10)[1].shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bok_success(torch.tensor([1]), 4, 5), "estimator 'plugin'"),
        (lambda: bok_success(torch.tensor([5]), 4, 2), "from 0 to 4"),
        (lambda: bok_success(torch.tensor([-1]), 4, 2), "from 0 to 4"),
        (lambda: bok_success(torch.tensor([0]), 4, 0), "at least 1"),
        (lambda: bok_success(torch.tensor([0]), 0, 1, "plugin"), "at least 1"),
        (lambda: inspect.unwrap(bok_success)(torch.tensor([0]), 4, 2, "exact"), "unknown estimator 'exact'"),
        (lambda: step_q_values(torch.zeros(2, 0, dtype=torch.int64), 10), "empty prefix"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_fewer_continuations_than_k_are_no_trouble_for_the_plugin():
    assert bok_success(torch.tensor([1]), 2, 5, "plugin").item() == pytest.approx(1 - 0.5**5)
