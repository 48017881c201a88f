"""The word problems by hand: what candidates write, where they go wrong, and what the picks are scored by."""

import random
from math import log

import pytest

from scorecraft.rewards.formal_steps import ExactProver, StepState
from scorecraft.studies import formal_steps as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial

FAILED, PROVED, UNNEEDED, _ = StepState


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_lines_by_hand():
    plain = study.plain_lines("+*", [7, 3], [12, 19, 57])
    assert plain == ["12 + 7 = 19", "19 * 3 = 57"]
    symbolic = study.symbolic_lines("+*", [7, 3], [12, 19, 57])
    assert symbolic == ["Let a = 12", "b = a + 7", "b = 19", "c = b * 3", "c = 57"]


def test_a_slip_is_refuted_and_a_set_up_error_is_not():
    question = "Begin with 12. Add 7. Multiply by 3. What is the result?"
    for write, states in (
        (study.plain_lines, [FAILED, PROVED, UNNEEDED]),
        # Later lines are about the true value of b, so the slip shows again.
        (study.symbolic_lines, [UNNEEDED, UNNEEDED, FAILED, UNNEEDED, FAILED, UNNEEDED]),
    ):
        lines = (*write("+*", [7, 3], [12, 20, 60]), "The answer is 60.")
        candidate = study.Candidate(lines, 60, "slip", 0)
        problem = study.WordProblem(question, 57, (candidate,))
        assert [record.state for record in study.records_of(problem, candidate, ExactProver())] == states
        wrong = (*write("-*", [7, 3], [12, 5, 15]), "The answer is 15.")
        candidate = study.Candidate(wrong, 15, "set-up", 0)
        records = study.records_of(problem, candidate, ExactProver())
        assert FAILED not in [record.state for record in records]


def test_candidates_are_wrong_where_they_are_said_to_be():
    chance = random.Random(3)
    kinds = {"none": 0, "slip": 0, "set-up": 0}
    for _ in range(400):
        problem = study.make_problem(chance)
        for candidate in problem.candidates:
            kinds[candidate.error] += 1
            if candidate.error == "none":
                assert candidate.answer == problem.answer
            elif candidate.error == "slip":
                left, _, right = candidate.lines[candidate.line].partition(" = ")
                if left[0].isdigit():
                    first, sign, second = left.split()
                    assert study.apply(sign, int(first), int(second)) != int(right)
    # 30 % on average, half of them slips: 600 of 2,000 with a deviation of sqrt(400) * 5 * .265 = 26.
    assert kinds["slip"] + kinds["set-up"] == pytest.approx(600, abs=110)
    assert kinds["slip"] == pytest.approx(kinds["set-up"], abs=90)


def test_the_imitated_model_ranks_as_well_as_it_is_said_to():
    chance = random.Random(0)
    right = [study.process_score(True, chance) for _ in range(4000)]
    wrong = [study.process_score(False, chance) for _ in range(4000)]
    above = sum(one > other for one, other in zip(right, wrong, strict=True)) / 4000
    assert above == pytest.approx(0.75, abs=0.03)
    logits = [log(score / (1 - score)) for score in right]
    assert sum(logits) / 4000 == pytest.approx(0.9539 / 2, abs=0.05)


def test_majority_and_the_best_possible():
    answers = [3, 4, 4, 5, 5]
    candidates = tuple(study.Candidate((), answer, "none", -1) for answer in answers)
    problem = study.WordProblem("", 3, candidates)
    assert study.majority(problem) == 1
    assert study.best_possible([problem, study.WordProblem("", 9, candidates)]) == 0.5


def test_every_pick_is_between_none_and_all_that_can_be_solved(tmp_path):
    found = {arm.name: study.pick(trial(tmp_path, **arm.settings)) for arm in study.PICKS.arms}
    assert len({one["oracle"] for one in found.values()}) == 1
    assert all(0 <= one["accuracy"] <= one["oracle"] for one in found.values())


def test_the_study_is_fair():
    check_study(study.STUDY)
