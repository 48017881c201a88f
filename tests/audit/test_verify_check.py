"""A second verifier over a file: disagreements, error rates by hand, and the recipe that corrects for them."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from scorecraft.audit.answer_rows import AnswerRow, Columns, read_answer_rows
from scorecraft.audit.verify_check import (
    Judged,
    Verifier,
    advice,
    as_data,
    check_verifiers,
    correctable,
    rates,
    snippet,
)
from scorecraft.cli.main import app, run
from scorecraft.errors import ScorecraftError
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.transforms.noise_correction import NoiseCorrection
from scorecraft.rewards.verify import Options
from scorecraft.stats.intervals import wilson_interval

# The answer's value, not its letters, decides the labels; in row 5 the label itself is wrong.
ROWS = [
    {"completion": r"\boxed{0.5}", "answer": r"\frac{1}{2}", "label": True, "source": "a"},
    {"completion": r"\boxed{42}", "answer": "42", "label": 1, "source": "a"},
    {"completion": r"\boxed{41}", "answer": "42", "label": "wrong", "source": "a"},
    {"completion": "I do not know it.", "answer": "42", "label": "false", "source": "b"},
    {"completion": r"\boxed{7}", "answer": "7", "label": False, "source": "b"},
    {"completion": "#### 1,000", "answer": "1000", "label": "correct", "source": "b"},
    {"completion": r"\boxed{8}", "answer": "9", "label": None, "source": "b"},
]


def write(path, rows=ROWS):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        plain = [{**row, "label": None if row["label"] is None else str(row["label"])} for row in rows]
        pq.write_table(pa.Table.from_pylist(plain), str(path))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, suffix):
    rows = read_answer_rows(write(tmp_path / f"answers{suffix}"), Columns(by="source"))
    assert [row.completion for row in rows] == [row["completion"] for row in ROWS]
    assert [row.answer for row in rows] == [row["answer"] for row in ROWS]
    assert [row.label for row in rows] == [True, True, False, False, False, True, None]
    assert [row.by for row in rows] == ["a"] * 3 + ["b"] * 4
    assert [row.number for row in rows] == list(range(1, 8))


def test_columns_may_be_named_and_completions_be_conversations(tmp_path):
    row = {"said": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "#### 5"}], "truth": 5}
    (found,) = read_answer_rows(write(tmp_path / "x.jsonl", [row]), Columns("said", "truth"))
    assert (found.completion, found.answer, found.label) == ("#### 5", "5", None)


@pytest.mark.parametrize(
    ("name", "text", "columns", "said"),
    [
        ("x.jsonl", None, Columns(), "no such file"),
        ("x.jsonl", "", Columns(), "no rows"),
        ("x.txt", "{}", Columns(), "unknown kind of file '.txt'"),
        ("x.jsonl", "{", Columns(), "line 1: not JSON"),
        ("x.jsonl", "[1]", Columns(), "expected an object, got list"),
        ("x.jsonl", '{"a": 1}', Columns(), "name it with --completion-column"),
        ("x.jsonl", '{"completion": "x"}', Columns(), "name it with --answer-column"),
        ("x.jsonl", '{"completion": "x", "answer": "y"}', Columns(label="labels"), "no column 'labels'"),
        ("x.jsonl", '{"completion": null, "answer": "y"}', Columns(), "row 1: column 'completion': expected a text"),
        ("x.jsonl", '{"completion": "x", "answer": "y", "label": "maybe"}', Columns(), "expected true or false"),
        ("x.parquet", "no", Columns(), "not a Parquet file"),
    ],
)
def test_bad_files_are_named(tmp_path, name, text, columns, said):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ScorecraftError, match=said):
        read_answer_rows(tmp_path / name, columns)


def rows_of(dicts=ROWS):
    labels = [True, True, False, False, False, True, None]
    return [
        AnswerRow(place + 1, row["completion"], row["answer"], label, row["source"])
        for place, (row, label) in enumerate(zip(dicts, labels, strict=True))
    ]


def test_disagreements_and_rates_by_hand():
    check = check_verifiers(rows_of(), by="source")
    # Letter by letter, 0.5 is not \frac{1}{2} and 1,000 is not 1000.
    assert [one.accepts for one in check.first.judged] == [False, True, False, False, True, False, False]
    assert [one.accepts for one in check.second.judged] == [True, True, False, False, True, True, False]
    assert check.disagreements() == [0, 5]
    # Of three right answers two are refused, of three wrong ones (by label) one is accepted.
    assert check.first.rates.false_negative == wilson_interval(2, 3)
    assert check.first.rates.false_positive == wilson_interval(1, 3)
    assert check.second.rates.false_negative == wilson_interval(0, 3)
    assert check.second.rates.false_positive == wilson_interval(1, 3)
    assert (check.labelled, check.first.accepted, check.second.accepted) == (6, 2, 4)
    assert check.first.judged[3].said == "unparsed: no answer found"
    # In source a: one of two right ones refused, the wrong one refused. In b: one right, two wrong.
    assert check.first.by["a"].false_negative == wilson_interval(1, 2)
    assert check.second.by["b"].false_positive == wilson_interval(1, 2)


def test_no_verdict_is_in_no_rate():
    rows = rows_of()[:3]
    found = rates(rows, [Judged(None, "timeout"), Judged(True, ""), Judged(False, "")])
    assert (found.false_negative, found.right_rows) == (wilson_interval(0, 1), 1)
    verifier = Verifier("v", "v", (Judged(None, ""), Judged(True, "")), found)
    assert (verifier.accepted, verifier.failed) == (1, 1)


def test_a_recipes_reward_is_the_first_verifier():
    recipe = Recipe.from_yaml("task: jsonl\nreward: {correct: {weight: 0.5, transforms: [{scale: {factor: 9}}]}}\n")
    check = check_verifiers(rows_of(), recipe=recipe)
    assert check.first.name == "reward 'correct'"
    # The task compares numbers by value, but reads no LaTeX; the weight and the transforms are not the verifier's.
    assert [one.accepts for one in check.first.judged] == [False, True, False, False, True, True, False]


def test_which_reward_must_be_clear():
    recipe = Recipe.from_yaml("task: jsonl\nreward: {correct: {}, format: {}}\n")
    with pytest.raises(ScorecraftError, match="correct, format; say which"):
        check_verifiers(rows_of(), recipe=recipe)
    assert check_verifiers(rows_of(), recipe=recipe, reward="format").first.name == "reward 'format'"
    with pytest.raises(ScorecraftError, match="no reward 'other'"):
        check_verifiers(rows_of(), recipe=recipe, reward="other")
    compares = Recipe.from_yaml("task: jsonl\nreward: {adaptive-length: {}}\n")
    with pytest.raises(ScorecraftError, match="no verifier of one answer"):
        check_verifiers(rows_of(), recipe=compares)


def verifier(wrong, accepted_wrong, right, refused_right, **more):
    labels = [False] * wrong + [True] * right
    rows = [AnswerRow(place, "", "", label) for place, label in enumerate(labels)]
    accepts = [place < accepted_wrong for place in range(wrong)] + [place >= refused_right for place in range(right)]
    judged = tuple(Judged(accept, "") for accept in accepts)
    return Verifier("reward 'mine'", "mine", judged, rates(rows, judged), **more)


def test_the_recipe_corrects_for_the_rates():
    found = verifier(200, 10, 100, 20)
    recipe = Recipe.from_yaml("task: jsonl\n" + snippet(found).replace("mine:", "correct:"))
    (transform,) = recipe.reward["correct"].transforms
    assert isinstance(transform, NoiseCorrection)
    assert (transform.kind, transform.false_positive, transform.false_negative) == ("backward", 0.05, 0.2)


def test_rates_by_group_stand_in_the_recipe():
    groups = {
        "easy": verifier(10, 1, 10, 2).rates,
        "no": verifier(10, 0, 10, 5).rates,
        "x": verifier(10, 1, 0, 0).rates,
    }
    found = verifier(20, 1, 20, 7, by=groups)
    recipe = Recipe.from_yaml("task: jsonl\n" + snippet(found, "source").replace("mine:", "correct:"))
    (transform,) = recipe.reward["correct"].transforms
    assert isinstance(transform, NoiseCorrection)
    # The third group has no right answers, so it keeps the common rates.
    assert (transform.by, transform.rates) == ("source", {"easy": (0.1, 0.2), "no": (0.0, 0.5)})


def test_advice_where_there_is_nothing_to_correct():
    assert "nothing to correct" in advice(verifier(10, 0, 10, 0))
    assert "no row is labelled as right" in advice(verifier(10, 1, 0, 0))
    hopeless = verifier(10, 6, 10, 4)
    assert not correctable(hopeless.rates)
    assert "no correction helps" in advice(hopeless)
    assert [snippet(one) for one in (verifier(10, 0, 10, 0), verifier(10, 1, 0, 0), hopeless)] == [""] * 3


def test_progress_goes_to_the_end():
    seen = []
    check_verifiers(rows_of(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(7, 14), (14, 14)]


def test_options_reach_the_second_verifier():
    rows = [AnswerRow(1, r"\boxed{3.1}", "3.2")]
    assert check_verifiers(rows, Options(absolute=0.2)).second.judged[0].accepts is True
    assert check_verifiers(rows).second.judged[0].accepts is False


def test_everything_is_in_the_data():
    data = as_data(check_verifiers(rows_of()))
    assert (data["rows"], data["labelled"], len(data["disagreements"])) == (7, 6, 2)
    assert data["disagreements"][0]["row"] == 1
    assert data["disagreements"][0]["verify"] == {"accepts": True, "said": "0.5"}
    assert [one["name"] for one in data["verifiers"]] == ["exact string", "verify"]
    assert json.loads(json.dumps(data)) == data


def test_the_command_prints_a_table_and_the_recipe(tmp_path):
    file = write(tmp_path / "answers.jsonl")
    done = CliRunner().invoke(app, ["verify-check", str(file), "--by", "source"])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "The two disagree on 2 of 7 rows." in text
    assert "7 rows, 6 labelled (3 right, 3 wrong)" in text
    assert "false_positive: 0.3333" in text
    assert "source = a" in text


def test_the_command_writes_json_and_takes_a_recipe(tmp_path):
    file = write(tmp_path / "answers.csv")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("reward: {correct: {}}\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["verify-check", str(file), "--recipe", str(recipe), "--json"])
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["verifiers"][0]["name"] == "reward 'correct'"
    assert data["file"] == str(file)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "code"], "--kind: expected one of auto"),
        (["--reward", "correct"], "give the recipe with --recipe"),
        (["--recipe", "nowhere"], "no recipe 'nowhere'"),
        (["--label-column", "truth"], "no column 'truth'"),
    ],
)
def test_mistakes_on_the_command_line_are_named(tmp_path, arguments, said, capsys):
    file = write(tmp_path / "answers.jsonl")
    with pytest.raises(SystemExit) as stopped:
        run(["verify-check", str(file), *arguments])
    assert stopped.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
