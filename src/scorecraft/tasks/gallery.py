"""Descriptions of all registered tasks, with an example of each, for people who choose one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from scorecraft.parts import find, names
from scorecraft.problem import Problem, StepVerdict
from scorecraft.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """A task for people: its name, one sentence, its knobs, and an example.

    knobs: the options a recipe may set, with their defaults; ``...`` where one must be given.
    prompt, gold, steps: the first train problem with its gold completion and the labels of its steps; empty for
        a task that cannot be made without options.
    """

    name: str
    summary: str
    knobs: dict[str, Any] = field(default_factory=dict)
    prompt: str = ""
    gold: str = ""
    steps: tuple[StepVerdict, ...] = ()


def describe() -> list[TaskDescription]:
    """Return a description of every registered task, built in and from other packages, by name."""
    return [describe_task(name) for name in names("task")]


def describe_task(name: str) -> TaskDescription:
    """Return the description of one task; raises `ScorecraftError` for an unknown name."""
    cls = find("task", name)
    summary = (inspect.getdoc(cls) or "").partition("\n")[0]
    knobs = {
        key: ... if info.is_required() else info.get_default(call_default_factory=True)
        for key, info in cls.model_fields.items()
    }
    if any(info.is_required() for info in cls.model_fields.values()) or not issubclass(cls, Task):
        return TaskDescription(name, summary, knobs)
    task = cls()
    problem = task.problem("train", 0)
    return TaskDescription(name, summary, knobs, problem.prompt, problem.gold, tuple(_gold_steps(task, problem)))


def _gold_steps(task: Task, problem: Problem) -> list[StepVerdict]:
    return task.check_steps(problem, problem.gold) if problem.gold else []
