"""Tables of scores: wide and long, in every format, and what is refused, by name."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from scorecraft.arena.score_table import read_score_table
from scorecraft.errors import ScorecraftError

WIDE = "model,license,math,code\na,mit,0.5,1\nb,apache,0.7,\nc,mit,0.1,3\n"
LONG = "model,benchmark,score\na,math,0.5\nb,math,0.7\nc,math,0.1\na,code,1\nc,code,3\n"


def write(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [WIDE, LONG])
def test_wide_and_long_are_the_same_table(tmp_path, text):
    found = read_score_table(write(tmp_path, text))
    assert found.models == ("a", "b", "c")
    assert found.benchmarks == ("math", "code")
    assert found.scores[0].tolist() == [0.5, 0.7, 0.1]
    assert np.isnan(found.scores[1, 1])
    assert found.missing == [("code", "b")]
    assert found.items is None
    assert found.left_out == (("license",) if text is WIDE else ())


def test_other_formats(tmp_path):
    rows = [{"model": "a", "math": 0.5, "code": 1}, {"model": "b", "math": 0.7, "code": None}]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    (tmp_path / "n.json").write_text(json.dumps({"a": {"math": 0.5, "code": 1}, "b": {"math": 0.7}}))
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "t.tsv").write_text("model\tmath\tcode\na\t0.5\t1\nb\t0.7\t-\n")
    for name in ("t.json", "n.json", "t.jsonl", "t.parquet", "t.tsv"):
        found = read_score_table(tmp_path / name)
        assert found.models == ("a", "b"), name
        assert found.scores[0].tolist() == [0.5, 0.7], name
        assert found.missing == [("code", "b")], name


def test_items_are_averaged_and_kept(tmp_path):
    text = "model,task,doc_id,acc\n" + "".join(
        f"{m},math,{i},{v}\n" for m, values in (("a", (1, 0, 1)), ("b", (0, 0, 1))) for i, v in enumerate(values)
    )
    found = read_score_table(write(tmp_path, text))
    assert found.items is not None
    assert found.items[0].tolist() == [[1, 0, 1], [0, 0, 1]]
    assert found.scores.tolist() == [[2 / 3, 1 / 3]]


def test_order_chooses_and_lower_turns(tmp_path):
    found = read_score_table(write(tmp_path, WIDE), order=["code", "math"], lower=["math"])
    assert found.benchmarks == ("code", "math")
    assert found.scores[1].tolist() == [-0.5, -0.7, -0.1]
    assert read_score_table(write(tmp_path, WIDE), order=["code"]).scores.shape == (1, 3)


def test_percent_signs_and_the_marks_for_nothing(tmp_path):
    found = read_score_table(write(tmp_path, "name,x,y\na,50%,n/a\nb,60 %,1\n"))
    assert found.scores[0].tolist() == [50, 60]
    assert np.isnan(found.scores[1, 0])


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "empty|no rows|no column"),
        ("model,x\n", {}, "no rows|no columns?|empty"),
        ("model,x\na,1\n", {}, "1 model"),
        ("model,x\na,1\na,2\n", {}, "'a' occurs 2 times"),
        ("model,x\na,1\nb,two\n", {}, "row 2 is 'two'"),
        ("model,x\na,one\nb,two\n", {}, "no column of numbers"),
        ("1,2\n3,4\n5,6\n", {}, "no column of model names"),
        (WIDE, {"order": ["mth"]}, "did you mean 'math'"),
        (WIDE, {"order": ["math", "math"]}, "twice"),
        (WIDE, {"lower": ["cod"]}, "did you mean 'code'"),
        (WIDE, {"model": "modle"}, "did you mean 'model'"),
        (LONG + "a,math,0.6\n", {}, "row 6: model 'a' on benchmark 'math' occurs twice"),
        (LONG + "b,code,x\n", {}, "row 6 is 'x'"),
        ("model,x,x\na,1,2\nb,2,3\n", {}, "twice"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, options, said):
    with pytest.raises(ScorecraftError, match=said):
        read_score_table(write(tmp_path, text), **options)


def test_files_that_are_not_tables(tmp_path):
    with pytest.raises(ScorecraftError, match="list of records"):
        read_score_table(write(tmp_path, "[1, 2]", "t.json"))
    with pytest.raises(ScorecraftError):
        read_score_table(tmp_path / "absent.csv")
    with pytest.raises(ScorecraftError):
        read_score_table(write(tmp_path, "not json", "t.json"))
