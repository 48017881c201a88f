"""Problems of reasoning-gym, scored by the data sets' own scorers.

**The answer** of a completion is what stands in its last ``<answer>...</answer>``. Without such tags it is the
last line that is not blank, or the whole text where the true answer has several lines or is not told (a data
set with many right answers). UNPARSED where that is empty.

**The score** is the data set's own, kept within [0, 1]; many give partial credit, and where a data set brings no
scorer of its own an answer that merely contains the true one earns a share. A scorer that raises gives ERROR,
one that takes too long TIMEOUT, never a silent 0.

Train and test problems have different questions. A problem's metadata is the address of its entry, and the entry
itself where JSON can hold it; otherwise the entry is made again when it is checked, so the installed version of
reasoning-gym matters.
"""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import Field, model_validator

from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Outcome, Problem, Verdict
from scorecraft.tasks.gym_data import DATASET_SIZE, gym_dataset, gym_entry, validate_config
from scorecraft.tasks.gym_scoring import evaluates_answers, gym_score, harmless
from scorecraft.tasks.gym_worker import ScorerError, score_in_worker
from scorecraft.tasks.seeding import split_of, stable_hash
from scorecraft.tasks.task import Split, Task

# Each problem has this many candidates, of which the first in its split is taken (see `draw_for_split`).
CANDIDATES = 256
OPEN, CLOSE = "<answer>", "</answer>"


def tagged_answer(completion: str, *, lines: bool = False) -> str:
    """Return the answer of a completion, empty where there is none.

    Args:
        completion: any text.
        lines: whether an answer without tags is the whole text instead of the last line that is not blank.
    """
    end = completion.rfind(CLOSE)
    start = completion.rfind(OPEN, 0, end) if end >= 0 else -1
    if start >= 0:
        return completion[start + len(OPEN) : end].strip()
    text = completion.strip()
    return text if lines else text.rpartition("\n")[2].strip()


@register("task", "reasoning-gym")
class ReasoningGym(Task):
    """Problems of a reasoning-gym data set, scored by its own scorer.

    dataset: its name, such as "chain_sum"; "composite" mixes several.
    config: its options; ``seed`` and ``size`` are chosen by the task.
    instruction: put after each question on a line of its own; leave it empty for none.
    seconds: time limit of scorers that evaluate the answer as an expression.
    """

    dataset: str
    config: dict[str, Any] = Field(default_factory=dict)
    instruction: str = "Reason step by step, then give the final answer inside <answer> and </answer>."
    seconds: float = Field(10.0, gt=0)

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("reasoning-gym",)

    @model_validator(mode="after")
    def _dataset_and_config_fit(self) -> ReasoningGym:
        validate_config(self.dataset, self.config)
        return self

    def problem(self, split: Split, index: int) -> Problem:
        """Return problem ``index`` of a split; raises where no candidate can be made or falls in the split."""
        chunk, place = divmod(index, DATASET_SIZE // CANDIDATES)
        seed = stable_hash(self.name, self.seed, split, chunk) % 2**31
        address = {"dataset": self.dataset, "config": self.config, "seed": seed}
        trouble = f"none of {CANDIDATES} has a question that falls in the '{split}' split"
        for candidate in range(place * CANDIDATES, (place + 1) * CANDIDATES):
            try:
                entry = gym_dataset(address)[candidate]
            except Exception as error:  # some data sets cannot make every entry
                trouble = f"{type(error).__name__}: {error}"
                continue
            if split_of(entry["question"]) == split:
                return self._problem({**address, "index": candidate}, entry)
        raise ScorecraftError(
            f"reasoning-gym '{self.dataset}': no problem {index} for '{split}' ({trouble}); "
            "allow more different questions in config"
        )

    def _problem(self, address: dict[str, Any], entry: dict[str, Any]) -> Problem:
        if _survives_json(entry):
            address["entry"] = entry
        question = entry["question"]
        prompt = f"{question}\n{self.instruction}" if self.instruction else question
        return Problem(prompt, str(entry["answer"] or ""), metadata=address)

    def check(self, problem: Problem, completion: str) -> Verdict:
        """Return the data set's own score of the completion's answer."""
        true = problem.answer.strip()
        answer = tagged_answer(completion, lines=not true or "\n" in true)
        if not answer:
            return Verdict(0.0, Outcome.UNPARSED)
        try:
            score = self._score(problem, answer)
        except TimeoutError:
            return Verdict(0.0, Outcome.TIMEOUT, answer)
        except Exception:  # a scorer may raise anything; it is counted under its own name
            return Verdict(0.0, Outcome.ERROR, answer)
        return Verdict(min(max(score, 0.0), 1.0), Outcome.SCORED, answer)

    def _score(self, problem: Problem, answer: str) -> float:
        address = problem.metadata
        if not evaluates_answers(address, gym_entry(address)):
            score = gym_score(address, answer)
        elif answer != problem.answer and not harmless(answer):
            return 0.0
        else:
            score = score_in_worker(address, answer, self.seconds)
        if not math.isfinite(score):
            raise ScorerError(f"the score is {score}")
        return score


def _survives_json(entry: dict[str, Any]) -> bool:
    """Return whether an entry comes back from JSON as it was (tuples and keys that are not text do not)."""
    try:
        return json.loads(json.dumps(entry)) == entry
    except (TypeError, ValueError):
        return False
