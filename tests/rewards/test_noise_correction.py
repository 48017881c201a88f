"""The transform noise-correction: rates by problem, appeals that estimate them, and its state."""

from __future__ import annotations

import json
import math

import pytest
import torch
from pydantic import ValidationError

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, Problem, Verdict
from scorecraft.rewards.transforms.noise_correction import NoiseCorrection
from scorecraft.scores import Scores
from scorecraft.tasks.task import Task

NAN = float("nan")
CONTEXT = Context(None, torch.Generator())
PROBLEMS = [Problem("a", "1", metadata={"form": "integer"}), Problem("b", "2", metadata={"form": "fraction"})]


@pytest.fixture
def rollouts(make_rollouts):
    texts = ["right", "wrong", "sleep", "right", "right", "wrong"]
    return make_rollouts([[1]] * 6, [0, 0, 0, 1, 1, 1], texts=texts, problems=PROBLEMS)


def scores(*values):
    outcomes = tuple(Outcome.TIMEOUT if math.isnan(value) else Outcome.SCORED for value in values)
    return Scores(torch.tensor(values), outcomes, metrics={"unparsed": torch.zeros(len(values))})


SEEN = scores(1.0, 0.0, NAN, 0.0, 0.0, 1.0)


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), equal_nan=True)


def test_one_pair_of_rates_by_hand(rollouts):
    found = NoiseCorrection(false_positive=0.1, false_negative=0.2)(SEEN, rollouts, CONTEXT)
    high, low = 9 / 7, -1 / 7
    close(found.values, [high, low, NAN, low, low, high])
    assert found.outcomes == SEEN.outcomes
    assert set(found.metrics) == {"unparsed"}
    found = NoiseCorrection(kind="forward", false_negative=0.2)(SEEN, rollouts, CONTEXT)
    close(found.values, [0.2, -0.8, NAN, -0.8, -0.8, 0.2])


def test_rates_by_kind_of_problem(rollouts):
    part = NoiseCorrection(false_negative=0.2, by="form", rates={"fraction": (0.0, 0.6)})
    # 1 / .8 for integers, which have no rates of their own; 1 / .4 for fractions.
    close(part(SEEN, rollouts, CONTEXT).values, [1.25, 0.0, NAN, 0.0, 0.0, 2.5])
    forward = NoiseCorrection(kind="forward", false_negative=0.2, by="form", rates={"fraction": (0.0, 0.6)})
    close(forward(SEEN, rollouts, CONTEXT).values, [0.2, -0.8, NAN, -0.4, -0.4, 0.6])


def test_graded_verdicts_need_a_threshold(rollouts):
    graded = scores(0.9, 0.2, NAN, 0.5, 0.1, 1.0)
    with pytest.raises(ScorecraftError, match=r"verdict 0 is 0\.9.*threshold"):
        NoiseCorrection(false_negative=0.5)(graded, rollouts, CONTEXT)
    found = NoiseCorrection(false_negative=0.5, threshold=0.5)(graded, rollouts, CONTEXT)
    close(found.values, [2.0, 0.0, NAN, 2.0, 0.0, 2.0])


def test_an_empty_batch(make_rollouts):
    empty = Scores(torch.tensor([]), ())
    assert len(NoiseCorrection(false_negative=0.2)(empty, make_rollouts([], []), CONTEXT).values) == 0
    part = NoiseCorrection(appeal_rate=1.0)
    assert len(part(empty, make_rollouts([], []), context()).values) == 0


class Checker(Task):
    """Appeals are heard by this checker, which answers only where it is asked."""

    def problem(self, split, index):
        raise NotImplementedError

    def check(self, problem, completion):
        if completion == "sleep":
            return Verdict(0.0, Outcome.TIMEOUT)
        return Verdict(float(completion == "right"))


def context(seed=0, **more):
    return Context(Checker(), torch.Generator().manual_seed(seed), **more)


def test_appeals_estimate_the_rate_by_kind_of_problem(rollouts):
    part = NoiseCorrection(appeal_rate=1.0, by="form", rates={"fraction": (0.0, 0.1)}, false_negative=0.3)
    found = part(scores(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), rollouts, context())
    # Integers: one accepted, of the rejected one wrong and one that was not heard: FN 0 of 1. Fractions: FN 1 of 2, the
    # estimate .5 is cut off at .49.
    close(found.values, [1.0, 0.0, 0.0, 0.0, 1 / 0.51, 0.0])
    close(found.metrics["appealed"], [0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    close(found.metrics["overturned"], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    close(found.metrics["appeal_failed"], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    close(found.metrics["false_negative_rate"], [0.0, 0.0, 0.0, 0.49, 0.49, 0.49])


def test_without_anything_to_go_by_the_start_value_stands(rollouts):
    part = NoiseCorrection(appeal_rate=1.0, false_negative=0.2)
    wrong = rollouts.select(torch.tensor([1] * 6))
    found = part(scores(0.0, 0.0, NAN, NAN, NAN, 0.0), wrong, context())
    close(found.values, [0.0, 0.0, NAN, NAN, NAN, 0.0])
    assert part.state()["estimators"][0]["empty"] == 1
    assert part._current() == [(0.0, 0.2)]


def test_an_overturned_verdict_is_1_and_the_rate_is_what_is_left(rollouts):
    part = NoiseCorrection(appeal_rate=1.0, apply_overturn=True, false_negative=0.3)
    found = part(scores(1.0, 0.0, NAN, 0.0, 1.0, 0.0), rollouts, context())
    # With q = 1 no false negative is left.
    close(found.values, [1.0, 0.0, NAN, 1.0, 1.0, 0.0])
    assert found.metrics["false_negative_rate"].unique().tolist() == [0.0]


def test_appeals_are_drawn_from_the_context(rollouts):
    def appealed(seed):
        part = NoiseCorrection(appeal_rate=0.5)
        return part(scores(*[0.0] * 6), rollouts, context(seed)).metrics["appealed"].tolist()

    assert appealed(0) == appealed(0)
    assert len({tuple(appealed(seed)) for seed in range(8)}) > 1


def test_workers_share_their_counts(rollouts):
    # The other worker has 10 accepted and 2 rejected, of which 2 were appealed and overturned.
    def gather(values):
        return torch.cat((values, torch.tensor([[[10, 2, 2, 2]]]))), slice(0, 1)

    part = NoiseCorrection(appeal_rate=1.0)
    found = part(scores(1.0, 0.0, NAN, 0.0, 1.0, 0.0), rollouts, context(gather=gather))
    # FN 1 + 2 of 3 + 12.
    close(found.metrics["false_negative_rate"], [0.2] * 6)


def test_the_state_goes_on_exactly(rollouts):
    options = {"appeal_rate": 0.5, "by": "form", "rates": {"fraction": (0.0, 0.1)}}
    whole = NoiseCorrection(**options)
    seen = scores(1.0, 0.0, NAN, 0.0, 1.0, 0.0)
    whole(seen, rollouts, context(1))
    kept = json.loads(json.dumps(whole.state()))
    other = NoiseCorrection(**options)
    other.restore(kept)
    close(other(seen, rollouts, context(2)).values, whole(seen, rollouts, context(2)).values.tolist())
    assert other.state() == whole.state()
    other.restore({})
    assert other.state() == NoiseCorrection().state() == {}


def test_an_estimate_never_brings_j_below_its_least(rollouts):
    seen = scores(1.0, 0.0, NAN, 0.0, 0.0, 0.0)
    # All of J = 1 - .6 - rho1 >= .2 that is left for rho1 is .2; forward weights have no such bound.
    part = NoiseCorrection(appeal_rate=1.0, false_positive=0.6, min_denominator=0.2)
    assert part(seen, rollouts, context()).metrics["false_negative_rate"][0].item() == pytest.approx(0.2)
    part = NoiseCorrection(kind="forward", appeal_rate=1.0, false_positive=0.6)
    assert part(seen, rollouts, context()).metrics["false_negative_rate"][0].item() == pytest.approx(0.4)


def test_a_recipe_holds_it():
    from scorecraft.recipes.recipe import Recipe

    options = {"by": "form", "rates": {"fraction": [0.05, 0.6]}, "appeal_rate": 0.1}
    recipe = Recipe(reward={"noisy-verifier": {"transforms": [{"noise-correction": options}]}}, advantage="channel")
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"false_positive": 0.5, "false_negative": 0.5}, "no information"),
        ({"false_positive": 0.5, "false_negative": 0.48}, "below min_denominator"),
        ({"false_positive": -0.1}, "greater than or equal to 0"),
        ({"false_negative": 1.0}, "less than 1"),
        ({"kind": "sideways"}, "backward"),
        ({"by": "form"}, "by and rates belong together"),
        ({"rates": {"x": (0.1, 0.1)}}, "by and rates belong together"),
        ({"by": "form", "rates": {"x": (0.1, 1.1)}}, "rho1 is 1.1"),
        ({"by": "form", "rates": {"x": (0.6, 0.6)}}, "anti-informative"),
        ({"apply_overturn": True}, "needs an appeal_rate"),
        ({"appeal_rate": 1.5}, "less than or equal to 1"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        NoiseCorrection(**options)


def test_forward_weights_need_no_rate_of_false_positives():
    assert NoiseCorrection(kind="forward", false_positive=0.5, false_negative=0.5).kind == "forward"


def test_what_cannot_be_corrected_is_named(rollouts):
    part = NoiseCorrection(false_negative=0.2, by="colour", rates={"red": (0.0, 0.6)})
    with pytest.raises(ScorecraftError, match="no metadata 'colour'; they have: form"):
        part(SEEN, rollouts, CONTEXT)
    stepped = Scores(torch.zeros(6), (Outcome.SCORED,) * 6, torch.zeros(6, 1), torch.ones(6, 1, dtype=torch.bool))
    with pytest.raises(ScorecraftError, match="scores steps"):
        NoiseCorrection(false_negative=0.2)(stepped, rollouts, CONTEXT)
