"""Turn matching in a recipe: calls read off real tokens, credit by turn, and the advantage that takes it on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scorecraft.context import Context
from scorecraft.credit.parts.turn_matching import TurnMatching
from scorecraft.credit.written_calls import form_of, golden_calls, read_answer, read_calls
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.objectives.dual_level_part import DualLevel
from scorecraft.problem import Problem
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.sampling.parts import Tools
from scorecraft.scores import RewardTable, Scores
from scorecraft.tasks.calculator import Calculator

GOLD = "[add(2,3)]=5\n[mul(5,2)]=10\n#10"
PROBLEM = Problem("2+3*2=?\n", "10", GOLD)


@pytest.fixture(scope="module")
def policy():
    return Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")


@pytest.fixture
def context(policy):
    return Context(task=Calculator(), generator=torch.Generator().manual_seed(0), policy=policy)


def rollouts_of(policy, make_rollouts, traces, problem=PROBLEM):
    """Rollouts whose texts are pieces, in turn of the policy and of its tool."""
    ids = [[policy.encode(piece) for piece in trace] for trace in traces]
    masks = [
        [sampled for place, piece in enumerate(trace) for sampled in [1 - place % 2] * len(piece)] for trace in ids
    ]
    made = make_rollouts(masks, [0] * len(traces), problems=[problem], texts=["".join(trace) for trace in traces])
    tokens = torch.zeros_like(made.tokens)
    for row, trace in enumerate(ids):
        flat = [token for piece in trace for token in piece]
        tokens[row, : len(flat)] = torch.tensor(flat)
    return replace(made, tokens=tokens)


def rewards_of(values):
    scores = Scores.of(values)
    valid = ~scores.values.isnan()
    return RewardTable(scores.values.nan_to_num(), valid, {"correct": scores})


def of_pieces(returns, trace):
    """The return of every piece of a trace, each the same at all of its characters."""
    found, place = [], 0
    for piece in trace:
        values = returns[place : place + len(piece)].unique().tolist()
        assert len(values) == 1
        found += values
        place += len(piece)
    assert returns[place:].eq(0).all()
    return found


TWICE = ["[add(2,3)]", "=5\n", "[add(2,3)]", "=5\n", "[mul(5,2)]", "=10\n", "#10"]
WRONG = ["[add(2,4)]", "=6\n", "[oops]", "=error: call\n", "#6"]


def test_turns_earn_what_their_calls_are_matched_with(policy, make_rollouts, context):
    rollouts = rollouts_of(policy, make_rollouts, [TWICE, WRONG])
    rewards = rewards_of([1.0, 0.0])
    # Turns of the first: 1, 0 for the repetition, 1, 0 for the answer line; of the second (1 + 1 + 1) / 4, 0, 0.
    found = TurnMatching()(rollouts, rewards, context)
    assert of_pieces(found[0], TWICE) == [2.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    assert of_pieces(found[1], WRONG) == [0.75, 0.0, 0.0, 0.0, 0.0]
    found = TurnMatching(unmatched=-0.5, outcome="correct", outcome_weight=2.0)(rollouts, rewards, context)
    assert of_pieces(found[0], TWICE) == [3.5, 0.0, 2.5, 0.0, 3.0, 0.0, 2.0]
    assert of_pieces(found[1], WRONG) == [0.25, 0.0, -0.5, 0.0, 0.0]
    # Transport: both copies share the golden call's mass, so they earn alike.
    soft = TurnMatching(matching="soft")(rollouts, rewards, context)
    first, _, second, _, third, _, last = of_pieces(soft[0], TWICE)
    assert first - second == pytest.approx(second - third, abs=1e-6)
    assert last == 0.0
    # One reward for all of the trace: names 2/3, 1 + 2 and 1 + 2, of 1 + 3 + 3.
    whole = of_pieces(TurnMatching(matching="toolrl")(rollouts, rewards, context)[0], TWICE)
    assert whole[::2] == pytest.approx([6 * (2 / 3 + 6) / 7 - 3] * 4)


def test_golden_calls_and_answers_in_other_forms(policy, make_rollouts, context):
    listed = Problem(
        "?", "the true answer", metadata={"tool_calls": [{"name": "MUL", "arguments": '{"0": 5, "1": 2}'}]}
    )
    trace = ["[mul(5,2)]", "=10\n", "a <answer>true</answer> [mul(5,2)]"]
    rollouts = rollouts_of(policy, make_rollouts, [trace], listed)
    # The answer's turn earns 2 * 1 / (1 + 3), whatever its call.
    found = of_pieces(TurnMatching()(rollouts, rewards_of([0.0]), context)[0], trace)
    assert found == [1.5, 0.0, 0.5]


def test_a_rollout_without_a_reward_or_tokens_earns_nothing(policy, make_rollouts, context):
    rollouts = rollouts_of(policy, make_rollouts, [TWICE, [], TWICE])
    rewards = rewards_of([1.0, 1.0, None])
    found = TurnMatching()(rollouts, rewards, context)
    assert found[1:].eq(0).all()
    advantages = DualLevel()(found, rollouts, rewards, context)
    assert advantages.keep.tolist() == [True, False, False]
    # Alone in its group: the discounted returns and the sum as they are, 1 + .9 * .9, .9, 1, 0 and 2.
    assert of_pieces(advantages.values[0], TWICE)[::2] == pytest.approx([1.905, 1.45, 1.5, 1.0], abs=1e-5)


def test_the_advantage_takes_turns_apart_again(policy, make_rollouts, context):
    rollouts = rollouts_of(policy, make_rollouts, [TWICE, WRONG])
    rewards = rewards_of([1.0, 0.0])
    returns = TurnMatching()(rollouts, rewards, context)
    found = DualLevel(singleton="zero")(returns, rollouts, rewards, context)
    # D: 1.81, .9, 1, 0 and .75, 0, 0. Two of a kind are sqrt(1/2) apart from their mean; the fourth turn has no other.
    half = 0.5**0.5
    assert of_pieces(found.values[0], TWICE)[::2] == pytest.approx([half, half, half, half / 2], abs=1e-5)
    assert of_pieces(found.values[1], WRONG)[::2] == pytest.approx([-half] * 3, abs=1e-5)
    assert found.values[~rollouts.mask].eq(0).all()


def test_sampled_rollouts_go_all_the_way(policy, context):
    task = context.task
    problems = [task.problem("train", index) for index in range(2)]
    rollouts = Tools(group_size=8, max_new_tokens=96)(policy, problems, context)
    rewards = rewards_of([0.0] * 16)
    returns = TurnMatching(unmatched=-0.5)(rollouts, rewards, context)
    closed = torch.tensor([len(note.get("tool_calls", ())) > 0 for note in rollouts.notes])
    assert closed.any()
    assert returns[~rollouts.mask].eq(0).all()
    found = DualLevel()(returns, rollouts, rewards, context)
    assert torch.isfinite(found.values).all()
    assert found.values[~rollouts.mask].eq(0).all()
    # Writing at random is punished somewhere, and a closing bracket without an opening one is no call.
    calls = torch.tensor([text.count("]") > 0 and "[" in text.partition("]")[0] for text in rollouts.texts])
    assert (returns < 0).any(1).tolist() == calls.tolist()


def test_bad_input_is_named(policy, make_rollouts, context):
    rollouts = rollouts_of(policy, make_rollouts, [TWICE])
    with pytest.raises(ScorecraftError, match="policy's tokenizer"):
        TurnMatching()(rollouts, rewards_of([1.0]), replace(context, policy=None))
    with pytest.raises(ScorecraftError, match="did you mean 'correct'"):
        TurnMatching(outcome="corect")(rollouts, rewards_of([1.0]), context)
    without = rollouts_of(policy, make_rollouts, [TWICE], Problem("?", "10"))
    with pytest.warns(ScorecraftWarning, match="no golden calls"):
        assert TurnMatching()(without, rewards_of([1.0]), context).eq(0).all()
    bad = rollouts_of(policy, make_rollouts, [TWICE], Problem("?", "10", metadata={"tool_calls": [{"name": "t"}]}))
    with pytest.raises(ScorecraftError, match="metadata 'tool_calls' is"):
        TurnMatching()(bad, rewards_of([1.0]), context)


def test_calls_as_they_are_written():
    assert form_of("]") == "brackets"
    assert form_of("</tool_call>") == form_of(None) == "tags"
    assert read_calls("[add(12, -7)] [now()] [f(x=1.5, y=a b)] [nope] [g(007)]", "brackets") == [
        {"name": "add", "arguments": {"0": 12, "1": -7}},
        {"name": "now", "arguments": {}},
        {"name": "f", "arguments": {"x": 1.5, "y": "a b"}},
        {"name": "", "arguments": {}},
        {"name": "g", "arguments": {"0": 7}},
    ]
    tagged = (
        '<tool_call>{"name": "s", "arguments": {"q": [1]}}</tool_call> x <tool_call>\n{"name": "t", "parameters": '
        '{"a": 1}}\n</tool_call><tool_call>{"name": "u"}</tool_call><tool_call>s(</tool_call><tool_call>5</tool_call>'
    )
    assert read_calls(tagged, "tags") == [
        {"name": "s", "arguments": {"q": [1]}},
        {"name": "t", "arguments": {"a": 1}},
        {"name": "u", "arguments": {}},
        {"name": "", "arguments": {}},
        {"name": "", "arguments": {}},
    ]
    assert read_answer("<answer>a</answer> no, <answer>b\nc</answer>") == "b\nc"
    assert read_answer("<answer>a") is None
    # What cannot be read is no golden call, which a call that cannot be read would match.
    assert golden_calls(Problem("?", "1", "[a] [f(1)]"), "brackets") == [{"name": "f", "arguments": {"0": 1}}]


RECIPE = """
task: calculator
sampling: tools
reward: correct
credit: {turn-matching: {outcome: correct}}
advantage: dual-level
"""


def test_in_a_recipe_it_needs_an_advantage_that_keeps_turns_apart():
    assert lint(Recipe.from_yaml(RECIPE)) == []
    (found,) = lint(Recipe.from_yaml(RECIPE.replace("dual-level", "{dual-level: {weight: 0}}")))
    assert found.kind == "lost"
    found = lint(Recipe.from_yaml(RECIPE.replace("dual-level", "group-standardized")))
    assert [finding.kind for finding in found] == ["missing"]
