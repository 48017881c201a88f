"""The digits in sessions: who is in which, that frozen and tuned share a base session, and what is compared."""

import pytest
import torch

from scorecraft.detect.fewshot_incremental import TRICKS, run_protocol
from scorecraft.studies import fewshot_incremental as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 3, "smoke", tmp_path, lambda done, total: None)


def test_six_base_classes_and_two_sessions_of_two():
    (x, y), (held_x, held_y), protocol = study.digits(0)
    assert x.shape == (1200, 1, 8, 8)
    assert len(held_y) == len(held_x) == 597
    assert [len(session.classes) for session in protocol] == [6, 2, 2]
    assert [len(session.rows) for session in protocol[1:]] == [10, 10]
    assert sorted(label for session in protocol for label in session.classes) == list(range(10))
    assert torch.isin(y[protocol[1].rows], torch.tensor(protocol[1].classes)).all()


def test_arms_are_the_sets_of_the_ablation():
    added = {arm.name: set(arm.settings["tricks"]) for arm in study.ADDED.arms}
    assert list(added) == ["baseline", *TRICKS]
    assert added["subnet"] == set(TRICKS)
    assert {arm.name for arm in study.LEFT_OUT.arms} == {"all", *(f"without-{trick}" for trick in TRICKS)}


def test_a_trial_reports_what_the_trainer_does(tmp_path):
    found = study.run(trial(tmp_path, tricks=["supcon"]))
    train, test, protocol = study.digits(3)
    report = run_protocol(study.trainer_of(trial(tmp_path), ("supcon",)), protocol, train, test)
    assert found["average"] == pytest.approx(report.average)
    assert found["novel"] == report.final.novel
    assert len(found["course"]) == 3
    assert found["drop"] == pytest.approx(found["course"][0] - found["course"][-1])


def test_a_rate_that_moves_nothing_changes_nothing(tmp_path):
    found = study.run_sessions(trial(tmp_path, trick="fine-tuning", inc_lr=1e-12))
    assert found["base_change"] == found["novel_change"] == found["overall_change"] == 0


def test_a_rate_that_is_far_too_high_forgets_the_base(tmp_path):
    found = study.run_sessions(trial(tmp_path, trick="fine-tuning", inc_lr=10.0))
    assert found["base_change"] < -0.2


def test_tricks_of_sessions_leave_the_base_session_as_it_is(tmp_path):
    train, _, (first, *_) = study.digits(3)
    rows = (train[0][first.rows], train[1][first.rows])
    plain = study.trainer_of(trial(tmp_path), study.OF_BASE).fit_base(*rows)
    tuned = study.trainer_of(trial(tmp_path), (*study.OF_BASE, "subnet")).fit_base(*rows)
    for own, other in zip(plain.encoder.parameters(), tuned.encoder.parameters(), strict=True):
        assert torch.equal(own, other)


def test_the_study_is_fair():
    check_study(study.STUDY)


def test_garments_go_through_all_sessions(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_FASHION_MNIST", "generated")
    train, test, protocol = study.garments(0, "smoke")
    assert train[0].shape == (300, 1, 28, 28)
    assert test[1].shape == (100,)
    assert [len(session.classes) for session in protocol] == [6, 2, 2]
    settings = {"tricks": ["supcon", "etf", "pseudo-classes", "rotation", "subnet"], "garments": True}
    found = study.run(Trial(settings, 0, "smoke", tmp_path, lambda done, total: None))
    assert len(found["course"]) == 3
    assert 0 <= found["average"] <= 1
