"""Appeals: the estimate by hand, its error against simulation, what an overturned verdict leaves, and its state."""

from __future__ import annotations

import inspect
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.appeals import AppealEstimator, appeal_counts, overturned_rates


def after(*batches, **options):
    estimator = AppealEstimator(**options)
    for batch in batches:
        estimator.update(*batch)
    return estimator


def test_one_batch_by_hand():
    # FN = 3 / .25 = 12 of 12 + 60 right answers; 3 / 10 is no rate of false negatives.
    found = after((60, 40, 10, 3), appeal_rate=0.25)
    assert found.rho1 == pytest.approx(12 / 72)
    assert found.rho1 != pytest.approx(0.3, abs=0.1)
    # 12 / (12 + 60 * .9) where a tenth of the accepted is wrong.
    assert after((60, 40, 10, 3), appeal_rate=0.25, false_positive_share=0.1).rho1 == pytest.approx(12 / 66)


def test_appeals_that_err_by_hand():
    # S = (3 - .1 * 10) / (1 - .1 - .1) = 2.5, FN = 10.
    counts = appeal_counts(60, 40, 10, 3, appeal_rate=0.25, appeal_rho0=0.1, appeal_rho1=0.1)
    assert counts.false_negatives == pytest.approx(10.0)
    # (2.5 * .09 + 7.5 * .09) / (.8 * .25)^2 = .9 / .04
    assert counts.extra_variance == pytest.approx(22.5)
    # Fewer than chance gives: none, not less than none.
    assert appeal_counts(60, 40, 10, 0, appeal_rho0=0.1).false_negatives == 0.0
    assert after((60, 40, 10, 3), appeal_rate=0.25, appeal_rho0=0.1, appeal_rho1=0.1).rho1 == pytest.approx(10 / 70)


def test_smoothing_by_hand():
    # Values 1/5 and 1/2: .2 + .1 * (.5 - .2).
    batches = ((8, 12, 12, 2), (5, 15, 15, 5))
    assert after(*batches).rho1 == pytest.approx(0.23)
    # Counts: FN .9 * 2 + .1 * 5 = 2.3, right answers 10 in both batches.
    assert after(*batches, smoothed="counts").rho1 == pytest.approx(0.23)
    # 1/10 of 10 and 2/4 of 4: .9 * 1 + .1 * 2 over .9 * 10 + .1 * 4.
    uneven = ((9, 1, 1, 1), (2, 2, 2, 2))
    assert after(*uneven).rho1 == pytest.approx(0.9 * 0.1 + 0.1 * 0.5)
    assert after(*uneven, smoothed="counts").rho1 == pytest.approx(1.1 / 9.4)
    assert after((8, 12, 12, 2), start=0.4).rho1 == pytest.approx(0.9 * 0.4 + 0.1 * 0.2)
    assert after((8, 12, 12, 2), start=0.4, smoothed="counts").rho1 == pytest.approx(0.2)


def test_before_any_batch():
    assert (after().rho1, after().se) == (0.0, math.inf)
    assert after(start=0.3).rho1 == 0.3


def test_the_estimate_is_cut_off():
    assert after((1, 9, 9, 9)).rho1 == 0.49
    assert after((1, 9, 9, 9), maximum=0.3).rho1 == 0.3


def test_batches_that_say_nothing_change_nothing_and_are_counted():
    before = after((8, 12, 12, 2))
    kept = before.state_dict()
    before.update(0, 5, 5, 0)
    assert before.state_dict() == {**kept, "empty": 1}
    silent = after((8, 12, 0, 0), (8, 0, 0, 0), appeal_rate=0.0, start=0.2)
    assert (silent.rho1, silent.unappealed, silent.batches) == (0.2, 1, 0)
    # With q above 0 and by chance no appeal, 0 is the unbiased count of false negatives.
    assert after((8, 12, 0, 0), appeal_rate=0.1).rho1 == 0.0


def test_the_standard_error_of_a_full_appeal_is_the_binomial_one():
    # 25 of 100 right answers rejected.
    assert after((75, 30, 30, 25)).se == pytest.approx(math.sqrt(0.25 * 0.75 / 100))
    # q = 1/5: .1875 / 100 * (.75 * 5 + .25)
    assert after((75, 30, 6, 5), appeal_rate=0.2).se == pytest.approx(math.sqrt(0.1875 / 100 * 4.0))
    # Two equal batches under eta: (1 - eta)^2 + eta^2 of one's variance.
    twice = math.sqrt(0.25 * 0.75 / 100 * (0.81 + 0.01))
    for smoothed in ("rate", "counts"):
        assert after((75, 30, 30, 25), (75, 30, 30, 25), smoothed=smoothed).se == pytest.approx(twice)


def simulated(random, count, accuracy, rho0, rho1, q, a0, a1):
    right = random.binomial(count, accuracy)
    refused = random.binomial(right, rho1)
    false = random.binomial(count - right, rho0)
    heard_right, heard_wrong = random.binomial(refused, q), random.binomial(count - right - false, q)
    overturned = random.binomial(heard_right, 1 - a1) + random.binomial(heard_wrong, a0)
    accepted = right - refused + false
    return accepted, count - accepted, heard_right + heard_wrong, overturned


@pytest.mark.parametrize(("q", "a0", "a1"), [(1.0, 0.0, 0.0), (0.2, 0.0, 0.0), (0.3, 0.02, 0.1)])
def test_estimate_and_error_against_simulation(q, a0, a1):
    random = np.random.default_rng(3)
    estimators = []
    for _ in range(400):
        estimator = AppealEstimator(q, appeal_rho0=a0, appeal_rho1=a1)
        estimator.update(*(int(x) for x in simulated(random, 4000, 0.6, 0.0, 0.25, q, a0, a1)))
        estimators.append(estimator)
    values = np.array([estimator.rho1 for estimator in estimators])
    said = float(np.mean([estimator.se for estimator in estimators]))
    assert abs(values.mean() - 0.25) < 4 * said / math.sqrt(len(values)) + 0.001
    assert values.std() == pytest.approx(said, rel=0.15)


def test_ignored_false_positives_and_ratios_of_few_counts_are_too_low():
    random = np.random.default_rng(4)
    ignored, known = AppealEstimator(), AppealEstimator(false_positive_share=0.04)
    rate, counts = AppealEstimator(0.1, smoothing=0.01), AppealEstimator(0.1, smoothing=0.01, smoothed="counts")
    for _ in range(3000):
        # 1000 answers, half right; of those accepted, 375 are right and 15.6 wrong: 4 %.
        batch = tuple(int(x) for x in simulated(random, 1000, 0.5, 0.03125, 0.25, 1.0, 0.0, 0.0))
        ignored.update(*batch)
        known.update(*batch)
        few = tuple(int(x) for x in simulated(random, 32, 0.5, 0.0, 0.25, 0.1, 0.0, 0.0))
        rate.update(*few)
        counts.update(*few)
    assert known.rho1 == pytest.approx(0.25, abs=0.004)
    # 125 / (125 + 375 + 15.6)
    assert ignored.rho1 == pytest.approx(0.2424, abs=0.004)
    assert counts.rho1 == pytest.approx(0.25, abs=0.05)
    assert rate.rho1 < 0.2


@given(st.integers(0, 50), st.integers(0, 50), st.data())
def test_the_estimate_is_a_rate(accepted, rejected, data):
    appealed = data.draw(st.integers(0, rejected))
    estimator = after((accepted, rejected, appealed, data.draw(st.integers(0, appealed))), appeal_rate=0.5)
    assert 0 <= estimator.rho1 <= 0.49
    assert estimator.se >= 0


def test_what_overturned_verdicts_leave():
    assert overturned_rates(0.1, 0.4, 0.25) == pytest.approx((0.1, 0.3))
    # a0 = .1, a1 = .2: .1 + .9 * .25 * .1 and .4 * (1 - .25 * .8)
    found = overturned_rates(0.1, 0.4, 0.25, appeal_rho0=0.1, appeal_rho1=0.2)
    assert found == pytest.approx((0.1225, 0.32))
    plain, applied = (after((60, 40, 10, 3), appeal_rate=0.25, apply_overturn=on) for on in (False, True))
    assert plain.effective_rho1 == plain.rho1
    assert applied.effective_rho1 == pytest.approx(0.75 * applied.rho1)


@pytest.mark.parametrize("smoothed", ["rate", "counts"])
def test_the_state_goes_on_exactly(smoothed):
    batches = [(8, 12, 6, 2), (5, 15, 7, 5), (0, 3, 1, 0), (9, 2, 1, 1)]
    whole = after(*batches, appeal_rate=0.5, smoothed=smoothed)
    half = after(*batches[:2], appeal_rate=0.5, smoothed=smoothed)
    kept = json.loads(json.dumps(half.state_dict()))
    other = AppealEstimator(0.5, smoothed=smoothed)
    other.load_state_dict(kept)
    for batch in batches[2:]:
        other.update(*batch)
    assert other.state_dict() == whole.state_dict()
    fresh = AppealEstimator()
    fresh.load_state_dict(json.loads(json.dumps(AppealEstimator().state_dict())))
    assert fresh.se == math.inf


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: after((10, 10, 5, 6)), "6 were overturned, but only 5 appealed"),
        (lambda: after((10, 10, 11, 6)), "11 were appealed, but only 10 rejected"),
        (lambda: after((-1, 10, 5, 2)), "at least 0"),
        (lambda: after((10, 10, 5, 6), appeal_rate=0.0), "6 were overturned"),
        (lambda: AppealEstimator(1.5), "appeal_rate is 1.5"),
        (lambda: AppealEstimator(smoothing=0.0), "smoothing is 0"),
        (lambda: AppealEstimator(maximum=1.0), "maximum is 1"),
        (lambda: AppealEstimator(start=1.0), "start is 1"),
        (lambda: AppealEstimator(false_positive_share=1.0), "false_positive_share is 1"),
        (lambda: AppealEstimator(appeal_rho0=0.6, appeal_rho1=0.4), "appeal_rho1 is 0.4"),
        (lambda: AppealEstimator(appeal_rho0=-0.6), "appeal_rho0 is -0.6"),
        (lambda: inspect.unwrap(AppealEstimator.__init__)(object(), smoothed="sums"), "unknown smoothed 'sums'"),
        (lambda: AppealEstimator().load_state_dict({"rho1": 0.1}), "not a state"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
