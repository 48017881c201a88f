import re

import pytest
import torch

from scorecraft.context import Context
from scorecraft.problem import Outcome, Problem, StepLabel, StepVerdict, Verdict
from scorecraft.tasks.task import Task


@pytest.fixture(scope="session")
def sum_task():
    """A real task of the simplest kind: "2+3" is answered by a line "= 5", other lines are steps "a+b=c"."""
    return SumTask()


@pytest.fixture
def context(sum_task):
    return Context(task=sum_task, generator=torch.Generator().manual_seed(0))


class SumTask(Task):
    def problem(self, split, index):
        return Problem(f"{index}+1", str(index + 1), metadata={"index": index})

    def check(self, problem, completion):
        if "sleep" in completion:
            return Verdict(0.0, Outcome.TIMEOUT)
        found = re.search(r"^= (-?\d+)$", completion, re.MULTILINE)
        if not found:
            return Verdict(0.0, Outcome.UNPARSED)
        return Verdict(float(found[1] == problem.answer), parsed=found[1])

    def check_steps(self, problem, completion):
        steps, seen, start = [], set(), 0
        for index, line in enumerate(part for part in completion.split("\n") if part):
            equation = re.fullmatch(r"(\d+)\+(\d+)=(\d+)", line)
            label = StepLabel.OFF_TOPIC
            if equation:
                right = int(equation[1]) + int(equation[2]) == int(equation[3])
                label = StepLabel.WRONG if not right else StepLabel.REDUNDANT if line in seen else StepLabel.CORRECT
            seen.add(line)
            steps.append(StepVerdict(index, start, start + len(line), line, label))
            start += len(line) + 1
        return steps
