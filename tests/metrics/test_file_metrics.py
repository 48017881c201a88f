"""A file's metrics are those of its columns, whatever the format, in one pass; two files are compared row by row."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    average_precision,
    brier_decomposition,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    f_beta,
    fpr_at_tpr,
    g_mean,
    log_loss,
    matthews_correlation,
    prediction_file,
    roc_auc,
)
from scorecraft.metrics.balance_score import balance_score
from scorecraft.metrics.file_metrics import Settings, measure_file
from scorecraft.metrics.paired_files import compare_files


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    truth = random.beta(0.8, 1.2, 3000)
    y = (random.random(3000) < truth).astype(int)
    site = random.choice(["north", "south"], 3000)
    p = np.where(site == "south", (truth + 0.15).clip(0, 1), truth).clip(0.001, 0.999)
    return pd.DataFrame({"y": y, "p": p, "q": truth.clip(0.001, 0.999), "site": site, "age": random.normal(40, 9, 3000),
                         "row": np.arange(3000)})  # fmt: skip


def saved(tmp_path, table, name="t.csv"):
    path = tmp_path / name
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=True, double_precision=15)
    return path


def by_name(metrics):
    return {one.name: one for one in metrics}


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_metrics_are_those_of_the_columns(tmp_path, table, name, monkeypatch):
    monkeypatch.setattr(prediction_file, "BLOCK_BYTES", 30_000)
    found = by_name(measure_file(saved(tmp_path, table, name), Settings("y", ["p"])).metrics)
    y, p = table.y.to_numpy(), table.p.to_numpy()
    yes = (p >= 0.5).astype(int)
    parts = brier_decomposition(y, p, n_bins=15)
    expected = {
        "base_rate": y.mean(), "brier": brier_score(y, p), "brier_reliability": parts.reliability,
        "brier_resolution": parts.resolution, "brier_uncertainty": parts.uncertainty, "log_loss": log_loss(y, p),
        "ece": expected_calibration_error(y, p, n_bins=15),
        "ece_equal_mass": expected_calibration_error(y, p, n_bins=15, strategy="quantile"),
        "balance": balance_score(y, p), "auroc": roc_auc(y, p), "aupr": average_precision(y, p),
        "fpr_at_95_tpr": fpr_at_tpr(y, p), "accuracy": (yes == y).mean(), "f1": f_beta(y, yes),
        "g_mean": g_mean(y, yes), "mcc": matthews_correlation(y, yes),
    }  # fmt: skip
    for key, value in expected.items():
        assert found[key].value == pytest.approx(value, abs=1e-9), key
        assert found[key].bound == 0
        if found[key].low is not None:
            assert found[key].low <= value <= found[key].high, key


def test_beyond_the_exact_rows_bounds_are_kept(tmp_path, table):
    path = saved(tmp_path, table)
    exact = measure_file(path, Settings("y", ["p"]))
    counted = measure_file(path, Settings("y", ["p"], exact_rows=100))
    assert exact.exact
    assert not counted.exact
    for one, other in zip(exact.metrics, counted.metrics, strict=True):
        assert one.value is not None
        assert abs(one.value - other.value) <= other.bound + 1e-12, one.name


def test_groups_and_slices_say_where_probabilities_are_wrong(tmp_path, table):
    found = measure_file(saved(tmp_path, table), Settings("y", ["p"], group=["site"]))
    groups = {group.value: group for group in found.groups}
    south = table[table.site == "south"]
    assert groups["south"].rows == len(south)
    assert by_name(groups["south"].metrics)["brier"].value == pytest.approx(brier_score(south.y, south.p))
    assert found.slices[0].value == "south"
    assert found.slices[0].finding == "too high"
    # Numbers are cut into ranges; the number of the row is no measurement.
    assert found.sliced == ("site", "q", "age")
    assert {one.value for one in found.slices if one.column == "site"} == {"north", "south"}
    assert measure_file(saved(tmp_path, table), Settings("y", ["p"], slices=False)).slices == []


def test_classes(tmp_path):
    random = np.random.default_rng(1)
    prob = random.dirichlet([1, 1, 1], 400)
    y = (prob.cumsum(1) < random.random((400, 1))).sum(1)
    table = pd.DataFrame({f"p_{name}": column for name, column in zip("abc", prob.T, strict=True)})
    table["y"] = np.array(list("abc"))[y]
    found = measure_file(saved(tmp_path, table), Settings("y", ["p_*"]))
    values = by_name(found.metrics)
    assert values["brier"].value == pytest.approx(brier_score(y, prob))
    assert values["log_loss"].value == pytest.approx(log_loss(y, prob))
    assert values["accuracy"].value == (prob.argmax(1) == y).mean()
    assert values["ece"].value == pytest.approx(expected_calibration_error(y, prob, n_bins=15))
    assert values["ece_classwise"].value == pytest.approx(classwise_calibration_error(y, prob, n_bins=15))
    area = np.mean([roc_auc(y == k, prob[:, k]) for k in range(3)])
    assert values["auroc_macro"].value == pytest.approx(area)
    from sklearn.metrics import f1_score, matthews_corrcoef

    assert values["f1_macro"].value == pytest.approx(f1_score(y, prob.argmax(1), average="macro"))
    assert values["mcc"].value == pytest.approx(matthews_corrcoef(y, prob.argmax(1)))


@pytest.mark.parametrize(
    ("y", "p", "undefined"),
    [
        ([1], [0.7], {"auroc", "aupr", "fpr_at_95_tpr", "g_mean", "mcc"}),
        ([0, 0, 0], [0.1, 0.2, 0.3], {"auroc", "aupr", "fpr_at_95_tpr", "f1", "g_mean", "mcc"}),
        ([0, 1, 1], [0.4, 0.4, 0.4], {"mcc"}),
    ],
)
def test_what_is_undefined_says_why_and_nothing_is_nan(tmp_path, y, p, undefined):
    found = measure_file(saved(tmp_path, pd.DataFrame({"y": y, "p": p})), Settings("y", ["p"]))
    for one in found.metrics:
        for value in (one.value, one.low, one.high):
            assert value is None or math.isfinite(value), one
        if one.value is None:
            assert one.name in undefined
            assert one.note


def test_a_probability_of_0_of_what_happened_is_told(tmp_path):
    found = by_name(
        measure_file(saved(tmp_path, pd.DataFrame({"y": [1, 1], "p": [0.0, 0.5]})), Settings("y", ["p"])).metrics
    )
    assert found["log_loss"].value == math.inf
    assert found["log_loss"].note == "1 row gave the probability 0 to what happened; the mean of the others is 0.6931"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings("y", ["p"], threshold=2), "threshold"),
        (Settings("y", ["p"], confidence=1), "confidence"),
        (Settings("y", ["p"], group=["sites"]), "no column 'sites'; did you mean 'site'"),
        (Settings("y", ["p"], group=["y"]), "is the label"),
        (Settings("y", ["age"]), "expected a probability in"),
        (Settings("site", ["p"]), "--positive"),
    ],
)
def test_bad_settings_are_told(tmp_path, table, settings, message):
    with pytest.raises(ScorecraftError, match=message):
        measure_file(saved(tmp_path, table), settings)


def test_two_models_are_compared_row_by_row_across_formats_and_batches(tmp_path, table, monkeypatch):
    monkeypatch.setattr(prediction_file, "BATCH_ROWS", 700)
    monkeypatch.setattr(prediction_file, "BLOCK_BYTES", 20_000)
    first, second = saved(tmp_path, table, "a.csv"), saved(tmp_path, table, "b.parquet")
    found = compare_files((first, ["p"]), (second, ["q"]), "y")
    assert found.rows == 3000
    values = {one.name: one for one in found.differences}
    gap = (table.p - table.y) ** 2 - (table.q - table.y) ** 2
    brier = values["brier"]
    assert brier.difference == pytest.approx(gap.mean())
    assert brier.low == pytest.approx(gap.mean() - 1.96076 * gap.std() / math.sqrt(3000), abs=1e-6)
    assert brier.better == "second"
    assert brier.test == "permutation"
    assert values["auroc"].first == pytest.approx(roc_auc(table.y, table.p))
    assert values["accuracy"].better in {"second", ""}


def test_equal_models_do_not_differ(tmp_path, table):
    path = saved(tmp_path, table)
    for one in compare_files((path, ["p"]), (path, ["p"]), "y").differences:
        assert one.difference == 0
        assert one.p_value == 1
        assert one.better == ""


def test_other_rows_are_told(tmp_path, table):
    first = saved(tmp_path, table, "a.csv")
    with pytest.raises(ScorecraftError, match=r"b.csv: 2,999 rows, but .*a.csv has 3,000"):
        compare_files((first, ["p"]), (saved(tmp_path, table[:-1], "b.csv"), ["p"]), "y")
    turned = table.assign(y=[*table.y[:-1], 1 - table.y.iloc[-1]])
    with pytest.raises(ScorecraftError, match="row 3000: its 'y' differs"):
        compare_files((first, ["p"]), (saved(tmp_path, turned, "b.csv"), ["p"]), "y")


def test_losses_without_a_difference_are_told(tmp_path):
    table = pd.DataFrame({"y": [1, 0, 1], "p": [0.0, 0.1, 0.9], "q": [0.5, 0.1, 0.8]})
    path = saved(tmp_path, table)
    values = {one.name: one for one in compare_files((path, ["p"]), (path, ["q"]), "y").differences}
    assert values["log_loss"].difference is None
    assert values["log_loss"].note == "infinite on 1 rows of the first and 0 of the second"
    assert values["auroc"].note  # a single zero has no variance
