"""What a model gains by peeking: by hand, against covariances of known truths, and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import TypeCheckError

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.second_order_calibration import (
    cheat_covariance,
    cheat_variance,
    conservative_scale,
    ece2,
    ece2_pairs,
    epistemic_confidence,
    interval,
    self_cheat,
)

UNSURE = np.array([[0.4, 0.1], [0.1, 0.4]])
SURE = np.array([[0.81, 0.09], [0.09, 0.01]])
LOPSIDED = np.array([[0.7, 0.1], [0.1, 0.1]])
JOINTS = np.log(np.stack([UNSURE, SURE, LOPSIDED]))


def test_moments_by_hand():
    found = cheat_covariance(JOINTS)
    assert found.probability.tolist() == [pytest.approx(row) for row in ([0.5, 0.5], [0.9, 0.1], [0.8, 0.2])]
    assert found.covariance[0].ravel().tolist() == pytest.approx([0.15, -0.15, -0.15, 0.15])
    assert np.abs(found.covariance[1]).max() < 1e-15
    # 0.7 - 0.8^2, 0.1 - 0.2^2.
    assert cheat_variance(JOINTS).tolist() == [pytest.approx(v, abs=1e-15) for v in ([0.15] * 2, [0] * 2, [0.06] * 2)]
    # 0.5^2 / 0.4; 0.8^2 / 0.7; 0.2^2 / 0.1.
    expected = ([0.625, 0.625], [1, 1], [0.64 / 0.7, 0.4])
    assert epistemic_confidence(JOINTS).tolist() == [pytest.approx(row) for row in expected]


def test_the_first_answers_margin_counts_where_a_joint_is_not_symmetric():
    joint = np.log([[[0.5, 0.2], [0.1, 0.2]]])
    assert cheat_variance(joint)[0].tolist() == pytest.approx([0.5 - 0.49, 0.2 - 0.09])
    assert cheat_covariance(joint).covariance[0].ravel().tolist() == pytest.approx([0.01, -0.01, -0.11, 0.11])


def test_what_a_sum_is_off_by_is_shared_out():
    assert cheat_variance(JOINTS[:1] + 5e-5)[0].tolist() == pytest.approx([0.15, 0.15], rel=1e-12)


def test_impossible_answers_and_answers_that_peeking_makes_less_likely():
    with np.errstate(divide="ignore"):
        joint = np.log(np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.5], [0.5, 0.0]]]))
    assert epistemic_confidence(joint).tolist() == [[1, 0], [1, 1]]
    assert cheat_variance(joint).tolist() == [[0, 0], [-0.25, -0.25]]


truths = st.integers(1, 6).flatmap(
    lambda rows: st.integers(2, 5).flatmap(
        lambda answers: arrays(np.int64, (rows, answers), elements=st.integers(0, 9)).filter(lambda t: t.sum(1).all())
    )
)


@given(truths)
def test_a_calibrated_joint_has_the_moments_of_the_truth_and_the_bound_holds(counts):
    truth = counts / counts.sum(1, keepdims=True)
    mean, centred = truth.mean(0), truth - truth.mean(0)
    with np.errstate(divide="ignore"):
        joint = np.log(np.einsum("ra,rb->ab", truth, truth) / len(truth))[None]
    found = cheat_covariance(joint)
    assert np.allclose(found.probability[0], mean)
    assert np.allclose(found.covariance[0], centred.T @ centred / len(truth))
    assert np.allclose(cheat_variance(joint)[0], (centred**2).mean(0))
    confidence = epistemic_confidence(joint)[0]
    assert ((confidence >= 0) & (confidence <= 1)).all()
    impossible = (truth == 0).mean(0)
    assert (impossible <= 1 - confidence + 1e-9).all()
    # Markov, for every beta.
    for beta in (0.05, 0.3, 0.9):
        ends = interval(mean, (centred**2).mean(0) + 1e-12, beta)
        assert (((truth < ends.low) | (truth > ends.high)).mean(0) <= beta).all()


def test_whole_answers_agree_with_the_table():
    table = np.log([0.5, 0.8, 0.2]), np.log([0.4 / 0.5, 0.7 / 0.8, 0.1 / 0.2])
    found = self_cheat(*table)
    assert found.variance.tolist() == pytest.approx([0.15, 0.06, 0.06])
    assert found.confidence.tolist() == pytest.approx([0.625, 0.64 / 0.7, 0.4])
    assert found.fraction_negative == 0


def test_long_answers_stay_finite():
    found = self_cheat([-300.0, -2000.0, -math.inf, -math.inf, -1.0], [-1.0, -1.0, -1.0, -math.inf, -1.0])
    assert found.variance.tolist() == pytest.approx([math.exp(-301), 0, 0, 0, 0], rel=1e-9, abs=0)
    assert found.confidence.tolist() == pytest.approx([math.exp(-299), 0, 0, 0, 1], rel=1e-9, abs=0)


def test_less_likely_after_itself_is_counted_and_capped():
    with pytest.warns(ScorecraftWarning, match="self_cheat: 50%"):
        found = self_cheat([math.log(0.5), -1.0], [math.log(0.25), -1.0])
    assert found.confidence.tolist() == [1, 1]
    assert found.variance.tolist() == pytest.approx([0.125 - 0.25, 0])
    assert found.fraction_negative == 0.5
    with pytest.warns(ScorecraftWarning):
        assert self_cheat([math.log(0.5)], [-math.inf]).variance.tolist() == pytest.approx([-0.25])


def test_intervals_by_hand():
    half = math.sqrt(0.15 / 0.5)
    assert half == pytest.approx(0.547723, abs=1e-6)
    found = interval([0.5, 0.5, 0.9], [0.15, -0.1, 0.0], 0.5, floor=0.0)
    assert found.low.tolist() == pytest.approx([0, 0.5, 0.9])
    assert found.high.tolist() == pytest.approx([1, 0.5, 0.9])
    narrow = interval([0.5], [0.15], 0.5, scale=0.25)
    assert narrow.low[0] == pytest.approx(0.5 - half / 2)
    floored = interval([0.5], [-0.1], 0.5, floor=0.02)
    assert floored.high[0] == pytest.approx(0.7)
    assert interval([[0.5, 0.5]], [[0.15, 0.15]], 0.05).low.tolist() == [[0, 0]]


# Eight pairs agree, two do not: r is 5/3 or -5/3, its mean 1, its variance 16/9 * 10/9.
AGREE = [1] * 4 + [0] * 4 + [1, 0], [1] * 4 + [0] * 4 + [0, 1]


def test_scales_by_hand():
    p, v = [0.5] * 10, [0.15] * 10
    # ln 40 = 3.688879, R = 125: 1 + sqrt(2 * 1.975309 * 3.688879 / 10) + 7 * 125 * 3.688879 / 27.
    assert conservative_scale(p, v, *AGREE) == pytest.approx(1 + 1.207206 + 119.547013, rel=1e-6)
    # ln 20 = 2.995732: 1 + 125 sqrt(2.995732 / 20).
    assert conservative_scale(p, v, *AGREE, bound="hoeffding") == pytest.approx(49.37785, rel=1e-6)
    # A floor above the variance: r is 0.25 / 0.5 or its negative, mean 0.3, R = 2.5.
    expected = 0.3 + 2.5 * math.sqrt(math.log(20) / 20)
    assert conservative_scale(p, v, *AGREE, floor=0.5, bound="hoeffding") == pytest.approx(expected)
    many = 4000
    never = conservative_scale([0.5] * many, [0.1] * many, [1] * many, [0] * many)
    assert never == 0.0  # pairs that always differ: the mean is -2.5 and no bound on a square is below 0


@given(st.permutations(range(10)))
def test_the_order_of_pairs_and_of_answers_is_nothing(order):
    one, two = (np.array(answers)[list(order)] for answers in AGREE)
    v = np.linspace(0.1, 0.2, 10)
    expected = conservative_scale([0.4] * 10, v, *AGREE)
    assert conservative_scale([0.4] * 10, v[list(order)], two, one) == pytest.approx(expected)
    straight = ece2_pairs([0.4] * 10, v, *AGREE, n_bins=3)
    turned = ece2_pairs([0.4] * 10, v[list(order)], two, one, n_bins=3)
    assert tuple(turned)[:6] == pytest.approx(tuple(straight)[:6])


def test_the_scaled_interval_holds_for_a_model_that_claims_too_little():
    random = np.random.default_rng(0)
    truth = np.where(random.random(20_000) < 0.5, 0.1, 0.9)
    answers = random.random((2, 20_000)) < truth
    p, v = np.full(20_000, 0.5), np.full(20_000, 0.02)
    plain, beta = interval(p, v, 0.2), 0.2
    assert ((truth < plain.low) | (truth > plain.high)).all()
    # The true mean of r is 0.16 / 0.02 = 8; one part in 5 of all truths may lie outside.
    gamma = conservative_scale(p, v, *answers)
    assert 8 <= gamma < 9
    ends = interval(p, v, beta, scale=gamma, floor=0.01)
    assert ((truth >= ends.low) & (truth <= ends.high)).all()


def test_errors_by_hand_where_the_truth_is_known():
    p, truth = [0.5] * 4, [0.1, 0.9, 0.1, 0.9]
    found = ece2(p, [0.15] * 4, truth)
    assert found.error == found.binned_error == pytest.approx(0.01)
    assert found.mean_variance == pytest.approx(0.15)
    assert found.mean_squared_error == pytest.approx(0.16)
    assert found.first_order_error == pytest.approx(0)
    assert found.violation_rate == 0
    assert ece2(p, [0.15] * 4, truth, beta=0.95).violation_rate == 1  # sqrt(0.15 / 0.95) = 0.397 < 0.4
    # Claims of 0.2 and 0 for 0.16 and 0.04 each: gaps of both signs, which only bins see.
    split = ece2(p, [0.2, 0.2, 0.0, 0.0], [0.1, 0.9, 0.7, 0.3], n_bins=2)
    assert split.error == pytest.approx(0)
    assert split.binned_error == pytest.approx(0.04)
    assert split.violation_rate == 0.5
    # A cut at the middle variance, which opens the upper bin: gaps 0 there, 0.06 and -0.06 here.
    upper = ece2([0.5] * 3, [0.0, 0.1, 0.2], [0.5, 0.1, 0.5 + math.sqrt(0.14)], n_bins=2)
    assert upper.binned_error == pytest.approx(0)
    # All questions in [0.5, 0.6), 0.1 too high on average.
    assert ece2([0.55, 0.55], [0.0, 0.0], [0.4, 0.5]).first_order_error == pytest.approx(0.1)


def test_errors_by_hand_from_pairs():
    found = ece2_pairs([0.5] * 10, [0.15] * 10, *AGREE)
    assert found.mean_squared_error == pytest.approx(0.15)
    assert found.error == pytest.approx(0)
    assert found.violation_rate is None
    # Of two classes: (1 - 0.8)^2 and (0 - 0.2)^2.
    both = ece2_pairs([[0.8, 0.2]], [[0.06, 0.06]], [0], [0])
    assert both.mean_squared_error == pytest.approx(0.04)
    assert both.error == pytest.approx(0.02)
    assert both.first_order_error == pytest.approx(0.2)
    # One answer each way is a rate of one half.
    assert ece2_pairs([0.5], [0.1], [1], [0]).first_order_error == pytest.approx(0)


@given(st.integers(0, 10), st.floats(0, 1))
def test_pairs_estimate_the_squared_error_without_bias(tenths, p):
    # 100 pairs in exactly the shares of two independent answers.
    yes, no = tenths, 10 - tenths
    counts = [yes * yes, yes * no, no * yes, no * no]
    one, two = np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)
    found = ece2_pairs([p] * 100, [0.1] * 100, one, two)
    assert found.mean_squared_error == pytest.approx((tenths / 10 - p) ** 2, abs=1e-12)


def test_many_negative_variances_are_told():
    with pytest.warns(ScorecraftWarning, match="ece2: 50% of the variances are negative"):
        found = ece2([0.5, 0.5], [-0.1, 0.2], [0.5, 0.5])
    assert found.fraction_negative == 0.5
    assert found.mean_variance == pytest.approx(0.05)


def test_tensors_and_columns_are_taken():
    import torch

    found = cheat_variance(torch.tensor(JOINTS, dtype=torch.float32, requires_grad=True))
    assert found[0].tolist() == pytest.approx([0.15, 0.15], abs=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cheat_variance(np.log([[[0.4, 0.1], [0.1, 0.3]]])), "row 0 sum to 0.9"),
        (lambda: cheat_variance(np.log(UNSURE)), "row, answer, answer"),
        (lambda: cheat_variance(np.zeros((1, 2, 3))), "row, answer, answer"),
        (lambda: cheat_variance(np.zeros((0, 2, 2))), "row, answer, answer"),
        (lambda: cheat_variance(np.full((1, 2, 2), np.nan)), "row 0 sum to nan"),
        (lambda: cheat_variance(np.full((1, 2, 2), 0.25)), "at most 0"),
        (lambda: self_cheat([0.5], [-1.0]), "logp_y: row 0 is 0.5"),
        (lambda: self_cheat([-1.0], [math.nan]), "logp_y_given_y: row 0 is nan"),
        (lambda: self_cheat([-1.0, -1.0], [-1.0]), "got 2 and 1"),
        (lambda: self_cheat([], []), "one log-probability an answer"),
        (lambda: interval([0.5], [0.1], 0.0), "beta"),
        (lambda: interval([0.5], [0.1], 1.0), "beta"),
        (lambda: interval([0.5], [0.1], scale=-1.0), "scale"),
        (lambda: interval([0.5], [0.1], floor=math.nan), "floor"),
        (lambda: interval([1.5], [0.1]), "y_prob"),
        (lambda: interval([0.5], [math.nan]), "finite"),
        (lambda: interval([0.5], [0.1, 0.1]), "one shape"),
        (lambda: interval([], []), "no rows"),
        (lambda: conservative_scale([0.5] * 2, [0.1] * 2, [0, 1], [0, 1], alpha=1.0), "alpha"),
        (lambda: conservative_scale([0.5] * 2, [0.1] * 2, [0, 1], [0, 1], floor=0.0), "floor above 0"),
        (lambda: conservative_scale([0.5], [0.1], [0], [1]), "at least 2"),
        (lambda: conservative_scale([0.5] * 2, [0.1] * 2, [0, 1], [0]), "second: 1 rows"),
        (lambda: conservative_scale([0.5] * 2, [0.1] * 2, [0, 2], [0, 1]), "first: row 1 is 2"),
        (lambda: ece2([0.5], [0.1], [0.5, 0.5]), "true_prob"),
        (lambda: ece2([0.5], [0.1], [0.5], n_bins=0), "at least 1 bin"),
        (lambda: ece2([0.5], [0.1], [0.5], beta=2.0), "beta"),
        (lambda: ece2_pairs([[0.5, 0.5]], [[0.1, 0.1]], [2], [0]), "classes 0 to 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_an_unknown_bound_is_named():
    # Where shapes are checked, the annotation refuses it first.
    with pytest.raises((ScorecraftError, TypeCheckError), match="chernoff"):
        conservative_scale([0.5] * 2, [0.1] * 2, [0, 1], [0, 1], bound="chernoff")  # pyright: ignore[reportArgumentType]


def test_the_example_of_the_page_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "methods" / "second-order-calibration.md"
    block = re.findall(r"```python[^\n]*source[^\n]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(block) == 1
    exec(compile(block[0], str(page), "exec"), {})
    assert capsys.readouterr().out
