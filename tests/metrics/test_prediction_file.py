"""Files of predictions are read batch by batch, alike in every format, and every complaint names file and row."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import prediction_file
from scorecraft.metrics.file_metrics import Settings, measure_file
from scorecraft.metrics.prediction_columns import (
    BinaryLabels,
    Categories,
    ClassLabels,
    find_probabilities,
    numbers,
    probabilities,
)
from scorecraft.metrics.prediction_file import open_predictions

TABLE = pd.DataFrame({"y": [1, 0, 1], "p": [0.25, 0.5, 1.0], "site": ["a", "b", "ä, b"]})


def write(path, table=TABLE):
    kind = path.suffix
    if kind == ".parquet":
        table.to_parquet(path, row_group_size=2)
    elif kind in (".csv", ".tsv"):
        table.to_csv(path, index=False, sep="\t" if kind == ".tsv" else ",")
    else:
        table.to_json(path, orient="records", lines=True)
    return path


def read(path, columns):
    return [batch.to_pydict() for batch in open_predictions(path).batches(columns)]


def column(path, name):
    file = open_predictions(path)
    return np.concatenate([numbers(batch.column(name), path, name, 1) for batch in file.batches([name])])


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".tsv", ".jsonl", ".ndjson"])
def test_every_format_gives_the_same(tmp_path, ending):
    path = write(tmp_path / f"t{ending}")
    file = open_predictions(path)
    assert file.names == ("y", "p", "site")
    assert file.rows == (3 if ending == ".parquet" else None)
    assert column(path, "p").tolist() == [0.25, 0.5, 1.0]
    sites = [value for batch in read(path, ["site"]) for value in batch["site"]]
    assert sites == ["a", "b", "ä, b"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_large_files_come_in_batches_and_say_how_far_they_are(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(prediction_file, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(prediction_file, "BATCH_ROWS", 100)
    table = pd.DataFrame({"y": np.arange(2000) % 2, "p": np.arange(2000) / 2000})
    path = write(tmp_path / f"t{ending}", table)
    told = []
    batches = list(open_predictions(path).batches(["p"], lambda done, total: told.append((done, total))))
    assert len(batches) >= 5
    assert np.concatenate([numbers(batch.column("p"), path, "p", 1) for batch in batches]).tolist() == table.p.tolist()
    assert told[-1][0] <= told[-1][1]


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"p": 1}\n\n  \n{"p": 2}')
    assert column(path, "p").tolist() == [1, 2]


def test_json_whose_types_change_is_read_row_by_row(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"y": 1, "p": 0.5}\n' * 30000 + '{"y": "no", "p": 1}\n{"y": true, "p": NaN}\n')
    values = [value for batch in read(path, ["y"]) for value in batch["y"]]
    assert [str(value) for value in values[-2:]] == ["no", "true"]
    with pytest.raises(ScorecraftError, match="'p' is nan"):
        column(path, "p")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "the file is empty"),
        ("t.csv", b"y,p\n", "no rows"),
        ("t.parquet", b"nonsense", "not a Parquet file"),
        ("t.xlsx", b"x", "unknown kind of file"),
        ("t.jsonl", b"[1]\n", "row 1: expected an object, got list"),
        ("t.jsonl", b'{"p": 1}\n{"p": \n', "row 2: not JSON"),
        ("t.jsonl", b"\n \n", "no rows"),
        ("t.csv", b"y,p\n1,2,3\n", "Expected 2 columns, got 3"),
        ("t.csv", b"y,\xff\n1,2\n", "UTF-8"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ScorecraftError, match=message) as error:
        measure_file(path, Settings("y", ["p"]))
    assert str(path) in str(error.value)


def test_columns_that_are_not_there_or_there_twice_are_told(tmp_path):
    path = write(tmp_path / "t.csv")
    with pytest.raises(ScorecraftError, match="no column 'q'; known: p, site, y"):
        list(open_predictions(path).batches(["q"]))
    path.write_text("p,p\n1,2\n")
    with pytest.raises(ScorecraftError, match="several columns are called 'p'"):
        list(open_predictions(path).batches(["p"]))
    with pytest.raises(ScorecraftError, match="no such file"):
        open_predictions(tmp_path / "none.csv")


def test_a_sample_of_a_parquet_file_is_of_all_of_it(tmp_path):
    table = pd.DataFrame({"p": np.arange(8000)})
    path = tmp_path / "t.parquet"
    table.to_parquet(path, row_group_size=100)
    seen = np.concatenate([batch.column("p").to_numpy() for batch in open_predictions(path).sample(["p"])])
    assert seen.min() == 0
    assert seen.max() >= 7000


CLASSES = pd.DataFrame({"y": ["cat", "dog"], "p_cat": [0.9, 0.2], "p_dog": [0.1, 0.8], "q": [0.1, 0.2]})


@pytest.mark.parametrize("wanted", [["p_*"], ["p_cat", "p_dog"]])
def test_classes_are_found_from_patterns_and_names(tmp_path, wanted):
    file = open_predictions(write(tmp_path / "t.csv", CLASSES))
    found = find_probabilities(file, wanted, "y")
    assert found == (("p_cat", "p_dog"), ("cat", "dog"))
    labels = ClassLabels(file.path, "y", found)
    (batch,) = file.batches(["y", *found.columns])
    assert labels.decode(batch.column("y"), 1).tolist() == [0, 1]
    assert probabilities(batch, found.columns, file.path, 1).tolist() == [[0.9, 0.1], [0.2, 0.8]]


def test_numbered_classes(tmp_path):
    table = pd.DataFrame({"y": [10.0, 2], "p10": [1, 0], "p2": [0, 1]})
    file = open_predictions(write(tmp_path / "t.csv", table))
    found = find_probabilities(file, ["p*"], "y")
    assert found.classes == ("10", "2")
    (batch,) = file.batches(["y"])
    assert ClassLabels(file.path, "y", found).decode(batch.column("y"), 1).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["r_*"], "no column matches 'r_\\*'"),
        (["p_cat", "p_cat"], "named twice"),
        (["p_*", "y"], "named twice"),
        (["nothing"], "no column 'nothing'"),
    ],
)
def test_bad_columns_of_probabilities_are_told(tmp_path, wanted, message):
    file = open_predictions(write(tmp_path / "t.csv", CLASSES))
    with pytest.raises(ScorecraftError, match=message):
        find_probabilities(file, wanted, "y")


def decoded(tmp_path, values, positive=None):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"y": value}) + "\n" for value in values))
    labels = BinaryLabels(path, "y", positive)
    (batch,) = open_predictions(path).batches(["y"])
    found = labels.decode(batch.column("y"), 11).tolist()
    labels.finish()
    return found


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        ([1, 0, 1], None, [True, False, True]),
        ([1.0, 0.0], None, [True, False]),
        ([True, False], None, [True, False]),
        (["true", "0"], None, [True, False]),
        (["yes", "no"], "yes", [True, False]),
        ([1, 2], "2", [False, True]),
        ([1, 1], None, [True, True]),
    ],
)
def test_labels_of_two_kinds(tmp_path, values, positive, expected):
    assert decoded(tmp_path, values, positive) == expected


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        ([0, 1, 2], None, "row 13: 'y' is '2'; expected 0 and 1"),
        ([0, None], None, "row 12: 'y' is empty"),
        (["a", "b", "c"], "a", "a third value"),
        (["a", "a"], "d", "no row of 'y' is 'd'"),
    ],
)
def test_bad_labels_are_told(tmp_path, values, positive, message):
    with pytest.raises(ScorecraftError, match=message):
        decoded(tmp_path, values, positive)


def test_an_unknown_class_is_told(tmp_path):
    file = open_predictions(write(tmp_path / "t.csv", CLASSES.assign(y=["cat", "cow"])))
    found = find_probabilities(file, ["p_*"], "y")
    (batch,) = file.batches(["y"])
    with pytest.raises(ScorecraftError, match="row 2: 'y' is 'cow', which no column of probabilities is of"):
        ClassLabels(file.path, "y", found).decode(batch.column("y"), 1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"p": [0.5, 1.2]}, "row 6: 'p' is 1.2; expected a probability in"),
        ({"p": [0.5, None]}, "row 6: 'p' is empty"),
        ({"p": [0.5, "x"]}, "row 6: 'p' is 'x'; expected a number"),
        ({"p": ["inf", "0"]}, "row 5: 'p' is inf"),
        ({"p": [0.5, 0.5], "q": [0.5, 0.4]}, "row 6: the 2 probabilities sum to 0.9; expected 1"),
    ],
)
def test_bad_probabilities_are_told(tmp_path, table, message):
    path = write(tmp_path / "t.csv", pd.DataFrame(table))
    columns = tuple(table)
    (batch,) = open_predictions(path).batches(columns)
    with pytest.raises(ScorecraftError, match=message):
        probabilities(batch, columns, path, 5)


def test_categories_are_numbered_as_they_come_and_merged_when_many(tmp_path):
    path = write(tmp_path / "t.jsonl", pd.DataFrame({"g": ["b", "a", None, "c", "b"]}))
    (batch,) = open_predictions(path).batches(["g"])
    few, merged, strict = Categories(path, "g"), Categories(path, "g", 2, merge=True), Categories(path, "g", 2)
    assert few.decode(batch.column("g")).tolist() == [0, 1, 2, 3, 0]
    assert few.names == ["b", "a", "(empty)", "c"]
    assert merged.decode(batch.column("g")).tolist() == [0, 1, 2, 2, 0]
    assert merged.names[2] == "(other values)"
    with pytest.raises(ScorecraftError, match="more than 2 values"):
        strict.decode(batch.column("g"))
