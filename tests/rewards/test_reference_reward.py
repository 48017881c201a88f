"""The reference of each prompt: every kind by hand, prompts without one, and what is refused."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.rewards.reference_reward import ReferenceReward, reference_of

BASE = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]])


def test_every_kind_by_hand():
    # Mean 2, population deviation sqrt 2; z of .85 is 1.0364334; the fourth fifth of the way from 3 to 4 is 3.4.
    assert reference_of(BASE, kind="gaussian-quantile").item() == pytest.approx(3.465738, abs=1e-5)
    assert reference_of(BASE, kind="quantile").item() == pytest.approx(3.4)
    assert reference_of(BASE, kind="quantile", q=0.5).item() == 2.0
    assert reference_of(BASE, kind="mean").item() == 2.0
    assert reference_of(torch.tensor([[7.0]]), kind="response").item() == 7.0
    assert reference_of(torch.tensor([[7.0]]), kind="mean").item() == 7.0


def test_few_samples_take_the_gaussian_and_many_the_empirical_quantile():
    few, many = torch.arange(99.0)[None] ** 2, torch.arange(100.0)[None] ** 2
    assert reference_of(few).equal(reference_of(few, kind="gaussian-quantile"))
    assert reference_of(many).equal(reference_of(many, kind="quantile"))
    assert not reference_of(many).equal(reference_of(many, kind="gaussian-quantile"))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.floats(-5, 5), st.sampled_from(["mean", "quantile"]))
def test_a_shift_of_a_prompts_rewards_shifts_its_reference(values, shift, kind):
    table = torch.tensor([values], dtype=torch.float64)
    torch.testing.assert_close(reference_of(table + shift, kind=kind), reference_of(table, kind=kind) + shift)
    torch.testing.assert_close(reference_of(table.flip(1), kind=kind), reference_of(table, kind=kind))


def test_references_are_kept_by_prompt():
    reference = ReferenceReward("mean").fit(torch.tensor([[1.0, 3.0], [5.0, 7.0]]), ["a", "b"])
    assert reference(["b", "a", "b"]).tolist() == [6.0, 2.0, 6.0]
    reference.fit(torch.tensor([[0.0]]), ["a"])
    assert dict(reference.references) == {"a": 0.0, "b": 6.0}
    assert reference([]).tolist() == []


def test_a_constant_needs_no_fit():
    reference = ReferenceReward("constant", value=1.5)
    assert reference([1, 2]).tolist() == [1.5, 1.5]
    assert reference.fit(BASE, ["a"])(["a"]).tolist() == [1.5]


def test_a_prompt_without_a_reference():
    with pytest.raises(ScorecraftError, match="nothing was fitted for prompt 'c'"):
        ReferenceReward("mean").fit(BASE, ["a"])(["a", "c"])
    reference = ReferenceReward("mean", fallback="global").fit(torch.tensor([[1.0], [4.0]]), ["a", "b"])
    with pytest.warns(ScorecraftWarning, match="mean of the other prompts' references"):
        assert reference(["a", "c"]).tolist() == [1.0, 2.5]
    assert reference(["a"]).tolist() == [1.0]
    with pytest.raises(ScorecraftError, match="nothing was fitted"):
        ReferenceReward("mean", fallback="global")(["a"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: reference_of(BASE * float("nan")), "prompt 0 has a reward that is not a finite number"),
        (lambda: reference_of(BASE * float("inf")), "not a finite number"),
        (lambda: reference_of(BASE[:, :1], kind="quantile"), "'quantile' needs at least 2 samples a prompt, got 1"),
        (lambda: reference_of(BASE[:, :1]), "'auto' needs at least 2"),
        (lambda: reference_of(BASE[:, :0], kind="mean"), "'mean' needs at least 1"),
        (lambda: reference_of(BASE, kind="response"), "reward of one answer a prompt, got 5"),
        (lambda: reference_of(BASE, kind="constant"), "a constant is not estimated"),
        (lambda: reference_of(BASE, q=1.0), "q is 1"),
        (lambda: inspect.unwrap(reference_of)(BASE, kind="median"), "unknown kind 'median'"),
        (lambda: ReferenceReward("quantile", q=0.0), "q is 0"),
        (lambda: ReferenceReward("constant", value=float("inf")), "value is inf"),
        (lambda: inspect.unwrap(ReferenceReward.__init__)(object(), fallback="local"), "unknown fallback 'local'"),
        (lambda: ReferenceReward().fit(BASE, ["a", "b"]), "1 rows of rewards for 2 prompts"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
