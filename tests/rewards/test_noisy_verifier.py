"""Corrections of a noisy verifier: values by hand, exact expected gradients, and what is refused."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.objectives.group_mean import group_mean_advantages
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.rewards.noisy_verifier import (
    backward_correct,
    binary_verdicts,
    estimate_rates_from_labels,
    forward_weights,
    simulate_channel,
    youden_index,
)

BOTH = torch.tensor([0.0, 1.0])
rates = st.tuples(st.floats(0, 0.45), st.floats(0, 0.45))


def test_values_by_hand():
    # J = .7: -.1/.7 and .9/.7; weights .2 - 1 and .2.
    torch.testing.assert_close(backward_correct(BOTH, 0.1, 0.2), torch.tensor([-0.142857, 1.285714]))
    torch.testing.assert_close(forward_weights(BOTH, 0.2), torch.tensor([-0.8, 0.2]))
    torch.testing.assert_close(backward_correct(BOTH, 0.0, 0.4), torch.tensor([0.0, 1.666667]))
    torch.testing.assert_close(forward_weights(BOTH, 0.4), torch.tensor([-0.6, 0.4]))
    assert youden_index(0.1, 0.2) == pytest.approx(0.7)
    assert youden_index(0.7, 0.6) == pytest.approx(-0.3)


def test_verdicts_may_be_truth_values_tables_or_thresholded():
    assert backward_correct(BOTH.bool(), 0.1, 0.2).equal(backward_correct(BOTH, 0.1, 0.2))
    table = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    by_prompt = torch.tensor([[0.2], [0.4]])
    # 1 / (1 - .2) and 1 / (1 - .4) for the accepted.
    torch.testing.assert_close(backward_correct(table, 0.0, by_prompt), torch.tensor([[0.0, 1.25], [0.0, 1.666667]]))
    torch.testing.assert_close(forward_weights(table, by_prompt), torch.tensor([[-0.8, 0.2], [-0.6, 0.4]]))
    assert binary_verdicts(torch.tensor([0.2, 0.5, 0.9]), 0.5).tolist() == [0.0, 1.0, 1.0]
    assert backward_correct(torch.tensor([0.4, 0.6]), 0.0, 0.5, threshold=0.5).tolist() == [0.0, 2.0]
    assert forward_weights(torch.tensor([0.4, 0.6]), 0.5, threshold=0.5).tolist() == [-0.5, 0.5]
    assert len(backward_correct(torch.tensor([], dtype=torch.bool), 0.1, 0.1)) == 0


def expected_gradient(logits, right, value_of, rho0, rho1):
    """The exact expectation of value times grad log p over arms and verdicts."""
    p = logits.softmax(0)
    score = torch.eye(len(p), dtype=torch.float64) - p
    accepted = right.double() * (1 - rho1) + (~right).double() * rho0
    low, high = value_of(torch.tensor([0.0, 1.0], dtype=torch.float64))
    return ((p * (accepted * high + (1 - accepted) * low))[:, None] * score).sum(0)


@given(st.lists(st.floats(-2, 2), min_size=5, max_size=5), st.integers(1, 30), rates)
def test_the_exact_expected_gradients(raw, pattern, noise):
    rho0, rho1 = noise
    logits = torch.tensor(raw, dtype=torch.float64)
    right = torch.tensor([bool(pattern >> arm & 1) for arm in range(5)])

    def of(function):
        return expected_gradient(logits, right, function, rho0, rho1)

    clean = expected_gradient(logits, right, lambda r: r, 0.0, 0.0)
    j = 1 - rho0 - rho1
    exact = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(of(lambda r: r), j * clean, **exact)
    torch.testing.assert_close(of(lambda r: backward_correct(r, rho0, rho1)), clean, **exact)
    # J, not 1: the forward update is the raw one, whatever the rates.
    torch.testing.assert_close(of(lambda r: forward_weights(r, rho1)), j * clean, **exact)


@given(rates, st.booleans())
def test_expectations_given_the_truth(noise, right):
    rho0, rho1 = noise
    accepted = 1 - rho1 if right else rho0
    shares = torch.tensor([1 - accepted, accepted], dtype=torch.float64)
    both = BOTH.double()
    assert float(shares @ backward_correct(both, rho0, rho1)) == pytest.approx(float(right), abs=1e-9)
    expected = 0.0 if right else -(1 - rho0 - rho1)
    assert float(shares @ forward_weights(both, rho1)) == pytest.approx(expected, abs=1e-9)
    assert forward_weights(both, rho1).abs().max() <= 1


verdicts = st.lists(st.booleans(), min_size=8, max_size=8)


@given(verdicts, rates)
def test_the_groups_own_statistics_take_the_corrections_away(found, noise):
    raw = torch.tensor(found).float()
    group, valid = torch.tensor([0] * 5 + [1] * 3), torch.ones(8, dtype=torch.bool)
    backward, forward = backward_correct(raw, *noise), forward_weights(raw, noise[1])
    z = [group_standardized_advantages(r, group, valid, epsilon=0.0) for r in (raw, backward, forward)]
    torch.testing.assert_close(z[1], z[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(z[2], z[0], rtol=1e-4, atol=1e-5)
    centred = [group_mean_advantages(r, group, valid) for r in (raw, forward)]
    torch.testing.assert_close(centred[1], centred[0], rtol=1e-4, atol=1e-6)


def test_rates_from_labels_by_hand():
    # 4 wrong answers, one accepted; 5 right ones, two refused.
    true = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1]).float()
    seen = torch.tensor([1, 0, 0, 0, 0, 0, 1, 1, 1]).float()
    found = estimate_rates_from_labels(seen, true)
    assert found.rho0.estimate == pytest.approx(0.25)
    assert found.rho1.estimate == pytest.approx(0.4)
    # Wilson by hand: centre (p + z^2/2n) / (1 + z^2/n), half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n).
    z, p, n = 1.959964, 0.25, 4
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert (found.rho0.low, found.rho0.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert estimate_rates_from_labels(seen.bool(), true.bool()) == found


def test_the_channel_has_its_rates_and_repeats_with_its_generator():
    true = torch.arange(20_000).view(2, -1) % 2 == 0
    by_row = torch.tensor([[0.0], [0.6]])

    def verdicts(seed):
        return simulate_channel(true, 0.1, by_row, torch.Generator().manual_seed(seed))

    first = verdicts(0)
    assert first.shape == true.shape
    assert first.equal(verdicts(0))
    assert not first.equal(verdicts(1))
    assert first[0][true[0]].min() == 1  # no false negatives at rate 0
    assert 1 - first[1][true[1]].mean().item() == pytest.approx(0.6, abs=4 * math.sqrt(0.24 / 5000))
    for row in (0, 1):
        assert first[row][~true[row]].mean().item() == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / 5000))
    assert simulate_channel(torch.tensor([], dtype=torch.bool), 0.1, 0.1, torch.Generator()).tolist() == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: backward_correct(BOTH, 0.4, 0.6), "no information"),
        (lambda: backward_correct(BOTH, 0.7, 0.6), "-0.3: the verifier is anti-informative"),
        (lambda: backward_correct(BOTH, 0.5, 0.46), "J = 1 - rho0 - rho1 is 0.04, below min_denominator 0.05"),
        (lambda: backward_correct(BOTH, 0.1, 0.1, min_denominator=0.0), "min_denominator is 0"),
        (lambda: backward_correct(BOTH, -0.1, 0.1), "rho0 is -0.1"),
        (lambda: backward_correct(BOTH, 0.1, 1.0), "rho1 is 1"),
        (lambda: forward_weights(BOTH, float("nan")), "rho1 is nan"),
        (lambda: backward_correct(BOTH, 0.1, torch.tensor([0.1, 0.2, 0.3])), r"rho1 has shape \(3,\)"),
        (lambda: backward_correct(BOTH, torch.tensor([[0.1], [0.2]]), 0.1), r"rho0 has shape \(2, 1\)"),
        (lambda: backward_correct(BOTH * 0.5, 0.1, 0.1), "verdict 1 is 0.5; expected 0 or 1; give a threshold"),
        (lambda: backward_correct(BOTH * float("nan"), 0.1, 0.1), "verdict 0 is nan.*leave out"),
        (lambda: forward_weights(BOTH * float("nan"), 0.1, threshold=0.5), "verdict 0 is nan"),
        (lambda: forward_weights(2 * BOTH, 0.1), "verdict 1 is 2"),
        (lambda: youden_index(1.1, 0.0), "rho0 is 1.1"),
        (lambda: youden_index(0.0, -0.1), "rho1 is -0.1"),
        (lambda: inspect.unwrap(estimate_rates_from_labels)(BOTH, BOTH[:1]), "2 verdicts, but 1 labels"),
        (lambda: estimate_rates_from_labels(BOTH, BOTH * 0), "no right answer"),
        (lambda: estimate_rates_from_labels(BOTH, BOTH * 0 + 1), "no wrong answer"),
        (lambda: estimate_rates_from_labels(BOTH / 2, BOTH), "verdict 1 is 0.5"),
        (lambda: simulate_channel(BOTH.bool(), 0.1, 1.5, torch.Generator()), "rho1 is 1.5"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
