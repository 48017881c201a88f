"""The relevance study's own pieces: its language, its six ways to answer, its preference model, and best of n."""

from random import Random

import numpy as np
import pytest

from scorecraft.rewards.relevance import repetition_penalty
from scorecraft.studies.relevance_reward import GOLD, STOCK, TRIES, WAYS, Language, chosen, features, preference_model


def test_features_are_shares_of_words_and_length():
    found = features("soap soap salt.")
    assert found[:-1].sum() == pytest.approx(1.0)
    assert sorted(found[:-1][found[:-1] > 0].tolist()) == pytest.approx([0.25, 0.25, 0.5])
    assert found[-1] == 0.04


def test_the_preference_model_learns_that_longer_is_better():
    weights = preference_model(200, 0)
    assert weights[-1] > 0
    assert weights.tolist() == preference_model(200, 0).tolist()


def test_ways_to_answer_are_what_they_say():
    language, random = Language(0), Random(0)
    query = language.query(3, random)
    texts = {way: language.answer(way, query, 3, random) for way in WAYS}
    own = set(language.topics[3])
    assert texts["copied"] == query
    assert 8 <= texts["repeated"].count(query) <= 20
    assert not own & set(texts["off-topic"].split())
    assert 60 <= len(texts["good"].split()) <= 150
    assert 3 <= len(texts["terse"].split()) <= 6
    assert texts["padded"].count(STOCK) >= 5
    assert repetition_penalty(texts["good"]) > 0.9 > repetition_penalty(texts["padded"]) > 0.2
    assert set(GOLD) == set(WAYS)


def test_words_of_a_topic_are_near_each_other():
    language = Language(1)
    same, other = ((language.embed([a]) * language.embed([b])).sum() for a, b in (
        (" ".join(language.topics[0][:20]), " ".join(language.topics[0][20:])),
        (" ".join(language.topics[0][:20]), " ".join(language.topics[1][20:])),
    ))  # fmt: skip
    assert float(same) > 3 * abs(float(other))


def test_the_best_of_the_first_n_is_chosen():
    scores = np.array([[0.0, 1.0, 3.0] + [2.0] * 61])
    found, proxy = chosen([["good", "copied", "terse", *["padded"] * 61]], scores)
    assert found == [["good"], ["copied"], *[["terse"]] * (len(TRIES) - 2)]
    assert proxy == [0.0, 1.0, *[3.0] * (len(TRIES) - 2)]
