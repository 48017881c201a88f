"""The studies of the catalog run from end to end at smoke scale, and what is committed is what they would show."""

import pytest

from scorecraft.catalog.verdicts import verdicts
from scorecraft.studies.find import find_study, study_slugs
from scorecraft.studies.min_form_credit import play, returns_of
from scorecraft.studies.negative_reinforcement import advantages_of
from scorecraft.studies.rlcr import measures, truth
from scorecraft.studies.run import run_study


@pytest.mark.parametrize("slug", study_slugs())
def test_every_study_runs_at_smoke_scale(slug, tmp_path):
    found = run_study(find_study(slug), "smoke", tmp_path)
    assert found["verdict"] == "smoke, claims nothing"
    assert all(experiment["arms"] for experiment in found["experiments"])


def test_a_verdict_is_kept_for_every_study():
    assert set(verdicts()) == set(study_slugs())


def test_the_step_game_by_hand():
    import numpy as np

    # A policy that always solves three times and then ends: success in four steps.
    logits = np.full((4, 4), -50.0)
    logits[:3, 0], logits[3, 3] = 50.0, 50.0
    states, actions, rewards, there, success = play(logits, np.random.default_rng(0))
    assert success.all()
    assert (there.sum(1) == 4).all()
    assert states[0, :4].tolist() == [0, 1, 2, 3]
    assert actions[0, :4].tolist() == [0, 0, 0, 3]
    assert rewards[:, :3].mean() == pytest.approx(0.6, abs=0.05)
    # One that always writes filler never ends, and pays -0.5 for it at the last step.
    logits = np.full((4, 4), -50.0)
    logits[:, 1] = 50.0
    _, _, rewards, there, success = play(logits, np.random.default_rng(0))
    assert not success.any()
    assert (rewards[:, -1] == -0.5).all()
    assert returns_of(rewards, there, "sum", 0.1)[:, 0].mean() == pytest.approx(11 * 0.7 - 0.5, abs=0.2)
    assert returns_of(rewards, there, "outcome-min", 0.1).unique().tolist() == [-0.5]


def test_the_methods_of_the_answer_table_by_hand():
    import torch

    reward = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert advantages_of(reward, "psr").tolist() == [[1, 0, 0, 0]]
    assert advantages_of(reward, "nsr").tolist() == [[0, -1, -1, -1]]
    assert advantages_of(reward, "weighted").tolist()[0] == pytest.approx([0.1, -1, -1, -1])
    # Mean 1/4, sample deviation 1/2: 1.5 and -0.5.
    assert advantages_of(reward, "grpo").tolist()[0] == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-3)


def test_the_best_table_has_the_best_accuracy_and_no_calibration_error():
    import torch

    logits = torch.full((6, 33), -200.0, dtype=torch.float64)
    for kind, best in enumerate((0.25, 0.39, 0.53, 0.67, 0.81, 0.95)):
        logits[kind, round(10 * best)] = 200.0
    found = measures(logits)
    assert found["accuracy"] == pytest.approx(3.6 / 6)
    # Confidences .2 .4 .5 .7 .8 and 1 (0.95 rounds up to even: 10): gaps .05 .01 .03 .03 .01 .05 over 6.
    assert found["ece"] <= 0.18 / 6 + 1e-9
    assert (truth().sum(1) <= 1 + 1e-9).all()
    assert (truth()[:, 0] > truth()[:, 1]).all()


def test_only_the_first_prompts_are_verified():
    import numpy as np

    from scorecraft.studies.min_form_credit import GROUP, PROMPTS, verified_returns

    success = np.ones(PROMPTS * GROUP, dtype=bool)
    success[1] = False
    there = np.ones((PROMPTS * GROUP, 3), dtype=bool)
    there[0, 2] = False
    found = verified_returns(success, there, 1 / PROMPTS)
    assert found[0].tolist() == [1, 1, 0]
    assert found[1].tolist() == [0, 0, 0]
    assert float(found[GROUP:].sum()) == 0
    assert float(verified_returns(success, there, 0.0).sum()) == 0
