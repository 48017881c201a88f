"""The calibration panel: its numbers by hand and as scikit-learn has them, and the flag where Balance is blind."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import brier_decomposition
from scorecraft.metrics.calibration_panel import calibration_panel

PAGE = Path(__file__).parents[2] / "docs" / "methods" / "balance-score.md"
ROWS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40)


def test_brier_parts_by_hand():
    # Bins of .1: {.2, .2} with frequency 1/2, {.85} with 1, {.9, .95} with 1/2; overall 3/5.
    found = brier_decomposition([1, 0, 1, 1, 0], [0.2, 0.2, 0.85, 0.9, 0.95], 10)
    assert found.brier == pytest.approx((0.64 + 0.04 + 0.0225 + 0.01 + 0.9025) / 5)
    assert found.reliability == pytest.approx((2 * 0.3**2 + 0.15**2 + 2 * 0.425**2) / 5)
    assert found.resolution == pytest.approx((2 * 0.1**2 + 0.4**2 + 2 * 0.1**2) / 5)
    assert found.uncertainty == pytest.approx(0.24)
    # Only the last bin has two forecasts: variance .025^2 minus twice the covariance -.0125, by its share.
    assert found.within_bins == pytest.approx(0.4 * (0.025**2 + 2 * 0.0125))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10).map(lambda tenth: tenth / 10)), min_size=1, max_size=40))
def test_nothing_is_left_where_forecasts_of_a_bin_are_equal(rows):
    found = brier_decomposition([y for y, _ in rows], [p for _, p in rows], 11)
    assert found.within_bins == pytest.approx(0, abs=1e-12)
    assert found.reliability >= 0
    assert -1e-12 <= found.resolution <= found.uncertainty + 1e-12


@given(ROWS)
def test_the_panel_agrees_with_scikit_learn_and_itself(rows):
    metrics = pytest.importorskip("sklearn.metrics")
    y, p = np.array([y for y, _ in rows]), np.array([p for _, p in rows])
    p = p.clip(1e-3, 1 - 1e-3).round(6)
    p[p == 0.5] = 0.51
    found = calibration_panel(y, p)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(y, p, labels=[False, True]))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p, labels=[False, True]))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, p >= 0.5))
    assert found["balance"] == pytest.approx(found["accuracy"] - found["confidence"])
    assert found["bias_in_large"] == pytest.approx(p.mean() - y.mean())
    # A coarser look can only hide: one bin sees the bias alone, and |bias| <= ECE of any bins.
    for bins in (5, 10, 15, 20, 50):
        assert found[f"ece_{bins}"] >= abs(found["bias_in_large"]) - 1e-12


def test_the_flag_is_raised_where_regions_cancel():
    y = ([1] * 8 + [0] * 2 + [1] * 7 + [0] * 3) * 20
    p = ([0.9] * 10 + [0.6] * 10) * 20
    found = calibration_panel(y, p, bins=(4,))
    assert found["balance"] == pytest.approx(0, abs=1e-12)
    assert found["ece_10"] == pytest.approx(0.1)
    # In quarters .9 is above .75 and .6 below it.
    assert found["ece_4"] == pytest.approx(0.1)
    assert "ece_5" not in found
    assert found["cancellation_suspected"] is True


def test_the_flag_is_not_raised_where_all_are_too_sure():
    # 60 of 100 right at .9: Balance -.3 is all of the error.
    found = calibration_panel([1] * 60 + [0] * 40, [0.9] * 100)
    assert found["balance"] == pytest.approx(-0.3)
    assert found["ece_10"] == pytest.approx(0.3)
    assert found["cancellation_suspected"] is False


def test_a_shift_shows_in_the_bias():
    # Forecasts .05 above frequencies .3 and .7: too timid below a half, too sure above.
    y = ([1] * 3 + [0] * 7 + [1] * 7 + [0] * 3) * 200
    found = calibration_panel(y, ([0.35] * 10 + [0.75] * 10) * 200)
    assert found["balance"] == pytest.approx(0, abs=1e-12)
    assert found["bias_in_large"] == pytest.approx(0.05)
    assert found["cancellation_suspected"] is True


def test_a_certainty_that_fails_costs_without_bound():
    found = calibration_panel([1, 0], [0.0, 0.25])
    assert found["log_loss"] == math.inf
    assert calibration_panel([1, 0], [1.0, 0.0])["log_loss"] == 0
    assert calibration_panel([1], [0.8])["cancellation_suspected"] is False


def test_the_example_of_the_page_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    panel = names["panel"]
    assert isinstance(panel, dict)
    assert panel["balance"] < 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: calibration_panel([1, 0], [0.2, 1.5]), "y_prob: row 1"),
        (lambda: calibration_panel([], []), "no rows"),
        (lambda: calibration_panel([1, 0], [[0.8, 0.2], [0.4, 0.6]]), r"pass y_prob\[:, 1\]"),
        (lambda: calibration_panel([1], [0.8], bins=(0,)), "whole number of at least 1"),
        (lambda: brier_decomposition([1], [0.8], 0), "whole number of at least 1"),
        (lambda: brier_decomposition([1, 0], [0.8]), "2 rows, expected 1|1 rows, expected 2"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
