"""Verdicts, reasons and differences: what the page says in words."""

from __future__ import annotations

import pytest

from scorecraft.report.diagnosis import reasons
from scorecraft.report.differences import differences, flattened
from scorecraft.report.verdict import NO_STEP, ends, verdict


def steps(**columns):
    return [
        {"step": index + 1} | {key: values[index] for key, values in columns.items()}
        for index in range(len(next(iter(columns.values()))))
    ]


def evaluation(step, accuracy, low=None, high=None):
    return {"step": step, "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}


def test_the_ends_of_a_metric_are_means_of_a_twentieth():
    rows = steps(reward=[0.0, 1.0, *[0.5] * 36, 2.0, 4.0])
    assert ends(rows, "reward") == (0.5, 3.0)
    assert ends(steps(reward=[None, 1.0, 3.0, None]), "reward") == (1.0, 3.0)
    assert ends(steps(reward=[None]), "reward") is None


@pytest.mark.parametrize(
    ("metrics", "evaluations", "sentences"),
    [
        ([], [], [NO_STEP]),
        (steps(loss=[1.0, 2.0]), [], ["2 steps logged, without a reward."]),
        (steps(reward=[0.324]), [], ["Reward 0.32."]),
        (steps(reward=[None, None]), [], ["2 steps logged, without a reward."]),
        (
            steps(reward=[0.32, 0.66]),
            [evaluation(0, 0.33), evaluation(2, 0.61, 0.57, 0.65)],
            ["Reward 0.32 → 0.66, held-out accuracy 33\u00a0% → 61\u00a0% [57, 65]."],
        ),
        (
            steps(reward=[0.1, 0.2], accuracy=[0.5, 0.25]),
            [],
            ["Reward 0.10 → 0.20, accuracy in training 50\u00a0% → 25\u00a0%."],
        ),
        ([], [evaluation(0, 0.4, 0.3, 0.5)], ["Held-out accuracy 40\u00a0% [30, 50]."]),
    ],
)
def test_the_verdict_states_what_was_measured(metrics, evaluations, sentences):
    assert verdict(metrics, evaluations) == sentences


@pytest.mark.parametrize(
    ("reward", "first", "last", "apart"),
    [
        ([0.1, 0.9], (0.5, 0.45, 0.55), (0.3, 0.25, 0.35), True),
        ([0.1, 0.9], (0.5, 0.45, 0.55), (0.44, 0.4, 0.48), False),
        ([0.9, 0.1], (0.5, 0.45, 0.55), (0.3, 0.25, 0.35), False),
        ([0.1, 0.9], (0.5, None, None), (0.3, 0.25, 0.35), False),
    ],
)
def test_reward_and_truth_are_called_apart_only_beyond_their_intervals(reward, first, last, apart):
    said = verdict(steps(reward=reward), [evaluation(0, *first), evaluation(2, *last)])
    assert (len(said) == 2) is apart


def test_reasons_come_in_a_fixed_order_and_unknown_ones_are_kept():
    found = reasons(["zero/own-reason", "zero/zero", "reward", "zero/clipped", "zero/same-reward"])
    assert [(entry["key"], entry["title"]) for entry in found] == [
        ("zero/same-reward", "Same reward"),
        ("zero/zero", "Advantage of 0"),
        ("zero/clipped", "Clipped"),
        ("zero/own-reason", "Own reason"),
    ]
    assert all(entry["meaning"] and entry["remedy"] for entry in found[:3])


def test_recipes_differ_where_their_settings_do():
    first = {"seed": 0, "reward": {"correct": {"weight": 1.0}}, "stop": None, "k": [1, 2]}
    second = {"seed": 1, "reward": {"correct": {"weight": 1.0}, "brevity": {}}, "stop": None, "k": [1, 2]}
    assert flattened(first) == {"seed": "0", "reward.correct.weight": "1.0", "stop": "", "k": "[1, 2]"}
    assert differences([first, second]) == [("seed", ["0", "1"]), ("reward.brevity", [None, "{}"])]
    assert differences([first, first]) == []
    assert differences([{}, "odd"]) == []
