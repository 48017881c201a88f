"""The self-aligned reward: values by hand, its options, what it does with impossible tokens, and the part."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.lm.generate import left_pad
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.problem import Outcome, Problem
from scorecraft.rewards.finite import finite_scores
from scorecraft.rewards.parts.self_aligned import SelfAligned
from scorecraft.rewards.self_aligned import (
    copied_share,
    entropy_min_reward,
    linear_factor,
    sar_token_scores,
    self_aligned_reward,
    sequence_perplexity,
    standalone_prompt,
)
from scorecraft.rollouts import Rollouts

INFINITE = -math.inf
CONDITIONAL = torch.tensor([[-1.0, -0.5, -0.3]])
STANDALONE = torch.tensor([[-2.0, -3.0, -1.0]])
ALL = torch.ones(1, 3, dtype=torch.bool)


def row(*values):
    return torch.tensor([values], dtype=torch.float32)


def mask(*values):
    return torch.tensor([values], dtype=torch.bool)


def reward(given, alone, **options):
    return self_aligned_reward(row(*given), row(*alone), torch.ones(1, len(given), dtype=torch.bool), **options).item()


def test_the_relative_drop_of_perplexity_by_hand():
    # Means -0.6 and -2: perplexities e^0.6 = 1.822119 and e^2 = 7.389056; 1 - e^(0.6 - 2) = 0.753403.
    assert sequence_perplexity(CONDITIONAL, ALL).item() == pytest.approx(1.822119, abs=1e-6)
    assert sequence_perplexity(STANDALONE, ALL).item() == pytest.approx(7.389056, abs=1e-5)
    assert self_aligned_reward(CONDITIONAL, STANDALONE, ALL).item() == pytest.approx(0.753403, abs=1e-6)
    assert sar_token_scores(CONDITIONAL, STANDALONE, ALL)[0].tolist() == pytest.approx([1.0, 2.5, 0.7], abs=1e-6)


def test_a_query_that_tells_nothing_is_worth_exactly_nothing():
    assert self_aligned_reward(CONDITIONAL, CONDITIONAL, ALL).item() == 0.0


def test_the_lower_bound_binds_where_the_query_more_than_doubles_the_perplexity():
    # 1 - e^(3 - 1) = -6.389.
    assert reward((-3, -3), (-1, -1)) == -1.0
    assert reward((-3, -3), (-1, -1), clip=None) == pytest.approx(-6.389056, abs=1e-5)
    assert reward((-1 - math.log(1.9),), (-1,)) == pytest.approx(-0.9, abs=1e-5)


def test_perplexities_too_large_for_a_number_are_no_harm():
    assert reward((-0.1,) * 4, (-1000,) * 4) == 1.0
    assert reward((-1000,) * 4, (-0.1,) * 4) == -1.0
    # Both perplexities are beyond float64, their ratio is e^-1.
    assert reward((-2000,), (-2001,)) == pytest.approx(1 - math.exp(-1), abs=1e-6)


def test_padding_is_never_read():
    rubbish = (-1e9, 5.0, math.nan)
    given, alone = row(*CONDITIONAL[0], *rubbish), row(*STANDALONE[0], *reversed(rubbish))
    seen = mask(1, 1, 1, 0, 0, 0)
    assert self_aligned_reward(given, alone, seen).equal(self_aligned_reward(CONDITIONAL, STANDALONE, ALL))
    assert sar_token_scores(given, alone, seen)[0, 3:].tolist() == [0, 0, 0]
    assert entropy_min_reward(given, seen).item() == pytest.approx(-0.6)


numbers = st.floats(-20, 0, width=32)
tables = st.integers(1, 6).flatmap(lambda n: st.tuples(*(st.lists(numbers, min_size=n, max_size=n) for _ in range(2))))


@given(tables)
def test_it_is_bounded_and_one_minus_the_exponential_of_the_mean_token_score(table):
    given_, alone = (row(*values) for values in table)
    seen = torch.ones_like(given_, dtype=torch.bool)
    found = self_aligned_reward(given_, alone, seen)
    assert -1 <= found.item() <= 1
    scores = sar_token_scores(given_, alone, seen).double()
    assert found.item() == pytest.approx(max(-1.0, 1 - math.exp(-scores.mean())), abs=1e-5)


@given(tables, st.integers(2, 4))
def test_saying_everything_again_with_certainty_dilutes_a_positive_reward(table, times):
    given_, alone = (row(*values) for values in table)
    before = self_aligned_reward(given_, alone, torch.ones_like(given_, dtype=torch.bool)).item()
    sure = torch.zeros(1, given_.shape[1] * (times - 1))
    given_, alone = (torch.cat((values, sure), dim=1) for values in (given_, alone))
    after = self_aligned_reward(given_, alone, torch.ones_like(given_, dtype=torch.bool)).item()
    assert abs(after) <= abs(before) + 1e-6


@given(tables, st.permutations(range(3)))
def test_rows_do_not_depend_on_each_other(table, order):
    given_, alone = (torch.tensor([values, [v / 2 for v in values], [v / 3 for v in values]]) for values in table)
    seen = torch.ones_like(given_, dtype=torch.bool)
    assert self_aligned_reward(given_[list(order)], alone[list(order)], seen).equal(
        self_aligned_reward(given_, alone, seen)[list(order)]
    )


def test_every_option_by_hand():
    given_, alone = (-0.5, -0.5), (-1.0, -2.0)  # cross-entropies 0.5 and 1.5
    low, high = math.exp(0.5), math.exp(1.5)
    assert reward(given_, alone, use_denominator=False) == pytest.approx(high - low, abs=1e-5)
    assert reward(given_, alone, use_log=True) == pytest.approx(1 / 1.5, abs=1e-6)
    assert reward(given_, alone, use_log=True, use_denominator=False) == pytest.approx(1.0, abs=1e-6)
    assert reward(given_, alone, use_comparison=False) == pytest.approx(-low, abs=1e-5)
    assert reward(given_, alone, use_comparison=False, use_log=True) == pytest.approx(-0.5, abs=1e-6)
    assert reward(given_, alone, eps=1.0) == pytest.approx((high - low) / (high + 1), abs=1e-5)
    assert reward(given_, alone, eps=1e-9) == pytest.approx(1 - low / high, abs=1e-6)
    assert reward(given_, alone, term_clip=2.0) == pytest.approx((2 - low) / 2, abs=1e-5)
    assert reward(given_, alone, clip=(-0.25, 0.25)) == 0.25
    # A certain completion has no cross-entropy to divide by: nothing lost is 0, anything lost is the lower bound.
    assert reward((0.0,), (0.0,), use_log=True) == 0.0
    assert reward((-1.0,), (0.0,), use_log=True) == -1.0


def test_confidence_alone_is_the_mean_log_probability():
    assert entropy_min_reward(CONDITIONAL, ALL).item() == pytest.approx(-0.6)
    assert entropy_min_reward(row(INFINITE, -1), mask(1, 1)).item() == INFINITE


def test_an_impossible_token_decides():
    assert reward((INFINITE, -1), (-1, -1)) == -1.0
    assert reward((-1, -1), (INFINITE, -1)) == 1.0
    assert reward((INFINITE, -1), (-1, INFINITE)) == -1.0  # after the prompt counts first
    assert reward((INFINITE, -1), (-1, -1), use_log=True) == -1.0
    assert reward((-1, -1), (INFINITE, -1), use_log=True) == 1.0
    assert reward((INFINITE, -1), (-1, -1), use_denominator=False) == INFINITE


def test_a_token_impossible_in_both_is_dropped_with_a_warning():
    with pytest.warns(ScorecraftWarning, match="1 tokens are impossible both"):
        found = reward((INFINITE, -1.0, -0.5, -0.3), (INFINITE, -2.0, -3.0, -1.0))
    assert found == pytest.approx(0.753403, abs=1e-6)
    assert sar_token_scores(row(INFINITE, -1), row(INFINITE, -2), mask(1, 1))[0].tolist() == [0.0, 1.0]


def test_a_completion_without_sampled_tokens_gets_nothing_with_a_warning():
    every: list[dict[str, Any]] = [{}, {"use_log": True}, {"use_comparison": False}, {"use_denominator": False}]
    for options in every:
        with pytest.warns(ScorecraftWarning, match="1 completions have no token that counts"):
            found = self_aligned_reward(
                torch.cat((CONDITIONAL, CONDITIONAL)), torch.cat((STANDALONE, STANDALONE)),
                torch.cat((~ALL, ALL)), **options,
            )  # fmt: skip
        assert found[0] == 0
        assert found[1] != 0


def test_an_empty_batch_is_no_mistake():
    nothing, seen = torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool)
    assert self_aligned_reward(nothing, nothing, seen).shape == (0,)
    assert copied_share(nothing, nothing.long(), seen, []).shape == (0,)


@pytest.mark.parametrize(
    ("given_", "alone", "message"),
    [
        ((math.nan, -1), (-1, -1), "after the prompt at token 0 of rollout 0 is nan"),
        ((-1, -1), (-1, math.nan), "of the stand-alone completion at token 1 of rollout 0 is nan"),
        ((-1, 0.001), (-1, -1), "after the prompt at token 1 of rollout 0 is 0.001"),
    ],
)
def test_what_no_log_probability_can_be_is_refused(given_, alone, message):
    for function in (self_aligned_reward, sar_token_scores):
        with pytest.raises(ScorecraftError, match=message):
            function(row(*given_), row(*alone), mask(1, 1))


def test_rounding_above_zero_is_accepted():
    assert reward((5e-5,), (0.0,)) == pytest.approx(5e-5, abs=1e-6)


def test_a_mask_of_another_shape_is_refused():
    # Shapes in signatures are checked in tests only; the function itself checks too.
    function = inspect.unwrap(self_aligned_reward)
    with pytest.raises(ScorecraftError, match=r"of the mask's shape \(1, 2\), got \(1, 3\) and \(1, 3\)"):
        function(CONDITIONAL, STANDALONE, mask(1, 1))


def test_the_share_of_copied_tokens_by_hand():
    scores = torch.tensor([[3.0, 1.0, -5.0, 2.0, 100.0], [-1.0, -1.0, 0.0, 0.0, 0.0]])
    tokens = torch.tensor([[7, 8, 7, 9, 7], [7, 7, 0, 0, 0]])
    seen = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)
    # Of 3 + 1 + 2 the tokens 7 and 9 have 5; nothing positive is a share of 0.
    assert copied_share(scores, tokens, seen, [[9, 7], [7]]).tolist() == pytest.approx([5 / 6, 0.0])


def test_the_factor_goes_on_a_line():
    assert [linear_factor(1.0, 0.0, step, 5) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert linear_factor(0.3, 0.9, 0, 1) == 0.3


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def policy():
    return Policy(tunnel_model(2, 32, 4, initializer_range=0.5), tunnel_tokenizer(), "small")


@pytest.fixture(scope="module")
def chat_policy():
    tokenizer = tunnel_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    model = tunnel_model(1, 16, 2)
    model.resize_token_embeddings(len(tokenizer))
    return Policy(model, tokenizer, "chatty")


def test_alone_means_a_user_who_says_nothing(policy, chat_policy):
    text = chat_policy.tokenizer.decode(standalone_prompt(chat_policy, system="Think."))
    assert text == ("<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n")
    assert standalone_prompt(policy) == [1]
    assert standalone_prompt(policy, empty_query="=?\n") == policy.encode_prompt("=?\n")
    assert standalone_prompt(policy, system="Do") == policy.encode_prompt("", system="Do")
    assert standalone_prompt(chat_policy, context="bos") == [1]
    assert standalone_prompt(policy, context=(1, 20)) == [1, 20]


def test_a_tokenizer_that_opens_no_text_still_has_something_before_it(policy):
    class Bare:
        name, eos_ids = "bare", frozenset({2})
        tokenizer = type("T", (), {"bos_token_id": None, "eos_token_id": 2})

        def encode_prompt(self, text, *, system=None, chat="auto"):
            return []

    assert standalone_prompt(Bare()) == [2]
    assert standalone_prompt(Bare(), context="bos") == [2]


def test_unknown_and_empty_contexts_are_refused(policy):
    with pytest.raises(ScorecraftError, match="unknown stand-alone context 'nothing'"):
        inspect.unwrap(standalone_prompt)(policy, context="nothing")
    with pytest.raises(ScorecraftError, match="has no tokens"):
        standalone_prompt(policy, context=())


PROBLEM = Problem("12+7=?\n", "19")


def rollouts_of(policy, texts, *, temperature=1.0, prompt=None, forced=()):
    """Completions with the log-probabilities they have under the policy; ``forced`` names columns it did not sample."""
    prompt = prompt or policy.encode_prompt(PROBLEM.prompt)
    rows = [policy.encode(text) for text in texts]
    logprobs = policy.score_tokens([prompt] * len(rows), rows, temperature=temperature)
    lengths = torch.tensor([len(ids) for ids in rows], dtype=torch.int64)
    seen = torch.arange(logprobs.shape[1]) < lengths[:, None]
    seen[:, list(forced)] = False
    tokens = torch.zeros(logprobs.shape, dtype=torch.int64)
    for place, ids in enumerate(rows):
        tokens[place, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
    table, prompt_lengths = left_pad([prompt], policy.pad_id)
    return Rollouts(
        tokens=tokens, mask=seen, logprobs=logprobs * seen, entropies=torch.zeros(seen.shape),
        steps=torch.full(seen.shape, -1), turns=torch.zeros(seen.shape, dtype=torch.int64), lengths=lengths,
        group=torch.zeros(len(rows), dtype=torch.int64), truncated=torch.zeros(len(rows), dtype=torch.bool),
        texts=tuple(texts), notes=({},) * len(rows), prompt_tokens=table, prompt_lengths=prompt_lengths,
        problems=(PROBLEM,), temperature=temperature,
    )  # fmt: skip


def context_of(policy, step=0, steps=1):
    return Context(task=None, generator=torch.Generator(), policy=policy, step=step, steps=steps)


def mean_logprob(policy, prompt, text, temperature, columns):
    ids = policy.encode(text)
    table = (policy.model(torch.tensor([prompt + ids])).logits[0].detach() / temperature).log_softmax(1)
    values = [float(table[len(prompt) + place - 1, token]) for place, token in enumerate(ids)]
    return sum(values[place] for place in columns) / len(columns)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_part_compares_two_plain_forward_passes(policy, temperature):
    texts, forced = ["12+7=19\n#19", "#5"], (1,)
    scores = SelfAligned(clip=None)(
        rollouts_of(policy, texts, temperature=temperature, forced=forced), context_of(policy)
    )
    prompt = policy.encode_prompt(PROBLEM.prompt)
    for place, text in enumerate(texts):
        columns = [column for column in range(len(text)) if column not in forced]
        given_, alone = (mean_logprob(policy, before, text, temperature, columns) for before in (prompt, [1]))
        assert scores.values[place].item() == pytest.approx(1 - math.exp(alone - given_), abs=1e-3, rel=1e-4)
        assert scores.metrics["perplexity"][place].item() == pytest.approx(math.exp(-given_), rel=1e-4)
        assert scores.metrics["standalone_perplexity"][place].item() == pytest.approx(math.exp(-alone), rel=1e-4)
    assert scores.metrics["infinite"].tolist() == [0, 0]
    assert bool(((scores.metrics["copied_share"] >= 0) & (scores.metrics["copied_share"] <= 1)).all())


def test_the_part_stands_beside_correctness_with_the_papers_weight(policy):
    part = SelfAligned()
    assert part.weight == 0.2
    assert [note.text for note in part.traits().relies_on] == ["its weight 0.2 says how much it counts"]
    assert part.cites() == ("self-aligned-reward",)


def test_the_schedule_multiplies_the_reward(policy):
    rollouts = rollouts_of(policy, ["12+7=19\n#19"])
    whole = SelfAligned()(rollouts, context_of(policy, 0, 11)).values
    half = SelfAligned(schedule=(1.0, 0.0))(rollouts, context_of(policy, 5, 11)).values
    torch.testing.assert_close(half, whole / 2)


def test_confidence_alone_needs_no_second_pass(policy, monkeypatch):
    rollouts = rollouts_of(policy, ["12+7=19\n#19"])
    monkeypatch.setattr(type(policy), "score_tokens", None)
    scores = SelfAligned(use_comparison=False, use_log=True)(rollouts, context_of(policy))
    torch.testing.assert_close(scores.values, entropy_min_reward(rollouts.logprobs, rollouts.mask))
    assert "standalone_perplexity" not in scores.metrics


def test_without_a_policy_it_says_what_it_needs(policy):
    with pytest.raises(ScorecraftError, match="'self-aligned' scores each answer again without its query and needs"):
        SelfAligned()(rollouts_of(policy, ["#5"]), context_of(None))


def test_a_system_turn_that_only_the_prompts_have_is_told(policy):
    rollouts = rollouts_of(policy, ["#5"], prompt=policy.encode_prompt(PROBLEM.prompt, system="Think"))
    with pytest.warns(ScorecraftWarning, match="not made with system None"):
        SelfAligned()(rollouts, context_of(policy))


def test_a_clip_that_is_no_range_is_refused():
    with pytest.raises(ValueError, match="expected the lower bound below the upper one"):
        SelfAligned(clip=(1.0, -1.0))


def test_values_that_are_not_finite_are_errors_and_counted():
    scores = finite_scores(torch.tensor([1.0, INFINITE]), {"more": torch.tensor([2.0, 3.0])})
    assert scores.values[0] == 1.0
    assert math.isnan(scores.values[1])
    assert scores.outcomes == (Outcome.SCORED, Outcome.ERROR)
    assert {name: values.tolist() for name, values in scores.metrics.items()} == {"more": [2, 3], "infinite": [0, 1]}
