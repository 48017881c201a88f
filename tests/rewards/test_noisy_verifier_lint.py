"""What takes a noise correction away is warned of, only there, and is so: each warning's effect in numbers."""

from __future__ import annotations

import pytest
import torch

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.errors import ScorecraftWarning
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.transforms.noise_correction import NoiseCorrection
from scorecraft.scores import RewardTable, Scores

CORRECTION = "transform 'noise-correction' of 'noisy-verifier'"
BY_PROBLEM = {"by": "form", "rates": {"fraction": [0.05, 0.6]}}
ONE = {
    "forward": {"kind": "forward", "false_negative": 0.2},
    "backward": {"false_positive": 0.1, "false_negative": 0.2},
}
ADVANTAGES = {
    "none": "none",
    "group-mean": "group-mean",
    "leave-one-out": "leave-one-out",
    "group-standardized": "group-standardized",
    "group-standardized, batch": {"group-standardized": {"deviation": "batch"}},
    "group-standardized, none": {"group-standardized": {"deviation": "none"}},
    "batch-standardized": "batch-standardized",
    "leave-one-out-tokens": "leave-one-out-tokens",
    "leave-one-out-tokens, as they are": {"leave-one-out-tokens": {"whiten": False}},
    "channel": {"channel": {}},
    "channel, forward": {"channel": {"kind": "forward"}},
    "channel, ema": {"channel": {"baseline": "ema", "scale": "ema"}},
}
# For one pair of rates, and for rates by problem: which advantages leave nothing of the correction.
GROUP_CENTRED = {
    "group-mean",
    "leave-one-out",
    "group-standardized",
    "group-standardized, batch",
    "group-standardized, none",
    "channel",
}
CANCELS = {
    ("forward", "one"): GROUP_CENTRED | {"batch-standardized", "channel, ema"},
    ("forward", "several"): GROUP_CENTRED,
    ("backward", "one"): {
        "group-standardized",
        "group-standardized, batch",
        "batch-standardized",
        "leave-one-out-tokens",
        "channel, ema",
    },
    ("backward", "several"): {"group-standardized"},
}


def recipe(kind, rates, advantage):
    options = {**ONE[kind], **(BY_PROBLEM if rates == "several" else {})}
    rewards = {"noisy-verifier": {"transforms": [{"noise-correction": options}]}}
    return Recipe(reward=rewards, advantage=ADVANTAGES[advantage])


@pytest.mark.parametrize("advantage", list(ADVANTAGES))
@pytest.mark.parametrize("rates", ["one", "several"])
@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_lint_finds_exactly_what_cancels(kind, rates, advantage):
    findings = [finding for finding in lint(recipe(kind, rates, advantage)) if finding.kind == "lost"]
    expected = advantage in CANCELS[kind, rates]
    assert len(findings) == int(expected)
    for finding in findings:
        assert finding.where[0] == CORRECTION
        assert finding.where[1].startswith("advantage '")
        assert "2510.00915" in str(finding)


VERDICTS = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
GROUPS = [0] * 4 + [1] * 4


@pytest.fixture
def rollouts(make_rollouts):
    from scorecraft.problem import Problem

    problems = [Problem("a", "1", metadata={"form": form}) for form in ("integer", "fraction")]
    return make_rollouts([[1, 1], [1]] * 4, GROUPS, problems=problems)


def advantages(advantage, values, rollouts):
    name, options = (advantage, {}) if isinstance(advantage, str) else next(iter(advantage.items()))
    part = parts.find("advantage", name)(**({"epsilon": 0.0} if name.endswith("standardized") else {}), **options)
    context, table = Context(None, torch.Generator()), RewardTable(values, torch.ones(8, dtype=torch.bool), {})
    for _ in range(2):  # the second time there are earlier batches to go by
        found = part(values[:, None] * rollouts.mask, rollouts, table, context)
    return found.values[:, 0]


@pytest.mark.parametrize("advantage", list(ADVANTAGES))
@pytest.mark.parametrize("rates", ["one", "several"])
@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_effect_where_lint_warns_the_advantages_are_those_of_the_raw_verdicts(kind, rates, advantage, rollouts):
    raw = Scores.of(VERDICTS)
    options = {**ONE[kind], **(BY_PROBLEM if rates == "several" else {})}
    if advantage.startswith("leave-one-out-tokens") and kind == "backward":
        # Its baseline depends on lengths and takes no constant off exactly; without false positives there is none.
        options |= {"false_positive": 0.0}
    corrected = NoiseCorrection(**options)(raw, rollouts, Context(None, torch.Generator()))
    own, without = (advantages(ADVANTAGES[advantage], x.values, rollouts) for x in (corrected, raw))
    if advantage == "group-standardized, batch":
        # The deviation is over groups of different levels, so what is left of the correction is one factor for all.
        own, without = own / own.norm(), without / without.norm()
    same = torch.allclose(own, without, rtol=1e-5, atol=1e-6)
    assert same == (advantage in CANCELS[kind, rates])


def test_effect_in_numbers_by_hand(rollouts):
    context = Context(None, torch.Generator())
    backward = NoiseCorrection(**ONE["backward"])(Scores.of(VERDICTS), rollouts, context).values
    forward = NoiseCorrection(**ONE["forward"])(Scores.of(VERDICTS), rollouts, context).values
    # Group 0 has one right of four: mean 1/4, sample deviation 1/2; group 1 mirrors it.
    z = torch.tensor([1.5, -0.5, -0.5, -0.5, 0.5, 0.5, 0.5, -1.5])
    for values in (VERDICTS, backward, forward):
        torch.testing.assert_close(advantages("group-standardized", values, rollouts), z)
    torch.testing.assert_close(advantages("group-mean", VERDICTS, rollouts), z / 2)
    torch.testing.assert_close(advantages("group-mean", forward, rollouts), z / 2)
    torch.testing.assert_close(advantages("group-mean", backward, rollouts), z / 2 / 0.7)
    # What keeps them: the weights themselves, and backward rewards less their group's others.
    torch.testing.assert_close(advantages({"channel": {"kind": "forward"}}, forward, rollouts), VERDICTS - 0.8)
    torch.testing.assert_close(advantages({"channel": {}}, backward, rollouts), z / 2 * 4 / 3 / 0.7)


def test_effect_rates_by_problem_weigh_the_groups_anew_unless_each_is_standardised(rollouts):
    rates = {"by": "form", "rates": {"fraction": (0.0, 0.6)}}
    corrected = NoiseCorrection(**rates)(Scores.of(VERDICTS), rollouts, Context(None, torch.Generator())).values
    ratio = advantages("group-mean", corrected, rollouts) / advantages("group-mean", VERDICTS, rollouts)
    torch.testing.assert_close(ratio, torch.tensor([1.0] * 4 + [2.5] * 4))
    z = [advantages("group-standardized", values, rollouts) for values in (corrected, VERDICTS)]
    torch.testing.assert_close(*z)


# The same, noticed while a run goes on, from the numbers alone.


def run_with_transforms(advantage, transform, rollouts, values=VERDICTS, weight=1.0):
    raw = Scores.of(values)
    context = Context(None, torch.Generator())
    changed = transform(raw, rollouts, context)
    scores = Scores(changed.values, changed.outcomes, metrics={"raw": raw.values})
    table = RewardTable(weight * changed.values, torch.ones(8, dtype=torch.bool), {"verifier": scores})
    parts.find("advantage", advantage)()(table.total[:, None] * rollouts.mask, rollouts, table, context)


def test_a_correction_that_is_cancelled_is_noticed_from_its_numbers(rollouts):
    with pytest.warns(ScorecraftWarning, match="'group-standardized' cancels the transforms of reward 'verifier'"):
        run_with_transforms("group-standardized", NoiseCorrection(**ONE["backward"]), rollouts)
    with pytest.warns(ScorecraftWarning, match="'group-mean' cancels"):
        run_with_transforms("group-mean", NoiseCorrection(**ONE["forward"]), rollouts)
    with pytest.warns(ScorecraftWarning, match="'batch-standardized' cancels"):
        run_with_transforms("batch-standardized", NoiseCorrection(**ONE["backward"]), rollouts)


@pytest.mark.filterwarnings("error")
def test_a_correction_that_counts_is_not_warned_of(rollouts):
    several = NoiseCorrection(**ONE["backward"], **{"by": "form", "rates": {"fraction": (0.05, 0.6)}})
    for advantage, transform in (
        ("none", NoiseCorrection(**ONE["forward"])),
        ("group-mean", NoiseCorrection(**ONE["backward"])),
        ("leave-one-out", NoiseCorrection(**ONE["backward"])),
        ("batch-standardized", several),
        # Nothing is changed, so nothing is cancelled.
        ("group-standardized", NoiseCorrection()),
    ):
        run_with_transforms(advantage, transform, rollouts)
    # No group teaches anything, with or without.
    run_with_transforms("group-standardized", NoiseCorrection(**ONE["backward"]), rollouts, torch.ones(8))
    # Another reward is in the total as well.
    run_with_transforms("group-standardized", NoiseCorrection(**ONE["backward"]), rollouts, weight=0.5)
