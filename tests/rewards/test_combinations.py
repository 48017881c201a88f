"""The gate and the lexicographic order: totals by hand, who stays out, and what no order of rollouts changes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import find
from scorecraft.problem import Outcome
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.gate import gated_sum
from scorecraft.rewards.lexicographic import lexicographic_rank
from scorecraft.rewards.parts.basic import Brevity, Correct, Format, Steps
from scorecraft.scores import Scores

NAN = float("nan")
CONTEXT = Context(None, torch.Generator())


def failed(*values):
    return Scores(torch.tensor(values), tuple(Outcome.TIMEOUT if math.isnan(v) else Outcome.SCORED for v in values))


def combined(name, parts, make_rollouts, group=None, **options):
    rows = len(next(iter(parts.values()))[1].outcomes)
    return find("combination", name)(**options)(parts, make_rollouts([[1]] * rows, group), CONTEXT)


# The gate


def test_the_others_count_only_behind_an_open_gate():
    parts = {
        "correct": (Correct(weight=5.0), Scores.of([1.0, 0.0, 1.0, 0.99])),
        "brevity": (Brevity(weight=0.5), Scores.of([-0.4, -0.4, 0.0, 1.0])),
        "steps": (Steps(weight=2.0), Scores.of([0.5, 1.0, None, 1.0])),
    }
    # -.2 + 1 = .8; shut; 0; shut.
    assert gated_sum(parts, "correct").total.tolist() == pytest.approx([0.8, 0.0, 0.0, 0.0])
    shut = gated_sum(parts, "correct", floor=-1.0)
    assert shut.total.tolist() == pytest.approx([0.8, -1.0, 0.0, -1.0])
    assert shut.valid.all()
    half = gated_sum(parts, "correct", threshold=0.5)
    assert half.total.tolist() == pytest.approx([0.8, 0.0, 0.0, 2.5])
    assert list(shut.parts) == ["correct", "brevity", "steps"]


def test_a_gate_that_only_logs_still_decides():
    parts = {"format": (Format(weight=0.0), Scores.of([1.0, 0.0])), "steps": (Steps(), Scores.of([0.5, 0.5]))}
    assert gated_sum(parts, "format").total.tolist() == [0.5, 0.0]


def test_who_has_no_total_behind_a_gate():
    parts = {
        # open, shut, open, shut, abstains, failed, open, shut
        "correct": (Correct(), failed(1.0, 0.0, 1.0, 0.0, 1.0, NAN, 1.0, 0.0)),
        "steps": (Steps(), Scores.of([0.5, 0.5, None, None, 0.5, 0.5, 0.5, 0.5])),
        "brevity": (Brevity(), failed(-0.5, -0.5, -0.5, -0.5, -0.5, -0.5, NAN, NAN)),
    }
    parts["correct"] = (Correct(), _abstaining(parts["correct"][1], 4))
    table = gated_sum(parts, "correct", floor=-2.0)
    assert table.valid.tolist() == [True, True, True, True, False, False, False, False]
    assert table.total.tolist() == [0.0, -2.0, -0.5, -2.0, 0.0, 0.0, 0.0, 0.0]


def _abstaining(scores, row):
    values, outcomes = scores.values.clone(), list(scores.outcomes)
    values[row], outcomes[row] = NAN, Outcome.ABSTAINED
    return Scores(values, tuple(outcomes))


def test_nothing_behind_an_open_gate_is_no_total_but_the_floor_is():
    parts = {"correct": (Correct(), Scores.of([1.0, 0.0])), "steps": (Steps(), Scores.of([None, None]))}
    assert gated_sum(parts, "correct", floor=-1.0).valid.tolist() == [False, True]


@given(
    st.lists(st.tuples(st.floats(0, 1, width=16), st.floats(-2, 2, width=16)), min_size=1, max_size=8),
    st.floats(-3, 3, width=16),
)
def test_a_gated_total_is_the_floor_or_the_plain_sum(rows, floor):
    gate, value = ([row[place] for row in rows] for place in (0, 1))
    parts = {"correct": (Correct(), Scores.of(gate)), "brevity": (Brevity(weight=2.0), Scores.of(value))}
    total = gated_sum(parts, "correct", threshold=0.5, floor=floor).total.tolist()
    assert total == pytest.approx([2 * v if g >= 0.5 else floor for g, v in rows])


def test_gates_that_cannot_be(make_rollouts):
    parts = {"correct": (Correct(), Scores.of([1.0])), "brevity": (Brevity(weight=0.0), Scores.of([0.0]))}
    with pytest.raises(ScorecraftError, match="'corect' is no reward of this recipe; did you mean 'correct'"):
        combined("gate", parts, make_rollouts, gate="corect")
    with pytest.raises(ScorecraftError, match="behind 'correct' there is no reward with a weight"):
        combined("gate", parts, make_rollouts, gate="correct")
    parts["steps"] = (Steps(), Scores.of([0.0, 1.0]))
    with pytest.raises(ScorecraftError, match="different numbers of rollouts"):
        combined("gate", parts, make_rollouts, gate="correct")
    for options in ({}, {"gate": ""}, {"gate": "correct", "threshold": NAN}):
        with pytest.raises(ValidationError):
            find("combination", "gate")(**options)


def test_a_gate_in_a_recipe_and_what_lint_says_of_it(make_rollouts):
    recipe = Recipe(
        reward={"correct": {"weight": 0.0}, "steps": {}}, combination={"gate": {"gate": "correct", "threshold": 0.5}}
    )
    assert Recipe.from_yaml(recipe.to_yaml()).combination == recipe.combination
    assert recipe.combination.scope == "rollout"
    (finding,) = [f for f in lint(recipe) if "combination 'gate'" in f.where]
    assert finding.where == ("reward 'steps'", "combination 'gate'")
    assert "whose 'correct' is below 0.5 earns 0, however its other rewards differ" in finding.text


def test_effect_partial_credit_is_gone_behind_a_shut_gate(make_rollouts):
    parts = {"correct": (Correct(), Scores.of([0.0, 0.0])), "steps": (Steps(), Scores.of([0.75, 0.0]))}
    shut = combined("gate", parts, make_rollouts, gate="correct")
    assert float(shut.total[0] - shut.total[1]) == 0.0
    plain = combined("weighted-sum", parts, make_rollouts)
    assert float(plain.total[0] - plain.total[1]) == 0.75


# The lexicographic order


def ranks(values, group=None, tolerances=None):
    table = torch.tensor(values, dtype=torch.float32)
    groups = torch.tensor(group or [0] * table.shape[1], dtype=torch.int64)
    return lexicographic_rank(table, groups, tolerances).tolist()


def test_the_second_decides_only_where_the_first_is_equal():
    # (1, .2) > (1, .1) > (0, .9) = (0, .9) > (0, .5): worse ones 4, 3, 1.5, 1.5, 0 of 4.
    found = ranks([[1, 0, 1, 0, 0], [0.1, 0.9, 0.2, 0.5, 0.9]])
    assert found == pytest.approx([0.75, 0.375, 1.0, 0.0, 0.375])


def test_groups_are_ranked_apart_and_one_alone_is_in_the_middle():
    # Group 7: 1 beats 0; group 3: three, two of them tied at the top (2 and 1.5 tied: mean .75); group 1: alone.
    found = ranks([[1, 5, 0, 5, 9, 4]], [7, 3, 7, 3, 1, 3])
    assert found == pytest.approx([1.0, 0.75, 0.0, 0.75, 0.5, 0.0])


def test_a_tolerance_counts_from_the_best_of_a_level():
    # From .9 down, within .1: {.9, .85, .8}, then {.75}, although .75 is within .1 of .8.
    assert ranks([[0.75, 0.8, 0.9, 0.85]], tolerances=[0.1]) == pytest.approx([0.0, 2 / 3, 2 / 3, 2 / 3])
    # .3 - .2 is not quite .1 in floating point, and is within it all the same.
    assert ranks([[0.3, 0.2]], tolerances=[0.1]) == [0.5, 0.5]
    assert ranks([[0.3, 0.2]]) == [1.0, 0.0]


def test_levels_are_made_anew_among_the_equal():
    # By the first: {0, 1} above {2, 3}. By the second, within .1: rows 0 and 1 differ by .15, rows 2 and 3 do not.
    assert ranks([[1, 1, 0, 0], [0.5, 0.35, 0.4, 0.35]], tolerances=[0.0, 0.1]) == pytest.approx(
        [1.0, 2 / 3, 1 / 6, 1 / 6]
    )


def test_what_has_no_value_is_out_of_the_ranking():
    found = ranks([[1, NAN, 0, 1], [0, 1, 0, NAN]])
    assert found == pytest.approx([1.0, NAN, 0.0, NAN], nan_ok=True)
    assert ranks([[NAN, NAN]]) == pytest.approx([NAN, NAN], nan_ok=True)
    assert ranks([[]]) == []


tables = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0, NAN]), st.sampled_from([0.0, 0.25, 1.0])),
    min_size=1,
    max_size=10,
)


@given(tables, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.5]))
def test_ranks_follow_the_rollouts_wherever_they_stand(rows, random, tolerance):
    def of(table):
        group, *columns = zip(*table, strict=True)
        return ranks(columns, list(group), [tolerance, 0.0])

    order = list(range(len(rows)))
    random.shuffle(order)
    found, moved = of(rows), of([rows[place] for place in order])
    assert moved == pytest.approx([found[place] for place in order], nan_ok=True)


@given(tables)
def test_ranks_lie_between_0_and_1_with_mean_one_half_and_agree_with_tuples(rows):
    group, *columns = zip(*rows, strict=True)
    found = ranks(columns, list(group))
    for prompt in set(group):
        mine = [(row[1:], rank) for row, rank in zip(rows, found, strict=True) if row[0] == prompt]
        ranked = [(pair, rank) for pair, rank in mine if not math.isnan(pair[0])]
        assert all(math.isnan(rank) for pair, rank in mine if math.isnan(pair[0]))
        if ranked:
            assert sum(rank for _, rank in ranked) / len(ranked) == pytest.approx(0.5)
        for pair, rank in ranked:
            assert 0 <= rank <= 1
            assert all((rank > other) == (pair > better) for better, other in ranked)


@given(st.lists(st.floats(-4, 4, width=16), min_size=2, max_size=6))
def test_a_rising_map_of_the_rewards_changes_no_rank(values):
    assert ranks([values]) == ranks([[3 * value + 1 for value in values]])


@pytest.mark.parametrize("tolerances", [[0.1, 0.1], [-0.1], [math.inf], [NAN]])
def test_tolerances_that_cannot_be(tolerances):
    with pytest.raises(ScorecraftError, match="expected 1 tolerances of at least 0"):
        ranks([[1.0]], tolerances=tolerances)
    with pytest.raises(ScorecraftError, match="at least one criterion"):
        lexicographic_rank(torch.zeros(0, 2), torch.tensor([0, 0]))


def order_of(parts, make_rollouts, **options):
    return combined("lexicographic", parts, make_rollouts, **options)


def test_the_part_ranks_by_its_order_and_the_sign_of_weights(make_rollouts):
    parts = {
        "brevity": (Brevity(weight=-0.1), Scores.of([3.0, 1.0, 1.0, 9.0])),
        "correct": (Correct(), Scores.of([1.0, 1.0, 0.0, None])),
        "format": (Format(weight=0.0), failed(NAN, 1.0, 1.0, 1.0)),
    }
    table = order_of(parts, make_rollouts, order=["correct", "brevity"])
    assert table.total.tolist() == [0.5, 1.0, 0.0, 0.0]
    assert table.valid.tolist() == [True, True, True, False]
    table = order_of(parts, make_rollouts, order=["correct", "brevity"], tolerances={"correct": 1.0})
    assert table.total.tolist() == [0.0, 0.75, 0.75, 0.0]


def test_what_failed_moves_nobodys_rank(make_rollouts):
    parts = {
        "correct": (Correct(), failed(1.0, 0.5, 0.0)),
        "brevity": (Brevity(), failed(0.0, NAN, 0.0)),
    }
    table = order_of(parts, make_rollouts, order=["correct", "brevity"])
    assert table.valid.tolist() == [True, False, True]
    assert table.total.tolist() == [1.0, 0.0, 0.0]


def test_orders_that_cannot_be(make_rollouts):
    parts = {
        "correct": (Correct(), Scores.of([1.0])),
        "brevity": (Brevity(), Scores.of([0.0])),
        "format": (Format(weight=0.0), Scores.of([0.0])),
    }
    for order, said in (
        (["correct", "brevty"], "'brevty' is no reward of this recipe; did you mean 'brevity'"),
        (["correct"], "'brevity' has a weight, but no place in order"),
        (["correct", "brevity", "format"], "'format' has weight 0"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            order_of(parts, make_rollouts, order=order)
    for options, said in (
        ({"order": []}, "at least 1"),
        ({"order": ["a", "a"]}, "stands in it twice"),
        ({"order": ["brevity"], "tolerances": {"brevty": 0.1}}, "did you mean 'brevity'"),
        ({"order": ["a"], "tolerances": {"a": -1.0}}, "greater than or equal to 0"),
    ):
        with pytest.raises(ValidationError, match=said):
            find("combination", "lexicographic")(**options)


def test_an_order_in_a_recipe_and_what_lint_says_of_it():
    order = {"lexicographic": {"order": ["correct", "brevity"], "tolerances": {"brevity": 0.1}}}
    rewards = {"brevity": {"weight": 0.1}, "correct": {}}
    recipe = Recipe(reward=rewards, combination=order)
    assert Recipe.from_yaml(recipe.to_yaml()).combination == recipe.combination
    assert recipe.combination.scope == "group"
    (finding,) = [f for f in lint(recipe) if "combination 'lexicographic'" in f.where]
    assert (
        finding.text == "its weight 0.1 says how much it counts, but only the order of the rewards in a group is left"
    )
    alone = Recipe(reward=rewards, combination=order, sampling={"single-turn": {"group_size": 1}})
    assert any(f.kind == "missing" and f.where == ("combination 'lexicographic'",) for f in lint(alone))


def test_effect_weights_change_no_rank(make_rollouts):
    for weight in (0.1, 10.0):
        parts = {
            "correct": (Correct(), Scores.of([0.0, 1.0])),
            "brevity": (Brevity(weight=weight), Scores.of([0.0, -1.0])),
        }
        assert order_of(parts, make_rollouts, order=["correct", "brevity"]).total.tolist() == [0.0, 1.0]
