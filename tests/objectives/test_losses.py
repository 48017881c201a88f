import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.errors import ScorecraftError
from scorecraft.objectives import clipped_surrogate, entropy_bonus, importance_ratio, kl_penalty, reinforce
from scorecraft.objectives.interfaces import LossInputs

ROW = torch.ones(1, 4, dtype=torch.bool)


def of_ratio(*ratios):
    return torch.tensor([ratios]).log()


def test_clip_takes_the_gradient_only_where_it_would_overshoot():
    logprobs = of_ratio(1.5, 0.5, 1.5, 0.5).requires_grad_()
    advantages = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    loss = clipped_surrogate(logprobs, torch.zeros(1, 4), advantages, ROW, low=0.2, high=0.3)
    torch.testing.assert_close(loss.values, torch.tensor([[-1.3, -0.5, 1.5, 0.8]]))
    assert loss.metrics["clipped_high"].tolist() == [[1, 0, 0, 0]]
    assert loss.metrics["clipped_low"].tolist() == [[0, 0, 0, 1]]
    loss.values.sum().backward()
    # d(-w A)/dl = -w A, and 0 where clipped
    torch.testing.assert_close(logprobs.grad, torch.tensor([[0.0, -0.5, 1.5, 0.0]]))


def test_dual_clip_bounds_the_loss_of_negative_advantages():
    advantages = torch.tensor([[-1.0, -1.0, 1.0, -2.0]])
    loss = clipped_surrogate(of_ratio(5.0, 2.0, 5.0, 9.0), torch.zeros(1, 4), advantages, ROW, dual_clip=3.0)
    torch.testing.assert_close(loss.values, torch.tensor([[3.0, 2.0, -1.2, 6.0]]))
    assert loss.metrics["clipped_dual"].tolist() == [[1, 0, 0, 1]]


def test_metrics_say_how_far_the_policy_moved():
    loss = clipped_surrogate(of_ratio(2.0, 1.0, 1.0, 7.0), torch.zeros(1, 4), torch.ones(1, 4), ROW.clone())
    torch.testing.assert_close(loss.metrics["ratio"], torch.tensor([[2.0, 1.0, 1.0, 7.0]]))
    torch.testing.assert_close(loss.metrics["approx_kl"], torch.tensor([[1 - math.log(2), 0.0, 0.0, 6 - math.log(7)]]))


def test_off_the_mask_nothing_counts_not_even_what_is_not_finite():
    mask = torch.tensor([[True, False]])
    logprobs = torch.tensor([[0.0, float("-inf")]], requires_grad=True)
    loss = clipped_surrogate(logprobs, torch.tensor([[0.0, 3.0]]), torch.ones(1, 2), mask)
    assert loss.values[0, 1] == 0
    assert all(values[0, 1] == 0 for values in loss.metrics.values())
    loss.values.sum().backward()
    assert logprobs.grad.tolist() == [[-1.0, 0.0]]


def test_sequence_ratio_is_the_geometric_mean_over_the_mask():
    mask = torch.tensor([[True, True, False], [False, False, False]])
    logprobs = torch.tensor([[math.log(4.0), 0.0, 50.0], [9.0, 9.0, 9.0]])
    ratio = importance_ratio(logprobs, torch.zeros(2, 3), mask, "sequence")
    torch.testing.assert_close(ratio, torch.tensor([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]]))


def test_sequence_token_ratio_has_each_tokens_own_gradient():
    logprobs = torch.tensor([[math.log(4.0), 0.0]], requires_grad=True)
    mask = torch.ones(1, 2, dtype=torch.bool)
    ratio = importance_ratio(logprobs, torch.zeros(1, 2), mask, "sequence-token")
    torch.testing.assert_close(ratio.detach(), torch.tensor([[2.0, 2.0]]))
    (ratio * torch.tensor([[1.0, 10.0]])).sum().backward()
    torch.testing.assert_close(logprobs.grad, torch.tensor([[2.0, 20.0]]))


def test_sequence_ratio_shares_the_gradient_among_the_tokens():
    logprobs = torch.tensor([[math.log(4.0), 0.0]], requires_grad=True)
    mask = torch.ones(1, 2, dtype=torch.bool)
    (importance_ratio(logprobs, torch.zeros(1, 2), mask, "sequence") * torch.tensor([[1.0, 10.0]])).sum().backward()
    torch.testing.assert_close(logprobs.grad, torch.tensor([[11.0, 11.0]]))


def test_unknown_names_are_refused():
    # unwrap: the users' case, without the type checker that tests install
    with pytest.raises(ScorecraftError, match="unknown ratio level 'word'"):
        inspect.unwrap(importance_ratio)(torch.zeros(1, 4), torch.zeros(1, 4), ROW, "word")
    with pytest.raises(ScorecraftError, match="unknown KL estimator 'k4'"):
        inspect.unwrap(kl_penalty)(torch.zeros(1, 1), torch.zeros(1, 1), "k4")


def test_reinforce_gradient_is_minus_the_advantage():
    logprobs = torch.tensor([[-1.0, -2.0, -3.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    loss = reinforce(logprobs, logprobs.detach(), torch.tensor([[2.0, -1.0, 5.0]]), mask)
    assert loss.values.tolist() == [[2.0, -2.0, 0.0]]
    assert loss.metrics["ratio"].tolist() == [[1.0, 1.0, 0.0]]
    loss.values.sum().backward()
    assert logprobs.grad.tolist() == [[-2.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("estimator", "value", "slope"),
    # d = reference - logprobs = log 2; the slope is the derivative by logprobs
    [("k1", -math.log(2), 1.0), ("k2", math.log(2) ** 2 / 2, -math.log(2)), ("k3", 1 - math.log(2), -1.0)],
)
def test_kl_by_hand(estimator, value, slope):
    logprobs = torch.tensor([[-1.0]], requires_grad=True)
    estimate = kl_penalty(logprobs, torch.tensor([[-1.0 + math.log(2)]]), estimator)
    assert estimate.item() == pytest.approx(value, abs=1e-6)
    estimate.sum().backward()
    assert logprobs.grad.item() == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_kl_estimates_have_the_right_expectation(estimator):
    policy, reference = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.1, 0.3, 0.6]])
    exact = (policy * (policy / reference).log()).sum()
    torch.testing.assert_close((policy * kl_penalty(policy.log(), reference.log(), estimator)).sum(), exact)


def test_gradient_of_k2_is_the_divergences():
    logits = torch.tensor([[0.3, -0.4, 1.0]], requires_grad=True)
    reference = torch.tensor([[0.1, 0.3, 0.6]]).log()
    logprobs = logits.log_softmax(-1)
    (exact,) = torch.autograd.grad((logprobs.exp() * (logprobs - reference)).sum(), logits, retain_graph=True)
    (estimate,) = torch.autograd.grad((logprobs.exp().detach() * kl_penalty(logprobs, reference, "k2")).sum(), logits)
    torch.testing.assert_close(estimate, exact)


def test_k3_of_a_hopeless_token_stays_finite():
    logprobs = torch.tensor([[-300.0]], requires_grad=True)
    kl_penalty(logprobs, torch.tensor([[0.0]]), "k3").sum().backward()
    assert torch.isfinite(logprobs.grad).all()


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_k3_is_never_negative(a, b):
    assert kl_penalty(torch.tensor([[a]]), torch.tensor([[b]]), "k3").item() >= 0


def test_entropy_bonus_lowers_the_loss_on_the_mask():
    bonus = entropy_bonus(torch.tensor([[2.0, 2.0]]), torch.tensor([[True, False]]), 0.1)
    torch.testing.assert_close(bonus, torch.tensor([[-0.2, 0.0]]))


def inputs(entropies=None):
    logprobs = torch.full((1, 2), -1.0)
    return LossInputs(logprobs, logprobs, torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool), entropies=entropies)


@pytest.mark.parametrize("name", parts.names("objective"))
def test_parts_add_the_entropy_bonus_only_when_asked(name):
    kind = parts.find("objective", name)
    assert not kind().needs_entropy
    part = kind(entropy_coefficient=0.5)
    assert part.needs_entropy
    difference = part(inputs(torch.full((1, 2), 3.0))).values - kind()(inputs()).values
    torch.testing.assert_close(difference, torch.full((1, 2), -1.5))
    with pytest.raises(ScorecraftError, match="no entropies"):
        part(inputs())


def test_clipped_surrogate_part_hands_its_options_on():
    part = parts.find("objective", "clipped-surrogate")(low=0.1, high=0.4, dual_clip=2.0, normalize="sequence")
    tensors = LossInputs(of_ratio(3.0, 0.5, 3.0, 1.0), torch.zeros(1, 4), torch.tensor([[1.0, -1.0, -1.0, 1.0]]), ROW)
    torch.testing.assert_close(part(tensors).values, torch.tensor([[-1.4, 0.9, 2.0, -1.0]]))
    assert part.weights(ROW, torch.tensor([True])).tolist() == [[0.25] * 4]


@pytest.mark.parametrize("options", [{}, {"entropy_coefficient": 0.5}])
@pytest.mark.parametrize("name", parts.names("objective"))
def test_idle_without_advantage_is_true(name, options):
    part = parts.find("objective", name)(**options)
    logprobs = torch.tensor([[-1.0, -0.1]], requires_grad=True)
    entropies = -logprobs * 2
    mask = torch.ones(1, 2, dtype=torch.bool)
    loss = part(LossInputs(logprobs, torch.full((1, 2), -0.5), torch.zeros(1, 2), mask, entropies=entropies)).values
    loss.sum().backward()
    assert part.idle_without_advantage == (loss.eq(0).all().item() and logprobs.grad.eq(0).all().item())


@pytest.mark.parametrize(
    "options",
    [
        {"normalize": "constant"},
        {"constant_length": 10.0},
        {"dual_clip": 1.0},
        {"low": -0.1},
        {"low": 1.1},
        {"level": "word"},
        {"needs_entropy": True},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValidationError):
        parts.find("objective", "clipped-surrogate")(**options)
