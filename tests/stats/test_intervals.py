import math
import subprocess
import sys

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.stats.intervals import bootstrap_interval, paired_bootstrap, permutation_test, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(8, 10), (0, 10), (10, 10), (1, 1), (450, 1000)])
def test_wilson_follows_the_formula(successes, trials):
    z, p = 1.959963984540054, successes / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    interval = wilson_interval(successes, trials)
    assert interval.estimate == p
    assert interval.low == pytest.approx(middle - half, abs=1e-12)
    assert interval.high == pytest.approx(middle + half, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ScorecraftError, match="wilson_interval"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_fraction(confidence):
    with pytest.raises(ScorecraftError, match="confidence"):
        wilson_interval(1, 2, confidence)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_agrees_with_the_normal_interval_of_a_large_sample(method):
    sample = np.random.default_rng(3).normal(2.0, 1.5, size=2000)
    half = 1.959964 * sample.std(ddof=1) / math.sqrt(len(sample))
    interval = bootstrap_interval(sample, method=method, resamples=2000)
    assert interval.estimate == pytest.approx(sample.mean())
    assert interval.low == pytest.approx(sample.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(sample.mean() + half, abs=0.01)


def test_bootstrap_is_reproducible_and_takes_other_statistics():
    sample = [1.0, 2.0, 3.0, 4.0, 100.0]
    first, again = (bootstrap_interval(sample, np.median, method="percentile", resamples=500) for _ in range(2))
    assert first == again
    assert first.estimate == 3.0


def test_another_seed_draws_other_samples():
    sample = np.random.default_rng(0).normal(size=50)
    assert bootstrap_interval(sample, resamples=200, seed=0) != bootstrap_interval(sample, resamples=200, seed=1)


def test_constant_sample_has_a_point_interval():
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_pairing_removes_what_the_pairs_share():
    random = np.random.default_rng(0)
    shared, noise = random.normal(0, 10, size=40), random.normal(0, 0.1, size=40)
    interval = paired_bootstrap(shared + 1 + noise, shared, resamples=1000)
    assert 0.9 < interval.low < 1 + noise.mean() < interval.high < 1.1


def test_exact_paired_permutation_p_value():
    # All 2^3 sign flips of the differences 1, 2, 3: only +++ and --- are as extreme.
    assert permutation_test([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], paired=True) == pytest.approx(2 / 8)
    assert permutation_test([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], paired=True, alternative="greater") == pytest.approx(
        1 / 8
    )


def test_exact_independent_permutation_p_value():
    # 6 splits of {1, 2, 3, 4} into two pairs; {3, 4} against {1, 2} and its mirror are the extremes.
    assert permutation_test([3.0, 4.0], [1.0, 2.0], paired=False) == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bootstrap_interval([1.0]), "at least 2"),
        (lambda: bootstrap_interval([1.0, float("nan")]), "value 1 is nan"),
        (lambda: paired_bootstrap([1.0, 2.0], [1.0, 2.0, 3.0]), "expected pairs, got 2 and 3"),
        (lambda: permutation_test([1.0, 2.0], [1.0, 2.0, 3.0], paired=True), "expected pairs"),
        (lambda: permutation_test([[1.0, 2.0]], [1.0, 2.0], paired=False), "shape"),
    ],
)
def test_bad_samples_are_refused(call, words):
    with pytest.raises(ScorecraftError, match=words):
        call()


def test_stats_do_not_import_torch():
    code = "import sys, scorecraft.stats.intervals, scorecraft.stats.pass_at_k; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
