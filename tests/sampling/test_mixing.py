"""Mixing clean and prefilled prompts, and the robustness report, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from scorecraft.errors import ScorecraftError
from scorecraft.lm.tunnel import tunnel_tokenizer
from scorecraft.problem import Problem
from scorecraft.sampling.repair_from_flawed.calculation_errors import CalculationErrors
from scorecraft.sampling.repair_from_flawed.mixing import HINT, Prompt, chat_text, mix_prompts, task_injectors
from scorecraft.sampling.repair_from_flawed.robustness import robustness_report
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

TASK = ChainArithmetic()
ITEMS = TASK.problems("train", 0, 60)
INJECTORS = task_injectors(TASK)
HARD = Problem("Why?", "because", "It is so.")


def test_alpha_0_and_1():
    assert not any(prompt.is_prefilled for prompt in mix_prompts(ITEMS, INJECTORS, alpha=0).prompts)
    mixture = mix_prompts([*ITEMS, HARD], INJECTORS, alpha=1)
    clean = [prompt for prompt in mixture.prompts if not prompt.is_prefilled]
    assert mixture.without_flaw == len(clean)
    assert clean[-1].prompt == "Why?"
    assert len(mixture.prompts) == 61
    assert len(clean) < 4
    assert {prompt.kind for prompt in mixture.prompts} == {"calculation", "reasoning", None}


def test_half_are_prefilled_and_a_prefix_is_the_solution_up_to_the_flaw():
    items = TASK.problems("train", 0, 400)
    mixture = mix_prompts(items, INJECTORS)
    prefilled = [(item, prompt) for item, prompt in zip(items, mixture.prompts, strict=True) if prompt.is_prefilled]
    # Five standard deviations of 400 even lots.
    assert abs(len(prefilled) + mixture.without_flaw - 200) < 50
    for item, prompt in prefilled:
        lines = prompt.prefill.split("\n")
        assert lines.pop() == ""
        assert lines[:-1] == item.gold.split("\n")[: len(lines) - 1]
        assert lines[-1] == prompt.flaw.text != item.gold.split("\n")[len(lines) - 1]
        assert prompt.answer == item.answer


@given(st.permutations(range(20)), st.integers(0, 99))
def test_the_lot_is_the_items_own(order, seed):
    mixture = mix_prompts(ITEMS[:20], INJECTORS, seed=seed)
    shuffled = mix_prompts([ITEMS[place] for place in order], INJECTORS, seed=seed)
    assert shuffled.prompts == tuple(mixture.prompts[place] for place in order)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_what_is_flawed_at_one_alpha_is_flawed_alike_at_every_higher_one(first, second, seed):
    low, high = sorted((first, second))
    fewer = mix_prompts(ITEMS[:10], INJECTORS, alpha=low, seed=seed).prompts
    more = mix_prompts(ITEMS[:10], INJECTORS, alpha=high, seed=seed).prompts
    assert all(b == a for a, b in zip(fewer, more, strict=True) if a.is_prefilled)


def test_a_lot_for_all_epochs_or_for_each():
    fixed = [mix_prompts(ITEMS, INJECTORS, epoch=epoch).prompts for epoch in (0, 1)]
    assert fixed[0] == fixed[1]
    drawn = [mix_prompts(ITEMS, INJECTORS, assign="per_epoch", epoch=epoch).prompts for epoch in (0, 1, 0)]
    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]
    assert mix_prompts(ITEMS, INJECTORS, seed=1) != mix_prompts(ITEMS, INJECTORS, seed=2)


def test_who_gets_the_hint():
    for hint, expected in (("all", (HINT, HINT)), ("prefilled_only", (HINT, None)), ("none", (None, None))):
        prompts = mix_prompts([*ITEMS, HARD], INJECTORS, alpha=1, hint=hint).prompts
        flawed = next(prompt for prompt in prompts if prompt.is_prefilled)
        assert (flawed.system, prompts[-1].system) == expected
    prompts = mix_prompts(ITEMS, INJECTORS, system="Be brief.").prompts
    assert {prompt.system for prompt in prompts} == {f"Be brief.\n{HINT}"}


def test_what_exceeds_the_budget_is_left_out_and_never_cut():
    whole = mix_prompts(ITEMS, INJECTORS, alpha=1)
    mixture = mix_prompts(ITEMS, INJECTORS, alpha=1, budget=12)
    kept = tuple(prompt for prompt in whole.prompts if len(prompt.prefill) <= 12)
    assert mixture.prompts == kept
    assert mixture.too_long == len(ITEMS) - len(kept) > 0
    twice = mix_prompts(ITEMS, INJECTORS, alpha=1, budget=24, length=lambda text: 2 * len(text))
    assert twice == mixture


def test_bad_input_is_named():
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(ScorecraftError, match="alpha from 0 to 1"):
            mix_prompts(ITEMS, INJECTORS, alpha=alpha)
    with pytest.raises(ScorecraftError, match="none of 2 items admits a flaw"):
        mix_prompts([HARD, HARD], INJECTORS, alpha=1)
    assert len(mix_prompts([HARD], INJECTORS, alpha=0).prompts) == 1
    with pytest.raises(ScorecraftError, match="'1\\+1=\\?' has no true answer"):
        mix_prompts([Problem("1+1=?", "", "1+1=2")], INJECTORS)
    with pytest.raises(ScorecraftError, match="did you mean 'fixed'"):
        mix_prompts(ITEMS, INJECTORS, assign="fix")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ScorecraftError, match="unknown hint"):
        mix_prompts(ITEMS, INJECTORS, hint="some")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ScorecraftError, match="no injector"):
        mix_prompts(ITEMS, {})
    with pytest.raises(ScorecraftError, match="did you mean 'reasoning'"):
        task_injectors(TASK, ("reason",))  # pyright: ignore[reportArgumentType]


def test_no_item_drawn_that_admits_a_flaw_is_no_error_where_others_do():
    # Of a pair, one admits a flaw; whichever is drawn, nothing is refused.
    pair = [HARD, Problem("1+2=?", "9", "1+2=3")]
    found = {
        (mixture.without_flaw, sum(prompt.is_prefilled for prompt in mixture.prompts))
        for mixture in (mix_prompts(pair, {"calculation": CalculationErrors()}, seed=seed) for seed in range(40))
    }
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1)}


def tokenizer_with(template):
    tokenizer = tunnel_tokenizer()
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.chat_template = template
    return tokenizer


def test_a_prefix_stands_in_the_assistants_turn():
    template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]"
        "{% endif %}"
    )
    prompt = Prompt("1+2=?", "3", "1+2=4\n", None, "Be brief.")
    found = chat_text(prompt, tokenizer_with(template), opening="<think>\n")
    assert found == "[system]Be brief.[user]1+2=?[assistant]<think>\n1+2=4\n"
    with pytest.raises(ScorecraftError, match="has no chat template"):
        chat_text(prompt, tokenizer_with(None))
    with pytest.raises(ScorecraftError, match="does not open the assistant's turn"):
        chat_text(prompt, tokenizer_with("{% for m in messages %}{{ m.content }}{% endfor %}"))


# The report.

CLEAN = [1, 1, 1, 0, 1, 0]
FLAWED = [1, 0, 0, 0, 1, 1]
KINDS = ["calculation", "calculation", "reasoning", "reasoning", "reasoning", "other"]


def test_the_report_by_hand():
    report = robustness_report(CLEAN, FLAWED, KINDS)
    assert report.problems == 6
    assert (report.clean, report.flawed) == (pytest.approx(4 / 6), pytest.approx(3 / 6))
    assert report.gap.estimate == pytest.approx(1 / 6)
    assert report.gap.low <= 1 / 6 <= report.gap.high
    # Of the four solved clean, two are solved flawed.
    assert report.recovery == 0.5
    assert report.by_kind["calculation"].gap.estimate == 0.5
    assert (report.by_kind["reasoning"].clean, report.by_kind["reasoning"].flawed) == (
        pytest.approx(2 / 3), pytest.approx(1 / 3),
    )  # fmt: skip
    assert report.by_kind["other"].gap is None
    assert sum(kind.problems for kind in report.by_kind.values()) == 6
    assert report.susceptibility is report.clean_change is report.flawed_change is None


def test_against_a_base_policy_by_hand():
    report = robustness_report(CLEAN, FLAWED, KINDS, base_clean=[1, 0, 0, 0, 1, 1], base_flawed=[0] * 6)
    # The base solves problems 0, 4 and 5 clean, and this policy all of them from the flawed prefix.
    assert report.recovery == 1.0
    assert report.susceptibility == pytest.approx(-0.5)
    assert report.flawed_change.estimate == pytest.approx(0.5)
    assert report.clean_change.estimate == pytest.approx(1 / 6)


@given(st.lists(st.tuples(st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 0.5, 1])), min_size=2, max_size=12))
def test_the_order_of_problems_and_equal_policies_do_not_matter(pairs):
    clean, flawed = zip(*pairs, strict=True)
    kinds = ["calculation"] * len(pairs)
    report = robustness_report(clean, flawed, kinds, base_clean=clean, base_flawed=flawed, resamples=50)
    assert report.susceptibility == report.clean_change.estimate == report.flawed_change.low == 0
    turned = robustness_report(clean[::-1], flawed[::-1], kinds, resamples=50)
    assert turned.gap.estimate == pytest.approx(report.gap.estimate)
    assert turned.recovery == (None if report.recovery is None else pytest.approx(report.recovery))
    assert (report.recovery is None) == (not any(clean))
    assert -1 <= report.gap.low <= report.gap.high <= 1


@pytest.mark.parametrize(
    ("clean", "flawed", "more", "said"),
    [
        ([1, 0], [1], {}, "flawed to have one value"),
        ([1], [1], {}, "at least 2 problems"),
        ([1, 2], [1, 0], {}, "clean between 0 and 1"),
        ([1, float("nan")], [1, 0], {}, "clean between 0 and 1"),
        ([1, 0], [1, 0], {"base_clean": [1, 0]}, "come together"),
    ],
)
def test_what_cannot_be_reported_is_named(clean, flawed, more, said):
    with pytest.raises(ScorecraftError, match=said):
        robustness_report(clean, flawed, ["calculation"] * len(clean), **more)
