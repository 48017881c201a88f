"""The digits with random labels: which rows are which, what every arm trains on, and that ratios are read off."""

import pytest
import torch

from scorecraft.distill.fusion_ratios import fixed_ratio
from scorecraft.studies import fashion_mnist
from scorecraft.studies import trilateral_distillation as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 3, "smoke", tmp_path, lambda done, total: None)


def test_only_training_labels_are_wrong():
    data = study.digits(0, 0.3)
    assert data.x.shape == (1797, 64)
    assert (data.train, data.held) == (600, 300)
    assert 0 <= float(data.x.min()) < float(data.x.max()) <= 1
    assert torch.equal(data.y[600:], data.right[600:])
    # 180 labels are drawn from ten classes, so about 162 are wrong: within four deviations of sqrt(180 * .9 * .1).
    assert abs(int(data.wrong.sum()) - 162) < 17
    assert torch.equal(data.wrong, data.y[:600] != data.right[:600])
    assert not study.digits(0, 0.0).wrong.any()


def test_seeds_differ_and_repeat():
    first, again, other = (study.digits(seed, 0.3) for seed in (0, 0, 1))
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.y, other.y)


def test_imbalanced_digits_have_80_rows_of_one_class_and_8_of_another():
    data = study.imbalanced_digits(0)
    counts = sorted(torch.bincount(data.right[: data.train]).tolist())
    assert (counts[0], counts[-1], sum(counts)) == (8, 80, data.train)
    assert torch.equal(data.y, data.right)
    # Every digit once, and none of the others is rare.
    assert len(data.x) == 1797
    assert torch.bincount(data.right[data.train : data.train + data.held]).min() > 10
    assert torch.bincount(study.imbalanced_digits(1).right[: data.train]).tolist() != counts


def test_garments_are_trained_and_tested_on_apart(monkeypatch):
    monkeypatch.setenv("SCORECRAFT_FASHION_MNIST", "generated")
    data = study.garments(0, 0.3, "smoke")
    assert data.x.shape == (360, 784)
    assert (data.train, data.held) == (200, 60)
    test = {image.tobytes() for image in fashion_mnist.generated("test").images}
    rows = [row.mul(255).round().byte().numpy().tobytes() for row in data.x]
    assert not test & set(rows[:260])
    assert set(rows[260:]) <= test
    assert 30 < data.wrong.sum() < 70


def test_held_out_rows_are_trained_on_only_where_asked(tmp_path):
    data = study.digits(0, 0.3)
    teacher = study.net(64, 256, 0)
    apart = study.distilled(data, teacher, fixed_ratio(0.5), trial(tmp_path))
    both = study.distilled(data, teacher, fixed_ratio(0.5), trial(tmp_path), held=True)
    assert len(apart.history.ratios[0]) == 600
    assert len(both.history.ratios[0]) == 900


def test_the_chosen_ratio_is_the_best_on_held_out_rows(tmp_path):
    data = study.digits(0, 0.3)
    held = slice(600, 900)
    teacher = study.trained_teacher(data, trial(tmp_path))
    alpha, trainer = study.by_held_out(data, teacher, trial(tmp_path))
    scores = {
        each: study.distilled(data, teacher, fixed_ratio(each), trial(tmp_path)).score(data.x[held], data.right[held])
        for each in study.GRID
    }
    assert scores[alpha] == max(scores.values()) == trainer.score(data.x[held], data.right[held])


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        ({"fusion": "0.9"}, 0.9, 0.9),
        ({"fusion": "annealed"}, 0.0, 1.0),
        ({"fusion": "grid", "refit": True}, 0.0, 0.9),
        ({"fusion": "scalar", "noise": 0.0}, 0.2, 0.8),
        ({"fusion": "vertices+edges", "data": "imbalanced"}, 0.0, 1.0),
        ({"fusion": "0.2", "data": "garments"}, 0.2, 0.2),
        ({"fusion": "vertices+edges", "compat": "published-code"}, 0.3, 0.7),
    ],
)
def test_every_kind_of_arm_runs(tmp_path, settings, low, high):
    found = study.run(trial(tmp_path, **settings))
    assert {metric.name for metric in study.METRICS} <= set(found)
    assert low - 1e-6 <= found["wrong"] <= high + 1e-6
    assert 0 <= found["accuracy"] <= 1
    assert len(found["wrong_course"]) == len(found["right_course"]) == study.EPOCHS["smoke"]


def test_the_study_is_fair():
    check_study(study.STUDY)
