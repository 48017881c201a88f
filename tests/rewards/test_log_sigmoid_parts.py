"""The transform log-sigmoid and the combinations all-of and any-of."""

from __future__ import annotations

import json
import math

import pytest
import torch
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.objectives.parts import GroupStandardized
from scorecraft.problem import Outcome
from scorecraft.rewards.combinations.all_of import AllOf, AnyOf
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.transforms.log_sigmoid import LogSigmoid
from scorecraft.scores import RewardTable, Scores

NAN, HALF, TWO = float("nan"), -0.693147, -0.126928  # log sigmoid of 0 and of 2


def scores(*values):
    outcomes = tuple(Outcome.ABSTAINED if math.isnan(value) else Outcome.SCORED for value in values)
    return Scores(torch.tensor(values), outcomes)


def context(step=0, **more):
    return Context(None, torch.Generator(), step=step, **more)


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), equal_nan=True)


@pytest.fixture
def rollouts(make_rollouts):
    return make_rollouts([[1]] * 5, [0, 0, 1, 1, 1])


def test_a_constant_reference_by_hand(rollouts):
    found = LogSigmoid(reference="constant", value=1.0)(scores(1.0, 3.0, NAN, -1.0, 1.0), rollouts, context())
    close(found.values, [HALF, TWO, NAN, -2.126928, HALF])
    close(found.metrics["reference"], [1.0, 1.0, NAN, 1.0, 1.0])
    assert found.outcomes[2] is Outcome.ABSTAINED
    assert LogSigmoid(reference="constant").state() == {}


def test_the_reference_of_a_prompt_is_that_of_its_rewards_so_far(rollouts):
    part = LogSigmoid(reference="mean")
    found = part(scores(0.0, 4.0, NAN, -2.0, -4.0), rollouts, context())
    # Means 2 and -3.
    close(found.metrics["reference"], [2.0, 2.0, NAN, -3.0, -3.0])
    close(found.values, [-2.126928, TWO, NAN, -0.313262, -1.313262])
    # The same prompts again: means (0 + 4 + 5 + 7) / 4 and (-2 - 4 + 0 + 0 + 1) / 5.
    found = part(scores(5.0, 7.0, 0.0, 0.0, 1.0), rollouts, context(1))
    close(found.metrics["reference"], [4.0, 4.0, -1.0, -1.0, -1.0])


@pytest.mark.parametrize(("kind", "expected"), [("gaussian-quantile", 2 + 2 * 1.0364334), ("quantile", 0.85 * 4)])
def test_quantiles_of_a_group_by_hand(kind, expected, rollouts):
    found = LogSigmoid(reference=kind)(scores(0.0, 4.0, 1.0, 1.0, 1.0), rollouts, context())
    close(found.metrics["reference"][:2], [expected] * 2)


def test_after_the_base_steps_references_stay(rollouts, make_rollouts):
    part = LogSigmoid(reference="mean", base_steps=2)
    part(scores(0.0, 4.0, 8.0, 8.0, 8.0), rollouts, context(1))
    found = part(scores(100.0, 100.0, 8.0, 8.0, 8.0), rollouts, context(2))
    close(found.metrics["reference"], [2.0, 2.0, 8.0, 8.0, 8.0])
    # A prompt that was not there: the mean of 2 and 8.
    more = make_rollouts([[1]] * 2, [0, 2])
    with pytest.warns(ScorecraftWarning, match="mean of the other prompts'"):
        close(part(scores(1.0, 1.0), more, context(2)).metrics["reference"], [2.0, 5.0])
    strict = LogSigmoid(reference="mean", base_steps=2, fallback=None)
    strict(scores(0.0, 4.0, 8.0, 8.0, 8.0), rollouts, context(0))
    with pytest.raises(ScorecraftError, match="nothing was fitted"):
        strict(scores(1.0, 1.0), more, context(2))


def test_a_single_sample_has_no_quantile(make_rollouts):
    with pytest.raises(ScorecraftError, match="nothing was fitted"):
        LogSigmoid()(scores(1.0), make_rollouts([[1]]), context())
    with pytest.warns(ScorecraftWarning, match="mean of the other"):
        found = LogSigmoid(reference="quantile")(scores(1.0, 1.0, 7.0), make_rollouts([[1]] * 3, [0, 0, 1]), context())
    close(found.metrics["reference"], [1.0, 1.0, 1.0])


def test_workers_share_their_samples(make_rollouts):
    # Both workers have the same prompt; the other one has rewards 10 and 14.
    def gather(values):
        other = values if values.dtype == torch.int64 else torch.tensor([10.0, 14.0])
        return torch.cat((values, other)), slice(0, 2)

    found = LogSigmoid(reference="mean")(scores(0.0, 4.0), make_rollouts([[1]] * 2), context(gather=gather))
    close(found.metrics["reference"], [7.0, 7.0])


def test_the_state_goes_on_exactly(rollouts):
    whole = LogSigmoid()
    whole(scores(0.0, 4.0, NAN, -2.0, -4.0), rollouts, context())
    other = LogSigmoid()
    other.restore(json.loads(json.dumps(whole.state())))
    following = scores(1.0, 2.0, 3.0, 4.0, 5.0)
    for step in (1, 10):
        ours, theirs = (part(following, rollouts, context(step)).values for part in (whole, other))
        assert ours.equal(theirs)
    assert other.state() == whole.state()
    other.restore({})
    assert other.state() == {}
    with pytest.raises(ScorecraftError, match="nothing was fitted"):
        other(following, rollouts, context(10))


def test_an_empty_batch_and_one_without_values(make_rollouts, rollouts):
    assert len(LogSigmoid()(Scores(torch.tensor([]), ()), make_rollouts([], []), context()).values) == 0
    assert LogSigmoid()(scores(*[NAN] * 5), rollouts, context()).values.isnan().all()


def test_step_rewards_are_refused(rollouts):
    stepped = Scores(torch.zeros(5), (Outcome.SCORED,) * 5, torch.zeros(5, 1), torch.ones(5, 1, dtype=torch.bool))
    with pytest.raises(ScorecraftError, match="scores steps"):
        LogSigmoid()(stepped, rollouts, context())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"value": 1.0}, "value belongs to reference: constant"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"q": 1.0}, "less than 1"),
        ({"base_steps": 0}, "greater than or equal to 1"),
        ({"reference": "median"}, "gaussian-quantile"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        LogSigmoid(**options)


def test_under_standardisation_a_shift_goes_and_the_curvature_stays(rollouts):
    group = rollouts.select(torch.tensor([2, 3, 4]))
    part = GroupStandardized(epsilon=0.0)

    def advantages(values):
        table = RewardTable(values, torch.ones(3, dtype=torch.bool), {})
        return part(values[:, None], group, table, context()).values[:, 0]

    raw = torch.tensor([-2.0, 0.0, 2.0])
    transformed = LogSigmoid(reference="constant")(Scores.of(raw), group, context()).values
    torch.testing.assert_close(advantages(raw + 3), advantages(raw))
    # -1, 0, 1 of the raw rewards; the transformed ones have mean -.982334 and deviation 1.030884.
    close(advantages(raw), [-1.0, 0.0, 1.0])
    close(advantages(transformed), [-1.110303, 0.280523, 0.829779])


def test_a_reward_of_two_values_gains_nothing_from_it_under_standardisation(rollouts):
    raw = Scores.of(torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]))
    changed = LogSigmoid(reference="constant", value=0.5)(raw, rollouts, context())
    table = RewardTable(
        changed.values,
        torch.ones(5, dtype=torch.bool),
        {"verdict": Scores(changed.values, changed.outcomes, metrics={"raw": raw.values})},
    )
    with pytest.warns(ScorecraftWarning, match="'group-standardized' cancels the transforms of reward 'verdict'"):
        GroupStandardized()(changed.values[:, None], rollouts, table, context())


class Given(Reward):
    def __call__(self, rollouts, context):
        raise NotImplementedError


@pytest.fixture
def combine(make_rollouts):
    def run(part, **rows):
        given = {name: (Given(weight=weight), own) for name, (weight, own) in rows.items()}
        own = {name: (each, x if isinstance(x, Scores) else scores(*x)) for name, (each, x) in given.items()}
        return part(own, make_rollouts([[1]] * len(next(iter(own.values()))[1].values)), context())

    return run


def test_all_of_by_hand(combine):
    part = AllOf(references={"helpful": 1.0, "harmless": -1.0})
    found = combine(part, helpful=(1.0, [1.0, 3.0, 1.0]), harmless=(1.0, [-1.0, -3.0, NAN]))
    # log(1/4); log(sigmoid(2) sigmoid(-2)); the one that abstains is left out.
    close(found.total, [2 * HALF, TWO - 2.126928, HALF])
    assert found.valid.all()
    found = combine(part, helpful=(2.0, [1.0]), harmless=(0.0, [-99.0]))
    close(found.total, [2 * HALF])


def test_all_of_prefers_both_good_where_the_sum_does_not(combine):
    part = AllOf(references={"a": 0.0, "b": 0.0})
    found = combine(part, a=(1.0, [5.0, 0.0]), b=(1.0, [-5.0, 0.0]))
    close(found.total, [-5.013431, -1.386294])


def test_any_of_by_hand(combine):
    part = AnyOf(references={"a": 0.0, "b": 0.0})
    found = combine(part, a=(1.0, [0.0, 2.0, NAN]), b=(1.0, [0.0, -2.0, 0.0]))
    close(found.total, [math.log(0.75), math.log(1 - 0.119203 * 0.880797), HALF])
    assert combine(AnyOf(references={"a": 0.0}), a=(1.0, [0.0]), b=(0.0, [9.0])).total.item() == pytest.approx(HALF)


@pytest.mark.parametrize("part", [AllOf, AnyOf])
def test_what_has_no_value_is_not_valid_and_worth_0(part, combine):
    found = combine(part(references={"a": 0.0}), a=(1.0, [0.0, NAN]))
    close(found.total, [HALF, 0.0])
    assert found.valid.tolist() == [True, False]
    failed = Scores(torch.tensor([NAN]), (Outcome.TIMEOUT,))
    found = combine(part(references={"a": 0.0, "b": 0.0}), a=(1.0, [0.0]), b=(1.0, failed))
    assert (found.total.tolist(), found.valid.tolist()) == ([0.0], [False])
    nothing = combine(part(references={}), a=(0.0, [1.0]))
    assert (nothing.total.tolist(), nothing.valid.tolist()) == ([0.0], [False])
    assert len(combine(part(references={"a": 0.0}), a=(1.0, [])).total) == 0


def test_mistakes_are_named(combine):
    for part in (AllOf, AnyOf):
        with pytest.raises(ScorecraftError, match=r"needs a reference for reward 'a'.*a: 0.0"):
            combine(part(references={}), a=(1.0, [1.0]))
        with pytest.raises(ScorecraftError, match="did you mean 'helpful'"):
            combine(part(references={"helpfull": 0.0}), helpful=(1.0, [1.0]))
        with pytest.raises(ValidationError, match="finite"):
            part(references={"a": float("nan")})
        with pytest.raises(ValidationError, match="required"):
            part()
    with pytest.raises(ScorecraftError, match="weights of at least 0"):
        combine(AllOf(references={"a": 0.0}), a=(-1.0, [1.0]))
    with pytest.raises(ScorecraftError, match=r"'a' has weight 0\.5"):
        combine(AnyOf(references={"a": 0.0}), a=(0.5, [1.0]))


def test_recipes_find_them():
    from scorecraft.recipes.recipe import Recipe

    recipe = Recipe(
        reward={"correct": {"transforms": [{"log-sigmoid": {"reference": "mean"}}]}, "brevity": {}},
        combination={"all-of": {"references": {"correct": -1.0, "brevity": 0.0}}},
    )
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert parts.find("combination", "any-of") is AnyOf
