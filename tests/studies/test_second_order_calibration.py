"""The two worlds by hand: true probabilities, copies, statements, and what each decoder gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scorecraft.studies import second_order_calibration as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_the_line_by_hand():
    world = study.Line(0)
    # sin(pi / 2) = 1 at 1/8, 0 at 1/4, -1 at 3/8.
    assert world.truth(np.array([0.125, 0.25, 0.375])).tolist() == pytest.approx([0.9, 0.5, 0.1])
    upper = world.truth((np.arange(2000, 4000) + 0.5) / 4000)
    assert set(upper.tolist()) == {0.1, 0.9}
    assert upper.mean() == pytest.approx(0.5, abs=0.04)
    assert world.truth(np.array([0.75001, 0.75024])).tolist() == [world.coins[3000]] * 2


def test_pairs_agree_as_often_as_two_independent_answers():
    x, answers = study.Line(1).pairs(40_000)
    agree = (answers[:, 0] == answers[:, 1])[x >= 0.5]
    assert agree.mean() == pytest.approx(0.82, abs=0.01)  # 0.9^2 + 0.1^2
    x, answers = study.Line(1).pairs(1000, copied=1.0)
    assert (answers[:, 0] == answers[:, 1]).all()


def test_features_by_hand():
    assert study.features(np.array([0.125]))[0].tolist() == pytest.approx(
        [0.125, 0.5**0.5, 1, 0, 0.5**0.5, 0, -1], abs=1e-6
    )


def test_networks_side_by_side_are_separate():
    torch.manual_seed(0)
    both = study.Networks(2, 0.0)
    x = torch.randn(5, 7)
    found = both(x)
    hidden = x
    for layer in range(2):
        hidden = torch.relu(hidden @ both.weights[layer][1] + both.biases[layer][1])
    alone = (hidden @ both.weights[2][1] + both.biases[2][1])[:, 0]
    assert torch.allclose(found[1], alone, atol=1e-6)
    assert not torch.allclose(found[0], found[1])
    dropping = study.Networks(1, 0.1)
    assert not torch.equal(dropping(x), dropping(x))


def test_statements_are_true():
    world = study.Statements(0)
    places, both = world.pairs(500)
    for answers in both.T:
        assert not world.false[places.numpy(), answers.numpy()].any()
    assert world.false.sum(1).tolist() == [36] * study.PLACES
    assert world.share[0] == pytest.approx(2 * world.share[1])


def test_decoders_by_hand():
    p = np.array([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]])
    c = np.array([[0.5, 0.95, 0.95], [0.5, 0.6, 0.0]])
    share = np.array([0.8, 0.2])

    def found(decoder):
        return study.given_share(p, c, share, decoder).ravel().tolist()

    assert found("sample") == pytest.approx([0.4, 0.24, 0.16, 0.12, 0.08, 0])
    assert found("refuse") == pytest.approx([0, 0.24, 0.16, 0, 0, 0])
    assert found("resample") == pytest.approx([0, 0.48, 0.32, 0, 0, 0])
    assert found("top-1") == pytest.approx([0, 0.8, 0, 0, 0, 0])
    # The likeliest are 0.6 (0.12 of all) and 0.5 (0.4): together the first to reach the 0.4 that refusing gives.
    assert found("likely") == pytest.approx([0.4, 0, 0, 0.12, 0, 0])


@pytest.mark.parametrize("kind", ["pairs", "ensemble", "dropout", "none"])
def test_each_estimator_goes_the_whole_way(tmp_path, kind):
    found = study.line(trial(tmp_path, kind=kind))
    assert found["scaled_holds"] == 1
    if kind == "none":
        assert found["ratio"] == 0
        assert isinstance(found["violations"], float)
        assert found["violations"] > 0.99
    else:
        assert found["hard"] != found["easy"]


def test_a_model_of_statements_is_unsure_of_what_it_never_saw(tmp_path):
    everything = study.statements(trial(tmp_path, decoder="sample"))
    assert everything["given"] == pytest.approx(1)
    # Of ten digits nine are wrong, and hardly any of the rare places was seen.
    assert everything["rare_false"] == pytest.approx(0.9, abs=0.05)
    kept = study.statements(trial(tmp_path, decoder="refuse"))
    assert kept["excess"] == everything["excess"]
    assert isinstance(kept["given"], float)
    assert kept["given"] < 1


def test_the_study_is_fair():
    check_study(study.STUDY)
