"""The texts of the shaping study by hand, what its enumeration finds, and the streams that depth is planted in."""

import numpy as np
import pytest
import torch

from scorecraft.credit.reasoning_depth.shaping import ALPHA
from scorecraft.studies import reasoning_depth as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def shaping(tmp_path, **settings):
    return study.run_shaping(trial(tmp_path, **{"align": "strict", "alpha": ALPHA, "terminal": False, **settings}))


def test_there_are_fourteen_texts_over_seven_states():
    # One step: 2. Two: 2 ways to go on times 2. Three: 4 times 2.
    assert sorted(map(len, study.TEXTS)) == [1] * 2 + [2] * 4 + [3] * 8
    assert list(study.STATES) == [(), (2,), (3,), (2, 2), (2, 3), (3, 2), (3, 3)]
    assert study.POSSIBLE.sum(1).tolist() == [4, 4, 4, 2, 2, 2, 2]


def test_returns_and_values_by_hand():
    outcome = np.zeros((1, 14))
    outcome[0, study.TEXTS.index((2, 3, 0))] = 1.0
    outcome[0, study.TEXTS.index((1,))] = 0.8
    returns = study.returns_to_go(np.zeros((1, 14, 3)), outcome)
    assert returns[0, study.TEXTS.index((2, 3, 0))].tolist() == pytest.approx([0.81, 0.9, 1.0])
    values = study.action_values(returns)
    assert values[0, 0].tolist() == pytest.approx([0.0, 0.8, 0.81, 0.0])
    assert values[0, study.STATES[2,]].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.9])
    assert study.best(values)[0, 0].tolist() == [False, False, True, False]
    # Ties are kept, and what is not possible is never best.
    assert study.best(values)[0, study.STATES[3, 3]].tolist() == [True, True, False, False]
    chosen = values.argmax(2)
    assert study.value_of(chosen, outcome).tolist() == pytest.approx([0.81])


def test_the_expected_gradient_is_the_derivative_of_the_expected_return():
    random = np.random.default_rng(1)
    outcome = random.random((1, 14))
    logits = torch.tensor(np.where(study.POSSIBLE, random.normal(size=(1, 7, 4)), -np.inf), requires_grad=True)
    policy = logits.softmax(2)
    chance = torch.stack(
        [
            torch.stack([policy[0, study.STATES[text[:step]], text[step]] for step in range(len(text))]).prod()
            for text in study.TEXTS
        ]
    )
    discounts = torch.tensor([0.9 ** (len(text) - 1) for text in study.TEXTS])
    (chance * discounts * torch.tensor(outcome[0])).sum().backward()
    # The derivative by a state's logits weighs the return from that state on by the discount up to it.
    returns = study.returns_to_go(np.zeros((1, 14, 3)), outcome) * 0.9 ** np.arange(3)
    found = study.expected_gradient(returns, policy.detach().numpy())
    assert logits.grad is not None
    np.testing.assert_allclose(found[0][study.POSSIBLE], logits.grad.numpy()[0][study.POSSIBLE], atol=1e-9)


def test_strict_shaping_changes_nothing_and_the_others_do(tmp_path):
    strict = shaping(tmp_path, alpha=10 * ALPHA)
    assert (strict["changed"], strict["planted"], strict["lost"]) == (0, 0, 0)
    assert strict["shift"] < 1e-6
    for settings in ({"align": "own"}, {"terminal": True}):
        found = shaping(tmp_path, **settings)
        assert found["changed"] > 0
        assert found["planted"] == 1
        assert found["shift"] > 0.01
    # Own depth pays 0.5 / ln 2 * 0.1 = .072, more than the .05 between .95 and .90; a tenth of it does not.
    assert shaping(tmp_path, align="own", alpha=ALPHA / 10)["planted"] == 0


def test_streams_have_the_answers_they_say():
    tokens, operation, answer = study.streams(50, "sum", torch.Generator().manual_seed(0))
    assert tokens.shape == (50, 33)
    items = tokens[:, 1:].reshape(50, 8, 4).numpy()
    assert (items[..., 0] == operation + 4).all()
    a, b, said = (items[..., place] - 10 for place in (1, 2, 3))
    assert (said == answer).all()
    assert (said[operation == 0] == a[operation == 0]).all()
    assert (said[operation == 1] == (a + b)[operation == 1] % 10).all()
    tokens, operation, answer = study.streams(50, "copy", torch.Generator().manual_seed(0))
    b = tokens[:, 1:].reshape(50, 8, 4)[..., 2].numpy() - 10
    assert (answer[operation == 1] == b[operation == 1]).all()


def test_depth_is_measured_from_end_to_end(tmp_path):
    found = study.run_depth(trial(tmp_path, second="sum", layers=(3, 5)))
    assert 0 <= found["auroc"] <= 1
    assert 0 <= found["entropy_auroc"] <= 1
    assert found["depth_ratio"] > 0
    assert found["right"] < 0.9  # three steps teach nothing
    assert found["second_layer"] == 6


def test_the_study_is_fair():
    check_study(study.STUDY)
