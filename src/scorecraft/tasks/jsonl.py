"""Question files: one JSON object a line with a question and its answer, such as GSM8K's.

The true answer is what follows ``####`` or stands in ``\\boxed{}`` in the answer field, else the whole field.
How a completion's answer is found and compared is told in `scorecraft.tasks.numbers`.

The test problems are the ``test_fraction`` of the different questions whose hashes are smallest, or all of
``test_path``; no train problem has the question of a test problem. Train problems repeat in a new order each
epoch; test problems keep the order of the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Outcome, Problem, Verdict
from scorecraft.tasks.numbers import final_answer, read_number, same_answer
from scorecraft.tasks.seeding import stable_hash, stable_random
from scorecraft.tasks.task import Split, Task

EXAMPLE = "example"
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One row of a question file: its line number, the question, and the answer field."""

    line: int
    question: str
    answer: str


def read_rows(path: Path, question: str, answer: str, *, skip_bad_rows: bool = False) -> list[QuestionRow]:
    """Read a question file; blank lines do not count.

    Args:
        path: a JSON Lines file in UTF-8.
        question: name of the field with the question, a text.
        answer: name of the field with the answer, a text or a number.
        skip_bad_rows: leave out rows that cannot be read.

    Raises:
        ScorecraftError: where the file cannot be read, has bad rows (the first five are named), or no good one.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise ScorecraftError(
            f"{path}: cannot be read ({error.strerror}); expected a JSON Lines file, or '{EXAMPLE}' for our own"
        ) from error
    rows: list[QuestionRow] = []
    bad: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = _read_row(number, line, question, answer)
            if isinstance(row, QuestionRow):
                rows.append(row)
            else:
                bad.append(f"{path}:{number}: {row}")
    if bad and not skip_bad_rows:
        more = f"\n... and {len(bad) - MOST_SHOWN} more" if len(bad) > MOST_SHOWN else ""
        raise ScorecraftError(
            "\n".join(bad[:MOST_SHOWN]) + more + "\nmend these rows, or set skip_bad_rows: true to leave them out"
        )
    if not rows:
        why = f"all {len(bad)} rows are bad, the first: {bad[0]}" if bad else "the file is empty"
        raise ScorecraftError(f"{path}: no questions, {why}; expected rows like {_sample(question, answer)}")
    return rows


def _read_row(number: int, line: bytes, question: str, answer: str) -> QuestionRow | str:
    """Return the row, or what is wrong with it."""
    try:
        row: Any = json.loads(line.decode(), parse_constant=_refuse)
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    if not isinstance(row, dict):
        return f"expected an object like {_sample(question, answer)}, got {type(row).__name__}"
    return _row_of_fields(number, row, question, answer)


def _row_of_fields(number: int, row: dict[str, Any], question: str, answer: str) -> QuestionRow | str:
    for field in (question, answer):
        if field not in row:
            return f"no field '{field}'; this row has {', '.join(map(repr, row)) or 'none'}"
    asked, told = row[question], row[answer]
    if not isinstance(asked, str) or not asked.strip():
        return f"field '{question}': expected a text that is not empty, got {asked!r:.60}"
    if isinstance(told, bool) or not isinstance(told, str | int | float) or not str(told).strip():
        return f"field '{answer}': expected a text that is not empty or a number, got {told!r:.60}"
    return QuestionRow(number, asked, str(told))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


def _sample(question: str, answer: str) -> str:
    return json.dumps({question: "How many ...?", answer: "First ... #### 42"})


def hold_out(rows: Sequence[QuestionRow], fraction: float) -> tuple[list[QuestionRow], list[QuestionRow]]:
    """Split rows into train and test by a hash of the question, equal questions together.

    Of the different questions the nearest whole number to ``fraction`` is held out, but one at least unless
    ``fraction`` is 0, and never all.
    """
    questions = sorted({row.question for row in rows}, key=lambda text: stable_hash("question", text))
    count = min(max(round(fraction * len(questions)), 1), len(questions) - 1) if fraction else 0
    held = set(questions[:count])
    return [row for row in rows if row.question not in held], [row for row in rows if row.question in held]


@lru_cache(maxsize=8)
def _epoch_order(seed: int, epoch: int, count: int) -> tuple[int, ...]:
    order = list(range(count))
    stable_random("jsonl", seed, "epoch", epoch).shuffle(order)
    return tuple(order)


@register("task", "jsonl")
class JsonLines(Task):
    """Questions from a JSON Lines file, with answers as in GSM8K (``#### 42``), as numbers or as text.

    path: the file; "example" is a built-in one with simple word problems.
    question, answer: the names of the fields.
    test_path: a file of test problems; without it ``test_fraction`` of the questions is held out.
    instruction: put after each question on a line of its own; leave it empty for none.
    skip_bad_rows: leave out rows that cannot be read instead of stopping.
    """

    path: str = EXAMPLE
    question: str = "question"
    answer: str = "answer"
    test_path: str | None = None
    test_fraction: float = Field(0.125, ge=0.0, lt=1.0)
    instruction: str = "Reason step by step, then give the final answer on a last line that begins with '#### '."
    skip_bad_rows: bool = False

    @cached_property
    def _rows(self) -> dict[Split, list[QuestionRow]]:
        rows = self._read(self.path)
        if self.test_path is None:
            train, test = hold_out(rows, self.test_fraction)
            return {"train": train, "test": test}
        test = self._read(self.test_path)
        held = {row.question for row in test}
        train = [row for row in rows if row.question not in held]
        if not train:
            raise ScorecraftError(f"{self.path}: every question is also in {self.test_path}, none is left to train on")
        return {"train": train, "test": test}

    def _read(self, path: str) -> list[QuestionRow]:
        built_in = Path(__file__).parent / "data" / "example_questions.jsonl"
        file = built_in if path == EXAMPLE else Path(path).expanduser()
        return read_rows(file, self.question, self.answer, skip_bad_rows=self.skip_bad_rows)

    @property
    def test_size(self) -> int:
        """Number of test problems."""
        return len(self._rows["test"])

    def problem(self, split: Split, index: int) -> Problem:
        """Return problem ``index`` of a split; raises beyond the last test problem."""
        rows = self._rows[split]
        if split == "train":
            epoch, place = divmod(index, len(rows))
            return self._problem(rows[_epoch_order(self.seed, epoch, len(rows))[place]])
        if not 0 <= index < len(rows):
            raise ScorecraftError(
                f"task 'jsonl': test problem {index} was asked for, but there are {len(rows)}; "
                "ask for fewer, raise test_fraction or give a larger test_path"
            )
        return self._problem(rows[index])

    def _problem(self, row: QuestionRow) -> Problem:
        prompt = f"{row.question}\n{self.instruction}" if self.instruction else row.question
        marked = final_answer(row.answer, numeric=False)
        answer = row.answer.strip() if marked is None else marked
        return Problem(prompt, answer, row.answer if marked is not None else "", {"line": row.line})

    def check(self, problem: Problem, completion: str) -> Verdict:
        """Return whether the completion's final answer is the true one; UNPARSED where none can be read."""
        given = final_answer(completion, numeric=read_number(problem.answer) is not None)
        same = None if given is None else same_answer(given, problem.answer)
        if same is None:
            return Verdict(0.0, Outcome.UNPARSED, given)
        return Verdict(float(same), Outcome.SCORED, given)
