"""Sessions, accuracies and tables by hand."""

import math

import pytest
import torch

from scorecraft.detect.fewshot_incremental import (
    TRICKS,
    FSCILReport,
    ablation_table,
    fscil_protocol,
    session_accuracy,
    tricks_in_order,
    tricks_left_out,
)
from scorecraft.errors import ScorecraftError

Y = torch.arange(10).repeat(8) + 100


def test_sessions_share_no_class_and_leave_none_out():
    base, *sessions = fscil_protocol(Y, base=6, way=2, shot=5, seed=0)
    assert len(base.classes) == 6
    assert len(base.rows) == 48
    assert len(sessions) == 2
    classes = [label for session in (base, *sessions) for label in session.classes]
    assert sorted(classes) == list(range(100, 110))
    for session in sessions:
        counts = torch.bincount(Y[session.rows])
        assert {label: int(counts[label]) for label in session.classes} == dict.fromkeys(session.classes, 5)
        assert len(session.rows.unique()) == 10


def test_the_seed_decides_and_the_number_of_sessions_can_be_given():
    first, again, other = (fscil_protocol(Y, 4, 2, 3, seed, sessions=2) for seed in (0, 0, 1))
    assert [session.classes for session in first] == [session.classes for session in again]
    assert all(torch.equal(a.rows, b.rows) for a, b in zip(first, again, strict=True))
    assert [session.classes for session in first] != [session.classes for session in other]
    assert len(first) == 3


def test_accuracies_by_hand():
    true, said = torch.tensor([0, 0, 0, 0, 1, 5, 5, 5]), torch.tensor([0, 0, 0, 1, 5, 5, 5, 0])
    found = session_accuracy(true, said, {0, 1}, 2)
    # Base 3 of 5, new 2 of 3.
    assert (found.overall, found.base, found.novel) == pytest.approx((5 / 8, 3 / 5, 2 / 3))
    assert found.harmonic == pytest.approx(2 * (3 / 5) * (2 / 3) / (3 / 5 + 2 / 3))
    assert session_accuracy(true, torch.full((8,), 9), {0, 1}, 2).harmonic == 0


def test_before_any_new_class_there_is_no_accuracy_on_them():
    found = session_accuracy(torch.tensor([0, 1]), torch.tensor([0, 0]), [0, 1], 0)
    assert found.overall == found.base == 0.5
    assert math.isnan(found.novel)
    assert math.isnan(found.harmonic)


def report_of(*overall):
    true = torch.tensor([0] * 10 + [1] * 10)
    rows = []
    for number, right in enumerate(overall):
        said = torch.where(torch.arange(20) < right, true, 7)
        rows.append(session_accuracy(true, said, [0], number))
    return FSCILReport(tuple(rows))


def test_mean_and_drop_by_hand():
    report = report_of(18, 15, 12)
    assert report.average == pytest.approx(0.75)
    assert report.performance_drop == pytest.approx(0.3)
    # In the last session all ten of the base and two of ten new ones.
    assert (report.final.base, report.final.novel) == pytest.approx((1.0, 0.2))
    assert report.table().splitlines()[-3] == "| 2 | 60.0 % | 100.0 % | 20.0 % | 33.3 % |"
    assert "mean over sessions 75.0 %, drop 30.0 %" in report.table()
    line = ablation_table({"all": report}).splitlines()[-1]
    assert line == "| all | 75.0 % | 30.0 % | 60.0 % | 100.0 % | 20.0 % | 33.3 % |"


def test_tricks_are_added_and_left_out_one_by_one():
    added, left_out = tricks_in_order(), tricks_left_out()
    assert len(TRICKS) == len(set(TRICKS)) == 8
    assert [len(tricks) for tricks in added.values()] == list(range(9))
    assert added["+ etf"] == {"supcon", "etf"}
    assert added["+ subnet"] == left_out["all"] == set(TRICKS)
    assert len(left_out) == 9
    assert set(TRICKS) - left_out["without etf"] == {"etf"}
    # A restriction of fine-tuning goes with it.
    assert set(TRICKS) - left_out["without fine-tuning"] == {"fine-tuning", "subnet"}
    assert set(TRICKS) - left_out["without subnet"] == {"subnet"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fscil_protocol(Y, 6, 2, 9, 0), "has 8 images, 9 shots"),
        (lambda: fscil_protocol(Y, 9, 2, 5, 0), "need 11 classes with images, got 10"),
        (lambda: fscil_protocol(Y, 6, 2, 5, 0, sessions=3), "need 12 classes"),
        (lambda: fscil_protocol(Y, 6, 0, 5, 0), "at least 1"),
        (lambda: session_accuracy(torch.tensor([5]), torch.tensor([5]), [0], 1), "no test rows of a base class"),
        (lambda: FSCILReport(()), "no session was evaluated"),
        (lambda: ablation_table({}), "no reports"),
        (lambda: tricks_in_order(("supcon", "eft")), "did you mean 'etf'"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
