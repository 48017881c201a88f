"""The blocked-step policy by hand: its chances, its continuations, and what each target moves."""

import math

import numpy as np
import pytest

from scorecraft.credit.intervention_training import InterventionExample
from scorecraft.studies import intervention_training as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial

# Chance of a right action that is known: e^2.5 / (e^2.5 + 4); of one that is blocked: e^-8 / (e^-8 + 4).
KNOWN = math.exp(2.5) / (math.exp(2.5) + 4)
BLOCKED = math.exp(-8) / (math.exp(-8) + 4)


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def world():
    return study.make_world(np.random.default_rng(0))


def test_half_of_the_keys_are_never_solved():
    chance = study.success(world().logits, world().right)
    assert chance[:8] == pytest.approx([KNOWN**5 * BLOCKED] * 8)
    assert chance[8:] == pytest.approx([KNOWN**6] * 8)
    assert chance[:8].max() < 3e-5


def test_the_blocked_step_is_one_of_the_middle():
    unlikely = np.argwhere(world().logits == study.UNLIKELY)
    assert unlikely[:, 0].tolist() == list(range(8))
    assert set(unlikely[:, 1].tolist()) <= {2, 3, 4}


def test_texts_tokens_and_verdicts():
    problem = world().problems[3]
    right = world().right[3]
    assert study.verify(problem, problem.gold)
    assert not study.verify(problem, study.write(0, right[:5]))
    assert not study.verify(problem, study.write(0, [*right[:5], (right[5] + 1) % 5]))
    assert study.write(2, [0, 4]) == "step 2: A\n\nstep 3: E"
    encoder = study.StepEncoder()
    assert encoder.encode("step 2: A\n\nstep 3: E\n\n") == [10, 19]
    assert encoder.encode_prompt("key 3") == [3]


def test_continuations_complete_what_is_begun_and_follow_the_policy():
    known = world()
    sampler = study.Sampler(known.logits, np.random.default_rng(1))
    problem = known.problems[12]
    (found,) = sampler.rollout([problem], [study.write(0, known.right[12, :4])], 4000)
    right = np.mean([study.verify(problem, study.write(0, known.right[12, :4]) + text) for text in found])
    assert right == pytest.approx(KNOWN**2, abs=0.03)
    assert sampler.drawn == 4000
    assert sampler.rollout([problem], [problem.gold], 2) == [["", ""]]
    assert sampler.rollout([problem], [""], 1)[0][0].startswith("step 0: ")


def test_one_supervised_step_by_hand(monkeypatch):
    monkeypatch.setattr(study, "EPOCHS", 1)
    logits = np.zeros((3, 6, 5))
    # Key 1, step 2, action 4 is learned; step 0 is shown only. The gradient is onehot - 1/5.
    example = InterventionExample((1, 0, 14), (False, False, True))
    found = study.learn(logits, [example], overlap=0.5)
    change = np.array([-0.2, -0.2, -0.2, -0.2, 0.8])
    expected = np.zeros((3, 6, 5))
    expected[:, 2] = 0.5 * change
    expected[1, 2] += change
    np.testing.assert_allclose(found, expected)
    assert not logits.any()


def test_a_group_that_never_succeeds_teaches_nothing():
    known = world()
    ended, course = study.reinforce(known.logits[:8], known.right[:8], 5, np.random.default_rng(0), 0.0)
    assert (ended == known.logits[:8]).all()
    assert course == pytest.approx([KNOWN**5 * BLOCKED] * 5)
    moved, _ = study.reinforce(known.logits[8:], known.right[8:], 20, np.random.default_rng(0), 0.0)
    assert study.success(moved, known.right[8:]).mean() > KNOWN**6 + 0.1


def test_only_interventions_open_the_blocked_keys(tmp_path):
    found = {target: study.run(trial(tmp_path, target=target)) for target in study.TARGETS}
    assert found["none"]["hard"] < 1e-3
    assert found["prefix"]["hard"] < 1e-3
    assert found["prefix+intervention"]["hard"] > 0.3
    assert found["prefix+intervention"]["zero_advantage"] < found["none"]["zero_advantage"]
    # Without shared parameters the other keys see nothing of it, and all arms draw the same numbers.
    assert len({result["easy"] for result in found.values()}) == 1
    assert {result["shift"] for result in found.values()} == {0.0}


def test_without_a_success_there_is_a_chance_of_almost_one_for_no_advantage(tmp_path):
    found = study.run(trial(tmp_path, target="none"))
    easy = KNOWN**6
    expected = (8 * (1 - KNOWN**5 * BLOCKED) ** 8 + 8 * (easy**8 + (1 - easy) ** 8)) / 16
    assert found["zero_advantage"] == pytest.approx(expected, abs=1e-3)


def test_shared_parameters_move_other_keys(tmp_path):
    assert study.run(trial(tmp_path, target="reference", overlap=0.1))["shift"] > 0


def test_an_intervention_raises_coverage(tmp_path):
    own = study.run_insertion(trial(tmp_path, insert=False))
    inserted = study.run_insertion(trial(tmp_path, insert=True))
    assert own["success_rate"] < 0.01
    assert inserted["coverage"] > own["coverage"]
    # Past the blocked step, at least one and at most three known steps remain.
    assert 0 < inserted["success_rate"] < KNOWN


def test_the_study_is_fair():
    check_study(study.STUDY)
