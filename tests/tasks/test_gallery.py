import subprocess
import sys

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.parts import names
from scorecraft.problem import StepLabel
from scorecraft.tasks.gallery import describe, describe_task


def test_every_task_is_described():
    descriptions = {description.name: description for description in describe()}
    assert list(descriptions) == names("task")
    assert {
        "calculator", "chain-arithmetic", "confidence", "jsonl", "multiple-choice", "reasoning-gym", "rubric",
        "second-turn",
    } <= set(descriptions)  # fmt: skip
    for description in descriptions.values():
        assert description.summary.endswith(".")
        assert "seed" in description.knobs
        if description.name != "reasoning-gym":
            assert description.prompt
            assert description.gold
    chain = descriptions["chain-arithmetic"]
    assert (chain.knobs["operations"], chain.knobs["largest"]) == ((2, 4), 20)
    assert {step.label for step in chain.steps} == {StepLabel.CORRECT}
    assert descriptions["reasoning-gym"].knobs["dataset"] is ...
    assert descriptions["reasoning-gym"].knobs["config"] == {}


def test_an_unknown_task():
    with pytest.raises(ScorecraftError, match="did you mean 'calculator'"):
        describe_task("calculater")


def test_heavy_libraries_are_not_imported():
    code = (
        "import sys, scorecraft.tasks.gallery as g; g.describe()\n"
        "assert not {'torch', 'reasoning_gym', 'transformers', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
