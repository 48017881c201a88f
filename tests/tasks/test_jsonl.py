import json
import re
from fractions import Fraction

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.tasks.jsonl import JsonLines


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def rows(count):
    return [{"question": f"What is {n}+1?", "answer": f"It is {n}+1.\n#### {n + 1}"} for n in range(count)]


def test_gsm8k_format(tmp_path):
    task = JsonLines(path=write(tmp_path / "a.jsonl", rows(10)), test_fraction=0.0, instruction="Answer after ####.")
    problem = next(p for p in task.problems("train", 0, 10) if p.answer == "4")
    assert problem.prompt == "What is 3+1?\nAnswer after ####."
    assert problem.gold == "It is 3+1.\n#### 4"
    assert problem.metadata == {"line": 4}
    for completion, score, outcome in [
        ("well\n#### 4", 1.0, Outcome.SCORED),
        ("#### 4.0 of them", 1.0, Outcome.SCORED),
        (r"\boxed{4}", 1.0, Outcome.SCORED),
        ("3 and one more make 4.", 1.0, Outcome.SCORED),
        ("#### 5", 0.0, Outcome.SCORED),
        ("#### three plus one", 0.0, Outcome.UNPARSED),
        ("no idea", 0.0, Outcome.UNPARSED),
        ("", 0.0, Outcome.UNPARSED),
    ]:
        verdict = task.check(problem, completion)
        assert (verdict.score, verdict.outcome) == (score, outcome), completion


def test_other_fields_and_plain_answers(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"q": "2*21?", "a": 42}, {"q": "Capital?", "a": "Paris"}])
    task = JsonLines(path=path, question="q", answer="a", test_fraction=0.0, instruction="")
    number, text = sorted(task.problems("train", 0, 2), key=lambda problem: problem.answer)
    assert (number.prompt, number.answer, number.gold) == ("2*21?", "42", "")
    assert task.check(number, "it is 42").correct
    assert task.check(text, "#### paris").correct
    # Without a mark a text is not guessed from free text.
    assert task.check(text, "It is Paris").outcome is Outcome.UNPARSED


def test_held_out_questions(tmp_path):
    many = rows(40) + rows(5)
    task = JsonLines(path=write(tmp_path / "a.jsonl", many), test_fraction=0.25)
    test = {p.prompt for p in task.problems("test", 0, task.test_size)}
    train = {p.prompt for p in task.problems("train", 0, len(many) - task.test_size)}
    assert len(test) == 10  # a quarter of the 40 different ones; repeated questions stay together
    assert len(train) == 30
    assert not test & train
    with pytest.raises(ScorecraftError, match=f"test problem {task.test_size} was asked for"):
        task.problem("test", task.test_size)


def test_a_test_file_and_its_overlap(tmp_path):
    train, test = write(tmp_path / "train.jsonl", rows(10)), write(tmp_path / "test.jsonl", rows(4))
    task = JsonLines(path=train, test_path=test)
    assert task.test_size == 4
    assert sorted(int(p.answer) for p in task.problems("train", 0, 6)) == [5, 6, 7, 8, 9, 10]
    with pytest.raises(ScorecraftError, match="none is left to train on"):
        JsonLines(path=test, test_path=train).problem("train", 0)


def test_each_epoch_has_every_row_in_a_new_order(tmp_path):
    path = write(tmp_path / "a.jsonl", rows(30))
    task = JsonLines(path=path, test_fraction=0.0)
    epochs = [[p.answer for p in task.problems("train", 30 * epoch, 30)] for epoch in range(3)]
    assert all(sorted(epoch, key=int) == [str(n) for n in range(1, 31)] for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    again = JsonLines(path=path, test_fraction=0.0)
    assert [again.problem("train", 30 + index).answer for index in reversed(range(30))] == epochs[1][::-1]
    assert [p.answer for p in JsonLines(path=path, test_fraction=0.0, seed=1).problems("train", 0, 30)] != epochs[0]


BAD = [
    (b"{not json}", "not JSON"),
    (b'{"question": "a", "answer": NaN}', "NaN is no JSON value"),
    (b"[1, 2]", "got list"),
    (b'{"question": "a"}', "no field 'answer'; this row has 'question'"),
    (b'{"question": 3, "answer": "4"}', "field 'question': expected a text"),
    (b'{"question": "a", "answer": null}', "field 'answer': expected a text"),
    (b'{"question": "a", "answer": true}', "field 'answer': expected a text"),
    (b'{"question": " ", "answer": "4"}', "field 'question': expected a text"),
    (b'{"question": "\xff", "answer": "4"}', "not UTF-8"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_rows_are_named_by_line(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\n{"question": "a", "answer": "1"}\n' + line + b"\n")
    with pytest.raises(ScorecraftError) as error:
        JsonLines(path=str(path)).problem("train", 0)
    assert f"{path}:3: " in str(error.value)
    assert message in str(error.value)
    task = JsonLines(path=str(path), skip_bad_rows=True, test_fraction=0.0)
    assert task.problem("train", 0).answer == "1"


def test_only_five_bad_rows_are_shown(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(line for line, _ in BAD))
    with pytest.raises(ScorecraftError) as error:
        JsonLines(path=str(path)).problem("train", 0)
    assert re.findall(r"jsonl:(\d+):", str(error.value)) == ["1", "2", "3", "4", "5"]
    assert "and 4 more" in str(error.value)
    with pytest.raises(ScorecraftError, match="all 9 rows are bad"):
        JsonLines(path=str(path), skip_bad_rows=True).problem("train", 0)


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(ScorecraftError, match="the file is empty"):
        JsonLines(path=str(tmp_path / "empty.jsonl")).problem("train", 0)
    with pytest.raises(ScorecraftError, match="No such file"):
        JsonLines(path=str(tmp_path / "none.jsonl")).problem("train", 0)


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"question": "a", "answer": "1"}\r\n{"question": "b", "answer": "2"}\r\n')
    task = JsonLines(path=str(path), test_fraction=0.0)
    assert {p.answer for p in task.problems("train", 0, 2)} == {"1", "2"}


def test_the_built_in_example():
    task = JsonLines()
    assert task.test_size == 5  # an eighth of 40
    problems = task.problems("train", 0, 35) + task.problems("test", 0, 5)
    assert len({p.prompt for p in problems}) == 40
    for problem in problems:
        assert task.check(problem, problem.gold).correct
        sums = re.findall(r"<<([0-9.+*/-]+)=(-?[0-9.]+)>>", problem.gold)
        for left, right in sums:
            exact = eval(re.sub(r"([0-9.]+)", r"Fraction('\1')", left))
            assert exact == Fraction(right), problem.gold
        assert Fraction(sums[-1][1]) == Fraction(problem.answer.replace(",", "")), problem.gold
