"""One table in all ways: intervals, agreement, missing scores, the page in a browser's eyes."""

import numpy as np
import pytest

from scorecraft.arena.score_table import ScoreTable
from scorecraft.arena.table_ranking import METHODS, RankingSettings, rank_table
from scorecraft.errors import ScorecraftError

QUICK = RankingSettings(runs=2000, resamples=60, orders=5)


def table(scores, items=None):
    scores = np.array(scores, dtype=float)
    return ScoreTable(tuple("abcdefgh"[: scores.shape[1]]), tuple(f"k{k}" for k in range(len(scores))), scores, items)


def test_a_field_that_agrees_on_everything_has_sure_ranks():
    found = rank_table(table([[3, 2, 1]] * 4), QUICK)
    for one in found.methods:
        if one.method == "swiss":
            continue
        assert one.rank.tolist() == [1, 2, 3], one.method
        assert one.low.tolist() == one.high.tolist() == [1, 2, 3], one.method
        assert one.shares.tolist() == np.eye(3).tolist(), one.method
    assert found.resampled == "benchmarks"
    assert [one.method for one in found.methods] == list(METHODS)


def test_who_is_best_on_half_of_the_benchmarks_has_a_wide_interval():
    found = rank_table(table([[3, 2, 1], [1, 2, 3]] * 3), QUICK).of("borda")
    assert (found.low[0], found.high[0]) == (1, 3)
    assert found.shares[0].sum() == pytest.approx(1)
    assert (found.value_low <= found.value).all()
    assert (found.value <= found.value_high).all()


def test_items_are_drawn_where_there_are_some():
    random = np.random.default_rng(0)
    items = tuple((random.random((3, 40)) < np.array([[0.9], [0.5], [0.1]])).astype(float) for _ in range(2))
    scores = [one.mean(1) for one in items]
    found = rank_table(table(scores, items), QUICK)
    assert found.resampled == "items"
    assert found.of("mean").shares[0, 0] == 1
    # The mean over items varies by about sqrt(.5 * .5 / 80) = .056 for the second model.
    width = found.of("mean").value_high[1] - found.of("mean").value_low[1]
    assert width == pytest.approx(2 * 1.96 * 0.056, rel=0.35)


def test_missing_scores_stop_unless_allowed():
    holes = table([[3, 2, np.nan], [3, 2, 1]])
    with pytest.raises(ScorecraftError, match=r"1 of 6 scores are missing \(c on k0\)"):
        rank_table(holes, QUICK)
    for missing in ("loss", "skip"):
        found = rank_table(holes, RankingSettings(runs=1000, resamples=20, orders=3, missing=missing))
        assert found.of("borda").rank.tolist() == [1, 2, 3]
    with pytest.raises(ScorecraftError, match="'c' has no score"):
        rank_table(table([[3, 2, np.nan]]), RankingSettings(missing="skip"))


def test_one_benchmark_has_no_intervals_and_no_orders():
    found = rank_table(table([[3, 2, 1]]), QUICK)
    assert found.resampled == "nothing"
    assert found.orders is None
    assert found.of("elo").low.tolist() == found.of("elo").rank.tolist()


def test_progress_and_settings():
    told = []
    rank_table(table([[3, 2, 1]] * 2), QUICK, lambda name, done, total: told.append((name, done, total)))
    assert ("intervals", 60, 60) in told
    assert ("orders", 5, 5) in told
    with pytest.raises(ScorecraftError, match="confidence"):
        rank_table(table([[3, 2]]), RankingSettings(confidence=2))
    with pytest.raises(ScorecraftError, match="resamples"):
        rank_table(table([[3, 2]]), RankingSettings(resamples=-1))


def test_the_page_escapes_names_and_says_who_is_first():
    from scorecraft.report.ranking_page import page

    scores = np.array([[3.0, 2, 1], [3, 1, 2], [3, np.nan, 2]])
    found = rank_table(
        ScoreTable(("<b>best</b>", "$x_1$", "c"), ("k0", "<i>", "k2"), scores, None),
        RankingSettings(runs=1000, resamples=20, orders=3, missing="skip"),
    )
    text = page(found, "t.csv")
    assert "<b>best" not in text
    assert "&lt;b&gt;best&lt;/b&gt;" in text
    assert "First by Swiss rounds: &lt;b&gt;best&lt;/b&gt;" in text
    assert "Missing scores" in text
    assert text.count("<img") == 2
