"""Rollouts from elsewhere, credited by several methods: returns by hand, formats, the command and its page."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from scorecraft.cli.main import app
from scorecraft.errors import ScorecraftError
from scorecraft.explaining import explain
from scorecraft.explaining.characters import Texts
from scorecraft.explaining.credits import credit_of, credits_of
from scorecraft.explaining.explain import write_page
from scorecraft.recipes.recipe import Recipe
from scorecraft.segmentation import steps_of_tokens

CHAIN = json.dumps({"operands": [[2], [3], [4]], "operators": "++"})
RECIPE = {"task": "chain-arithmetic", "reward": {"correct": {}, "steps": {"weight": 0}}}
# The first step is wrong, the second right by what the first says.
ROWS = [
    {"prompt": "2+3+4=?\n", "completion": "2+3=5\n5+4=9\n#9", "answer": "9", "metadata": CHAIN},
    {"prompt": "2+3+4=?\n", "completion": "2+3=6\n6+4=10\n#10", "answer": "9", "metadata": CHAIN},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_returns_by_hand(tmp_path):
    file = write(tmp_path / "rows.jsonl", ROWS)
    credits = credits_of(["outcome", "reward-to-go: {form: min}"])
    found = explain(file, credits, Recipe(**RECIPE))
    assert found.units == "characters"
    right, wrong = found.steps(0), found.steps(1)
    assert [text for text, _ in right] == ["2+3=5\n", "5+4=9\n", "#9"]
    # Three right steps earn a third each; the wrong first one earns 0, and the minimum from it on is 0.
    outcome, least = "outcome", "reward-to-go (form min)"
    assert [means[outcome] for _, means in right] == [1.0, 1.0, 1.0]
    assert [means[least] for _, means in right] == pytest.approx([1 / 3] * 3)
    assert [means[outcome] for _, means in wrong] == [0.0, 0.0, 0.0]
    assert wrong[0][1][least] == 0.0
    assert wrong[1][1][least] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "rows",
    [
        [{"step": 1, "prompt": row["prompt"], "completion": row["completion"], "advantage": 0.0,
          "answer": row["answer"]} for row in ROWS],
        [{"input": row["prompt"], "output": row["completion"], "gts": row["answer"]} for row in ROWS],
        [{"messages": [{"role": "user", "content": row["prompt"]},
                       {"role": "assistant", "content": row["completion"]}], "answer": row["answer"]} for row in ROWS],
    ],
    ids=["trl", "verl", "messages"],
)  # fmt: skip
def test_files_of_other_trainers(rows, tmp_path):
    recipe = Recipe(task="jsonl", reward="verify")
    found = explain(write(tmp_path / "rows.jsonl", rows), credits_of(["outcome"]), recipe)
    assert found.rollouts.texts == tuple(row["completion"] for row in ROWS)
    assert found.returns["outcome"].amax(1).tolist() == [1.0, 0.0]
    assert found.rollouts.group.tolist() == [0, 0]


def test_tokens_of_a_tokenizer_keep_their_text_and_steps():
    from scorecraft.lm.tunnel import tunnel_tokenizer

    for tokenizer in (None, tunnel_tokenizer()):
        texts = Texts(tokenizer)
        tokens = texts.tokens("1+2=3\n3")
        assert "".join("1+2=3\n3"[start:end] for _, start, end in tokens) == "1+2=3\n3"
        assert texts.decode([token for token, _, _ in tokens]) == "1+2=3\n3"
        places = [(start, end) for _, start, end in tokens]
        assert steps_of_tokens([(0, 5), (6, 7)], places) == [0] * 6 + [1]


def test_steps_may_be_found_in_another_way(tmp_path):
    rows = [{"prompt": "p", "completion": "One is 1. Two is 3. So 4.", "answer": "4"}]
    recipe = Recipe(task="jsonl", reward="verify")
    file = write(tmp_path / "rows.jsonl", rows)
    found = explain(file, credits_of(["outcome"]), recipe, steps="sentence")
    assert [text.strip() for text, _ in found.steps(0)] == ["One is 1.", "Two is 3.", "So 4."]
    with pytest.raises(ScorecraftError, match="paragraph"):
        explain(file, credits_of(["outcome"]), recipe, steps="paragraph")


def test_credits_by_name_paper_and_options():
    assert credit_of("min-form-credit")[1] == credit_of("min-form")[1]
    label, part = credit_of("{min-form: {form: sum}}")
    assert (label, part.form) == ("min-form (form sum)", "sum")
    for text, said in (
        ("minform", "did you mean 'min-form'"),
        ("min-form: {form: median}", "form"),
        ("[a, b]", "expected a name"),
        ("{a", "neither a name nor YAML"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            credit_of(text)
    with pytest.raises(ScorecraftError, match="named twice"):
        credits_of(["outcome", "outcome"])


def test_what_asks_the_policy_is_refused(tmp_path):
    file = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(ScorecraftError, match="reads what the policy computed"):
        explain(file, credits_of(["generalized-advantage"]), Recipe(**RECIPE))
    with pytest.raises(ScorecraftError, match="needs one reward with step rewards"):
        explain(file, credits_of(["min-form"]), Recipe(task="jsonl", reward="verify"))
    with pytest.raises(ScorecraftError, match=r"no row could be read: .*1"):
        explain(write(tmp_path / "bad.jsonl", [{"completion": 5}]), credits_of(["outcome"]), Recipe(**RECIPE))


def test_with_a_policy_methods_that_ask_it_work(tmp_path):
    from scorecraft.lm.policy import resolve_policy

    recipe = Recipe(task="chain-arithmetic", reward={"correct": {}, "continuation-value": {"weight": 0, "samples": 4}})
    policy = resolve_policy("tunnel-tiny", {}, recipe.task)
    file = write(tmp_path / "rows.jsonl", ROWS)
    found = explain(file, credits_of(["stepwise-reward", "generalized-advantage"]), recipe, policy=policy)
    assert found.units == "tokens"
    assert (found.rollouts.logprobs[found.rollouts.mask] < 0).all()
    # After the wrong step the right answer is out of reach; the values of the right trace stay high.
    values = found.rewards.parts["continuation-value"].steps
    assert float(values[0].mean()) > float(values[1].mean())


def test_a_page_of_an_earlier_call_is_renewed_and_nothing_else(tmp_path):
    recipe = Recipe(**RECIPE)
    found = explain(write(tmp_path / "rows.jsonl", ROWS), credits_of(["outcome", "min-form"]), recipe)
    out = tmp_path / "page"
    first = write_page(found, recipe, out, "rows").read_text()
    assert write_page(found, recipe, out, "rows").read_text() == first
    other = tmp_path / "mine"
    other.mkdir()
    (other / "precious.txt").write_text("x")
    with pytest.raises(ScorecraftError, match="holds other files"):
        write_page(found, recipe, other, "rows")
    assert (other / "precious.txt").read_text() == "x"


def test_the_command(tmp_path):
    file = write(tmp_path / "rows.jsonl", ROWS)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(json.dumps(RECIPE))
    arguments = ["explain", str(file), "--recipe", str(recipe), "--credit", "min-form", "--credit", "outcome"]
    done = CliRunner().invoke(app, [*arguments, "--row", "2"])
    assert done.exit_code == 0, done.output
    assert "rollout 2 of 2, reward 0" in done.output
    assert "difference" in done.output
    assert (tmp_path / "rows.jsonl.explained/report.html").is_file()
    done = CliRunner().invoke(app, [*arguments, "--json"])
    rows = json.loads(done.stdout)
    assert [step["outcome"] for step in rows[0]["steps"]] == [1.0, 1.0, 1.0]
    with pytest.raises(ScorecraftError, match="there are 2 rollouts"):
        CliRunner().invoke(app, [*arguments, "--row", "3"], catch_exceptions=False)
