"""The audit of metrics: its populations, orders by hand, and what must be so whatever comes out."""

import numpy as np
import pytest

from scorecraft.metrics.imbalanced_metrics import Confusion
from scorecraft.studies import imbalanced_metrics as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_the_population_is_as_described():
    rates = np.concatenate([study.population(np.random.default_rng(seed)) for seed in range(50)])
    assert rates.shape == (3000, 2)
    assert rates[:, 0].min() >= 0.3
    assert rates[:, 0].max() <= 0.98
    # Means of uniforms, four deviations of sqrt(width^2 / 12 / 3000).
    assert rates[:, 0].mean() == pytest.approx(0.64, abs=0.015)
    exponents = np.log10(rates[:, 1])
    assert exponents.mean() == pytest.approx(-2.9, abs=0.07)
    assert exponents.min() >= -4.5
    assert exponents.max() <= -1.3


def test_orders_by_hand():
    # F1 of 80/110 = .727, 80/112 = .714 and 40/72 = .556, in steps of .05: 14, 14, 11.
    three = [Confusion(40, 5, 25, 1000), Confusion(40, 28, 4, 1000), Confusion(20, 2, 30, 1000)]
    assert study.order_keys("f1", three) == [2, 1, 0]
    assert study.order_keys("f1-steps", three) == [1, 1, 0]
    # Recalls of .615, .909, .4 make the g-means; precisions are .889, .588, .909.
    assert study.order_keys("f1-then-g", three) == [1, 2, 0]
    assert study.order_keys("g-then-f1", three) == [1, 2, 0]
    assert study.order_keys("f1-then-precision", three) == [2, 1, 0]
    # F2 = 5 TP / (5 TP + 4 FN + FP): 200/305, 200/244, 100/222.
    assert study.order_keys("f2", three) == [1, 2, 0]


def test_the_place_of_f1_is_read_off_the_audit(tmp_path):
    audited = study.correlations(0, "both", study.MODERATE, study.PREVALENCE)
    found = study.find_place(trial(tmp_path, noise="both"))
    for ratio in study.MODERATE:
        own = audited["f1"][ratio]
        ahead = sorted(audited[name][ratio] for name in study.POPULAR if audited[name][ratio] > own)
        # Two or more ahead: the second best is the last but one of them.
        assert found[f"shortfall_{ratio:g}"] == (ahead[-2] - own if len(ahead) > 1 else 0)
        assert found[f"lead_{ratio:g}"] == own - audited["g_mean"][ratio]
    prevalent = study.compare_prevalences(trial(tmp_path, prevalence=study.PREVALENCE))
    assert prevalent["lead"] == pytest.approx(found["lead_20"])


def test_one_metric_at_most_is_best_at_both_ends(tmp_path):
    found = {name: study.compare_metrics(trial(tmp_path, metric=name)) for name in study.POPULAR}
    assert sum(one["worse_end"] > 0 for one in found.values()) <= 1
    audited = study.correlations(0, "both", (1.0, 20.0, 100.0), study.PREVALENCE)
    for name, one in found.items():
        assert [one["ratio_1"], one["ratio_20"], one["ratio_100"]] == pytest.approx(list(audited[name].values()))
    # Without label errors the order of accuracy is that of the number of errors.
    assert study.correlations(0, "clean", (1.0,), study.PREVALENCE)["accuracy"][1] == pytest.approx(1)


def test_the_crossover_is_where_the_curve_changes_sign(tmp_path):
    found = study.find_crossover(trial(tmp_path, noise="both"))
    course, point = found["lead_course"], found["crossover"]
    assert course[0] > 0 > course[-1]
    assert all(lead < 0 for ratio, lead in zip(study.GRID, course, strict=True) if ratio > point)
    assert course[max(place for place, ratio in enumerate(study.GRID) if ratio <= point)] >= 0
    assert found["lead_100"] == course[8]


def test_an_order_of_f1_alone_is_the_audit_of_f1(tmp_path):
    found = study.compare_orders(trial(tmp_path, order="f1", noise="both"))
    audited = study.correlations(0, "both", (5.0, 20.0, 100.0), study.PREVALENCE)
    assert list(found.values()) == pytest.approx([audited["f1"][ratio] for ratio in (5, 20, 100)])
    # Steps lose something and g-mean inside them gives another order.
    steps = study.compare_orders(trial(tmp_path, order="f1-steps", noise="both"))
    assert steps["ratio_20"] != study.compare_orders(trial(tmp_path, order="f1-then-g", noise="both"))["ratio_20"]


def test_the_study_is_fair():
    check_study(study.STUDY)
