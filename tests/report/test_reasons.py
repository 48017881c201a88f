"""Why nothing trains: of every saved rollout, and in the sentences at the top."""

from __future__ import annotations

import math

import pytest

from scorecraft.report.charts import with_derived
from scorecraft.report.diagnosis import ROLLOUT_REASONS, described, summary
from scorecraft.report.rollout_reasons import reasons_of, reward_spread


@pytest.fixture
def table_of(make_run, rollouts_of):
    """Rollouts of two tokens each, as they are read back from a run."""

    def make(groups, forced=(), truncated=(), **columns):
        store = make_run()
        prompts = [(str(group), "1") for group in range(max(groups) + 1)]
        rollouts = rollouts_of(["ab"] * len(groups), prompts, groups)
        for row in forced:
            rollouts.mask[row] = False
        for row in truncated:
            rollouts.truncated[row] = True
        store.save_rollouts(1, rollouts, {name.replace("_part", "/part"): values for name, values in columns.items()})
        return store.read_rollouts(1)

    return make


def test_each_reason_is_read_off_the_saved_rollouts(table_of):
    some, none = [0.5, 0.0], [0.0, 0.0]
    table = table_of(
        [0, 0, 1, 1, 2, 2, 2, 2, 3, 3],
        forced=[7],
        truncated=[0, 6, 8],
        reward=[1.0, 0.0, 0.5, 0.5, None, 1.0, 0.0, 1.0, 0.25, None],
        reward_part=[1.0, 0.0, 0.5, 0.5, None, 1.0, 0.0, 1.0, 0.25, 0.25],
        advantage=[some, none, none, none, none, some, none, none, none, none],
    )
    assert reasons_of(table) == [
        None,  # truncated, yet it has an advantage
        "zero",
        "same-reward",
        "same-reward",
        "abstained",
        None,
        "truncated",
        "masked",
        "same-reward",  # alone in its group with a reward; being truncated does not matter any more
        "filtered",  # its only reward has a value, and there is no total
    ]
    assert set(filter(None, reasons_of(table))) == set(ROLLOUT_REASONS)
    assert all(words["title"] and words["because"] for words in described(ROLLOUT_REASONS).values())


def test_rewards_a_rounding_apart_are_the_same(table_of):
    rewards = [0.3, 0.3 + 5e-7, 0.3, 0.3 + 5e-6]
    assert reasons_of(table_of([0, 0, 1, 1], reward=rewards, advantage=[[0.0, 0.0]] * 4)) == [
        "same-reward", "same-reward", "zero", "zero",
    ]  # fmt: skip


def test_without_saved_advantages_nothing_is_said(table_of):
    assert reasons_of(table_of([0, 0], reward=[1.0, 1.0])) == [None, None]


def test_the_spread_is_the_mean_deviation_of_the_groups(table_of):
    # Group 0: (1, 0): sqrt(0.5); group 1: equal, 0; group 2 has one reward and does not count.
    table = table_of([0, 0, 1, 1, 2, 2], reward=[1.0, 0.0, 0.5, 0.5, 1.0, None])
    assert reward_spread(table) == pytest.approx(math.sqrt(0.5) / 2)


def test_the_spread_is_unknown_without_rewards(table_of):
    assert reward_spread(table_of([0, 0], reward=[None, 1.0])) is None


def test_the_summary_names_the_reasons_of_the_last_tenth():
    early = [{"step": step, "zero/same-reward": 1.0, "zero_advantage_groups": 1.0} for step in range(1, 19)]
    late = [
        {"step": step, "zero/same-reward": 0.5, "zero/abstained": 0.04, "zero/zero": 0.0, "zero/filtered": 0.25,
         "zero_advantage_groups": 0.5, "clip_fraction": share}
        for step, share in ((19, 0.02), (20, 0.04))
    ]  # fmt: skip
    assert summary(with_derived([*early, *late])) == [
        "In the last 2 steps 54\u00a0% of the rollouts had no advantage: 50\u00a0% because every completion of the "
        "prompt earned the same, 4.0\u00a0% because no reward gave a value.",
        "Choose problems the policy solves sometimes, sample more completions per prompt, or use a finer reward.",
        "For every 100 rollouts kept, 25 were drawn and filtered out.",
        "The clip took the gradient from 3.0\u00a0% of the tokens.",
        "In 18 of 20 steps no rollout at all had an advantage (step 1, 2, 3, 4, 5, ...).",
    ]


def test_the_summary_is_short_where_all_is_well_and_silent_without_a_log():
    assert summary([{"step": 1, "zero/same-reward": 0.0}]) == ["In the last step every rollout had an advantage."]
    assert summary([{"step": 1, "reward": 1.0}]) == []
    assert summary([]) == []


def test_gap_and_clipping_follow_from_what_was_logged():
    rows = [
        {"step": 1, "reward": 0.75, "accuracy": 0.5, "clip_fraction": 0.1},
        {"step": 2, "reward": None, "accuracy": 1},
    ]
    assert with_derived(rows) == [{**rows[0], "gap": 0.25, "zero/clipped": 0.1}, rows[1]]
