"""The off-topic audit and whether gold follows a proxy: by hand, and on scores whose answer is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.audit.relevance import off_topic_pairs, offtopic, proxy_gold_monotonicity
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.relevance import text_tokens


def named(queries, responses):
    """A score that knows: 1 where the response names what the query asks for."""
    names = [query.removeprefix("Please tell me about ").removesuffix(".") for query in queries]
    return [float(name in response) for name, response in zip(names, responses, strict=True)]


def long(queries, responses):
    return [len(text_tokens(response)) for response in responses]


def test_pairs_are_about_what_they_say_and_as_long_as_asked():
    for ratio in (0.5, 1, 8):
        for pair in off_topic_pairs(20, length=30, ratio=ratio, seed=1):
            assert named([pair.query] * 2, [pair.relevant, pair.irrelevant]) == [1.0, 0.0]
            # A sentence has at most 14 tokens.
            assert 30 <= len(text_tokens(pair.relevant)) < 44
            assert 30 * ratio <= len(text_tokens(pair.irrelevant)) < 30 * ratio + 14
    assert off_topic_pairs(3, seed=1) == off_topic_pairs(3, seed=1) != off_topic_pairs(3, seed=2)


def test_scores_that_know_and_scores_that_count():
    assert set(offtopic(named, 20).values()) == {1.0}
    found = offtopic(long, 20, lengths=(0.25, 4))
    assert found == {"accuracy": 0.5, "accuracy@0.25": 1.0, "accuracy@4": 0.0}
    assert offtopic(lambda queries, responses: [0.0] * len(queries), 5)["accuracy"] == 0.0


def test_gold_that_follows_and_gold_that_does_not():
    assert proxy_gold_monotonicity([1, 2, 3, 4], [5, 6, 8, 9]) == (pytest.approx(1.0), pytest.approx(0.0), None)
    # Ranks 1 2 3 4 against 1 3 4 2: 1 - 6 * (0 + 1 + 1 + 4) / (4 * 15) = .4; gold falls at the last checkpoint.
    found = proxy_gold_monotonicity([1, 2, 3, 4], [1, 3, 4, 2])
    assert (found.spearman, found.first_divergence) == (pytest.approx(0.4), 3)
    assert proxy_gold_monotonicity([1, 2, 3], [1.0, 0.9, 2], tolerance=0.2).first_divergence is None
    assert proxy_gold_monotonicity([1, 2, 3], [1.0, 0.9, 2]).first_divergence == 1
    # Where the proxy falls too, they do not part.
    assert proxy_gold_monotonicity([3, 2, 4], [1.0, 0.5, 2]).first_divergence is None
    assert proxy_gold_monotonicity([1, 2, 3], [1, 1, 1]) == (0.0, 1.0, None)


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=8, unique=True))
def test_a_rising_image_of_the_proxy_always_follows(values):
    found = proxy_gold_monotonicity(values, [2 * value + 1 for value in values])
    assert found.spearman == pytest.approx(1.0)
    assert found.first_divergence is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: off_topic_pairs(0), "n 0"),
        (lambda: off_topic_pairs(1, length=0), "length 0"),
        (lambda: off_topic_pairs(1, ratio=0.0), "ratio 0"),
        (lambda: offtopic(named, 3, lengths=()), "at least one ratio"),
        (lambda: offtopic(lambda queries, responses: [1.0], 3), "for each of 3 answers"),
        (lambda: offtopic(lambda queries, responses: [float("nan")] * 3, 3), "not NaN"),
        (lambda: proxy_gold_monotonicity([1, 2], [1, 2]), "expected 3 or more"),
        (lambda: proxy_gold_monotonicity([1, 2, 3], [1, 2]), "3 proxy and 2 gold"),
        (lambda: proxy_gold_monotonicity([1, 2, float("nan")], [1, 2, 3]), "finite values"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
