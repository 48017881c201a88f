"""The density ratio: values by hand, two tokenizers, impossible responses, prompts, routers, pairs, gaps, the part."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Outcome, Problem
from scorecraft.rewards.density_ratio import density_ratio, implied_preference
from scorecraft.rewards.density_ratio_reward import DensityRatioReward
from scorecraft.rewards.gap_study import GapRow, GapStudy, gap_study
from scorecraft.rewards.judging_prompt import Exemplar, KeywordRouter, LogprobRouter, judging_prompt
from scorecraft.rewards.parts.density_ratio import DensityRatio
from scorecraft.rewards.preference_pairs import annotate_pairs
from scorecraft.rewards.response_logprobs import ResponseLogprobs, messages_of

INFINITE = -math.inf


def table(*rows):
    width = max(map(len, rows))
    values = torch.tensor([[*row, *[9.0] * (width - len(row))] for row in rows], dtype=torch.float32)
    mask = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
    return values, mask


def ratio(strong, weak, **options):
    return density_ratio(*table(*strong), *table(*weak), **options).tolist()


def test_the_sum_and_the_mean_by_hand():
    strong, weak = [(-0.1, -0.2, -0.3)], [(-0.5, -0.2, -1.3)]
    assert ratio(strong, weak, normalize="sum") == pytest.approx([1.4])
    assert ratio(strong, weak) == pytest.approx([0.466667], abs=1e-6)
    assert ratio(strong, weak, normalize="char", characters=torch.tensor([7])) == pytest.approx([0.2])


def test_the_mean_is_over_the_strong_models_tokens():
    strong, weak = [(-0.2, -0.2, -0.2)], [(-0.4, -0.6)]
    assert ratio(strong, weak, normalize="sum") == pytest.approx([0.4])
    assert ratio(strong, weak) == pytest.approx([0.133333], abs=1e-6)


def test_one_step_of_a_categorical_and_the_preference_it_implies():
    strong, weak = [(math.log(0.9),), (math.log(0.1),)], [(math.log(0.6),), (math.log(0.4),)]
    found = torch.tensor(ratio(strong, weak))
    assert found.tolist() == pytest.approx([0.405465, -1.386294], abs=1e-6)
    # Odds of 1.5 to 0.25 are 6 to 1.
    assert implied_preference(found[:1], found[1:]).item() == pytest.approx(6 / 7, abs=1e-6)
    assert implied_preference(found[:1], found[1:], beta=0.0).item() == 0.5
    assert implied_preference(found[:1], found[1:], beta=2.0).item() == pytest.approx(36 / 37, abs=1e-6)


logprobs = st.lists(st.lists(st.floats(-50, 0, width=32), min_size=1, max_size=6), min_size=1, max_size=4)


@given(logprobs, logprobs)
def test_swapping_the_models_negates_the_sum_and_one_model_is_worth_nothing(first, second):
    rows = min(len(first), len(second))
    first, second = first[:rows], second[:rows]
    assert ratio(first, first, normalize="sum") == [0.0] * rows
    forth, back = (torch.tensor(ratio(*pair, normalize="sum")) for pair in ((first, second), (second, first)))
    torch.testing.assert_close(forth, -back)
    # What counts is the sum alone: the order of tokens and what stands in the padding (9 above) do not.
    torch.testing.assert_close(forth, torch.tensor(ratio([row[::-1] for row in first], second, normalize="sum")))


@given(logprobs, st.floats(-5, 0, width=32))
def test_what_both_models_share_cancels(rows, shared):
    worse = [[*(value - 1 for value in row)] for row in rows]
    found = ratio(rows, worse, normalize="sum")
    with_shared = ratio([[*row, shared] for row in rows], [[*row, shared] for row in worse], normalize="sum")
    assert found == pytest.approx(with_shared, abs=1e-3)
    assert found == pytest.approx([len(row) for row in rows], abs=1e-3)
    assert ratio(rows, worse) == pytest.approx([1.0] * len(rows), abs=1e-3)


def test_an_impossible_response_is_infinitely_bad_and_one_impossible_for_the_weak_alone_infinitely_good():
    found = ratio([(INFINITE, -1), (-1, -1), (INFINITE, -1)], [(-1, -1), (INFINITE, -1), (-1, INFINITE)])
    assert found == [INFINITE, math.inf, INFINITE]
    assert implied_preference(torch.tensor([INFINITE]), torch.tensor([INFINITE])).item() == 0.5
    assert implied_preference(torch.tensor([0.0]), torch.tensor([INFINITE])).item() == 1.0


def test_an_empty_batch_and_a_response_without_counted_tokens():
    nothing, mask = torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool)
    assert density_ratio(nothing, mask, nothing, mask).shape == (0,)
    silent = torch.zeros(1, 2, dtype=torch.bool)
    assert density_ratio(torch.zeros(1, 2), silent, torch.zeros(1, 2), silent).tolist() == [0.0]


@pytest.mark.parametrize(
    ("strong", "weak", "options", "message"),
    [
        ([(math.nan,)], [(-1.0,)], {}, "strong model's log-probability of token 0 of response 0 is nan"),
        ([(-1.0,)], [(-1.0, 0.5)], {}, "weak model's log-probability of token 1 of response 0 is 0.5"),
        ([(-1.0,)], [(-1.0,)], {"normalize": "char"}, "needs the number of characters"),
        ([(-1.0,)], [(-1.0,)], {"normalize": "token"}, "unknown normalization 'token'"),
        ([(-1.0,), (-1.0,)], [(-1.0,)], {}, "2 responses by the strong model, 1 by the weak"),
    ],
)
def test_mistakes_are_named(strong, weak, options, message):
    with pytest.raises(ScorecraftError, match=message):
        # Past the checks of signatures, which tests alone have.
        inspect.unwrap(density_ratio)(*table(*strong), *table(*weak), **options)


def test_a_negative_beta_is_refused():
    with pytest.raises(ScorecraftError, match="beta of at least 0, got -1"):
        implied_preference(torch.zeros(1), torch.zeros(1), beta=-1.0)


class Letters:
    """A model of single characters: each costs what the table says, ``per_system`` more under a system turn."""

    def __init__(self, costs, default=1.0, per_system=0.0):
        self.costs, self.default, self.per_system = costs, default, per_system
        self.asked = []

    def __call__(self, conversations, responses):
        self.asked += [list(map(dict, turns)) for turns in conversations]
        found = []
        for turns, text in zip(conversations, responses, strict=True):
            more = self.per_system * (turns[0]["role"] == "system")
            costs = torch.tensor([-self.costs.get(letter, self.default) - more for letter in text])
            found.append(ResponseLogprobs(tuple(text), costs, torch.ones(len(text), dtype=torch.bool)))
        return found


STRONG, WEAK = Letters({"a": 0.5, "z": math.inf}), Letters({"a": 1.5, "b": 0.25})


def test_the_reward_of_responses_and_what_it_came_from():
    reward = DensityRatioReward(STRONG, WEAK, normalize="sum")
    # "ab": (-0.5 - 1) - (-1.5 - 0.25); "cc": 0; "az": impossible for the strong model.
    found = reward.ratios(["q", "q", "q"], ["ab", "cc", "az"])
    assert found.values.tolist() == pytest.approx([0.25, 0.0, INFINITE])
    assert found.strong.tolist() == pytest.approx([-1.5, -2.0, INFINITE])
    assert found.weak.tolist() == pytest.approx([-1.75, -2.0, -2.5])
    assert found.tokens.tolist() == [2, 2, 2]
    assert found.infinite == 1
    assert DensityRatioReward(STRONG, WEAK)(["q"], ["ab"]).tolist() == pytest.approx([0.125])
    assert DensityRatioReward(STRONG, WEAK, normalize="char")(["q"], ["aab"]).tolist() == pytest.approx([1.25 / 3])
    assert reward([], []).shape == (0,)
    with pytest.raises(ScorecraftError, match="1 prompts, but 2 responses"):
        reward(["q"], ["a", "b"])


def test_the_ratio_of_every_token():
    assert DensityRatioReward(STRONG, WEAK).explain("q", "abc") == [("a", 1.0), ("b", -0.75), ("c", 0.0)]

    def halves(conversations, responses):
        return [
            ResponseLogprobs((text[:2], text[2:]), torch.zeros(2), torch.ones(2, dtype=torch.bool))
            for text in responses
        ]

    with pytest.raises(ScorecraftError, match="3 tokens here and the weak one 2"):
        DensityRatioReward(STRONG, halves).explain("q", "abc")


def test_a_prompt_goes_to_both_models_or_to_the_strong_alone():
    strong, weak = Letters({}, per_system=0.25), Letters({}, per_system=0.5)
    prompt = "Be brief.\n\nQuery: 1+1\nGood answer: 2\nBad answer: It is 2."
    exemplar = Exemplar("1+1", "2", "It is 2.")
    both = DensityRatioReward(strong, weak, "sum", "Be brief.", (exemplar,))
    assert both(["q"], ["ab"]).tolist() == pytest.approx([0.5])
    expected = [{"role": "system", "content": prompt}, {"role": "user", "content": "q"}]
    assert strong.asked[-1] == expected
    assert weak.asked[-1] == expected
    alone = DensityRatioReward(strong, weak, "sum", "Be brief.", apply_prompt_to="strong")
    assert alone(["q"], ["ab"]).tolist() == pytest.approx([-0.5])
    assert weak.asked[-1] == [{"role": "user", "content": "q"}]


def test_one_model_against_itself_is_told_unless_the_prompt_differs():
    with pytest.warns(ScorecraftWarning, match="identically 0"):
        reward = DensityRatioReward(STRONG, STRONG, criterion="Be brief.")
    assert reward(["q"], ["ab"]).tolist() == [0.0]
    with pytest.warns(ScorecraftWarning, match="identically 0"):
        DensityRatioReward(STRONG, STRONG, apply_prompt_to="strong")
    # No warning: pytest turns every other one into an error.
    contrast = DensityRatioReward(Letters({}, per_system=-0.5), WEAK, "sum", "Be brief.", apply_prompt_to="strong")
    same = Letters({}, per_system=-0.5)
    assert DensityRatioReward(same, same, "sum", "Be brief.", apply_prompt_to="strong")(["q"], ["cc"]).tolist() == [1.0]
    assert contrast(["q"], ["cc"]).tolist() == [1.0]


def test_the_wording_of_a_judging_prompt():
    assert judging_prompt() is None
    assert judging_prompt("  ") is None
    assert judging_prompt(" Be safe. ") == "Be safe."
    assert judging_prompt(None, (Exemplar("q", "g"), Exemplar("r", "h", "b"))) == (
        "Query: q\nGood answer: g\n\nQuery: r\nGood answer: h\nBad answer: b"
    )


def test_a_router_gives_each_query_the_prompt_of_its_domain():
    router = KeywordRouter({"math": (r"\d", r"\bsum\b"), "safety": ("bomb",)})
    assert [router(query) for query in ("2 bombs", "A SUM", "a bomb", "summer")] == ["math", "math", "safety", None]
    strong = Letters({})
    domains = {"math": "Be exact.", "safety": None}
    reward = DensityRatioReward(strong, Letters({}), router=router, domains=domains)
    reward(
        ["2+2", "a bomb", "hello", [{"role": "system", "content": "S"}, {"role": "user", "content": "7"}]], ["a"] * 4
    )
    assert [turns[0]["content"] for turns in strong.asked] == ["Be exact.", "a bomb", "hello", "Be exact.\n\nS"]
    with pytest.raises(ScorecraftError, match="'safety': '\\(' is no regular expression"):
        KeywordRouter({"safety": ("(",)})
    with pytest.raises(ScorecraftError, match="prompts by domain need a router"):
        DensityRatioReward(strong, WEAK, domains=domains)


def test_a_router_that_asks_a_model_takes_the_likeliest_name():
    model = Letters({"m": 0.0, "a": 0.0, "t": 0.0, "h": 0.0})
    router = LogprobRouter(model, {"math": "numbers", "chat": "talk"})
    # "math" costs nothing and "chat" 1 (its c): shares 0.731 and 0.269.
    assert router("anything") == "math"
    assert "math: numbers\nchat: talk" in model.asked[0][0]["content"]
    assert LogprobRouter(model, {"math": "", "chat": ""}, least=0.73)("q") == "math"
    assert LogprobRouter(model, {"math": "", "chat": ""}, least=0.74)("q") is None
    assert LogprobRouter(model, {})("q") is None


def test_what_counts_as_a_conversation():
    assert messages_of("q", "s") == [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    assert messages_of("q") == [{"role": "user", "content": "q"}]
    for wrong in ([], [{"role": "user"}]):
        with pytest.raises(ScorecraftError, match="expected a conversation"):
            messages_of(wrong)


def by_length(prompts, responses):
    return torch.tensor([float(len(text)) for text in responses])


def test_pairs_are_the_best_and_the_worst():
    found = annotate_pairs(by_length, ["p", "q"], [["aa", "a", "aaaa"], ["b", "bb"]])
    assert found == [
        {"prompt": "p", "chosen": "aaaa", "rejected": "a", "margin": 3.0},
        {"prompt": "q", "chosen": "bb", "rejected": "b", "margin": 1.0},
    ]
    assert [
        pair["prompt"] for pair in annotate_pairs(by_length, ["p", "q"], [["a", "aaa"], ["b", "bb"]], min_margin=1.5)
    ] == ["p"]


def test_candidates_without_a_difference_make_no_pair():
    assert annotate_pairs(by_length, ["p", "q", "r"], [["a", "b"], ["a"], ["a", "a"]]) == []

    def unsure(prompts, responses):
        return torch.tensor([math.nan, 1.0, INFINITE, math.nan, math.nan])

    assert annotate_pairs(unsure, ["p", "q"], [["a", "b", "c"], ["d", "e"]]) == [
        {"prompt": "p", "chosen": "b", "rejected": "c", "margin": math.inf}
    ]


@pytest.mark.parametrize(
    ("prompts", "candidates", "margin", "message"),
    [
        (["p"], [], 0.0, "1 prompts, but 0 lists"),
        (["p"], [[]], 0.0, "prompt 0 has no candidates"),
        (["p"], [["a"]], -1.0, "min_margin of at least 0"),
    ],
)
def test_what_cannot_be_annotated(prompts, candidates, margin, message):
    with pytest.raises(ScorecraftError, match=message):
        annotate_pairs(by_length, prompts, candidates, min_margin=margin)


METRIC = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
CHOSEN = torch.tensor([[-1.0, -1.0], [-3.0, -1.0], [-9.0, -1.0]], dtype=torch.float64)
REJECTED = torch.tensor([[-4.0, -2.0], [-4.0, -2.0], [-4.0, -3.0]], dtype=torch.float64)


def test_every_pair_of_models_by_hand():
    study = gap_study(["a", "b", "c"], METRIC, CHOSEN, REJECTED, normalize="sum")
    # a over b: 2 against 0, and a tie; a over c: 8 against 0, 0 against 1; b over c: 6 against 0, 0 against 1.
    assert [(row.strong, row.weak, row.accuracy) for row in study.rows] == [
        ("a", "b", 0.75), ("a", "c", 0.5), ("b", "c", 0.5)
    ]  # fmt: skip
    assert [row.gap for row in study.rows] == pytest.approx([0.4, 0.8, 0.4])
    both = gap_study(["a", "b", "c"], METRIC, CHOSEN, REJECTED, normalize="sum", pairs="ordered")
    assert len(both.rows) == 6
    accuracy = {(row.strong, row.weak): row.accuracy for row in both.rows}
    assert all(accuracy[weak, strong] == 1 - value for (strong, weak), value in accuracy.items())


def test_the_mean_of_a_gap_study_divides_by_the_strong_models_tokens():
    tokens = torch.tensor([[1, 1], [1, 1], [1, 1]]), torch.tensor([[1, 1], [1, 1], [1, 1]])
    long = torch.tensor([[8, 1], [1, 1], [1, 1]]), tokens[1]
    names = ["a", "b", "c"]
    kept = gap_study(names, METRIC, CHOSEN, REJECTED, *tokens).rows
    assert kept == gap_study(names, METRIC, CHOSEN, REJECTED, normalize="sum").rows
    # With a better wrong response (1 over 1 token), a right one of 8 over 8 tokens is a tie.
    rejected = REJECTED.clone()
    rejected[0, 0] = -3.0
    assert gap_study(names, METRIC, CHOSEN, rejected, *long).rows[1].accuracy == 0.25
    assert gap_study(names, METRIC, CHOSEN, rejected, *tokens).rows[1].accuracy == 0.5


def test_the_correlation_of_gap_and_accuracy():
    rows = tuple(GapRow(*pair, gap, accuracy) for pair, gap, accuracy in (
        (("a", "b"), 1.0, 0.5), (("a", "c"), 2.0, 0.7), (("b", "c"), 3.0, 0.6),
    ))  # fmt: skip
    found = GapStudy(rows, ("a", "b", "c")).correlation()
    # Deviations (-1, 0, 1) and (-0.1, 0.1, 0): 0.1 / sqrt(2 * 0.02) = 0.5; the ranks 1 3 2 give 0.5 as well.
    assert found.pearson == pytest.approx(0.5)
    assert found.spearman == pytest.approx(0.5)
    line = tuple(
        GapRow(f"m{strong}", f"m{weak}", float(strong - weak), 0.5 + 0.05 * (strong - weak))
        for strong in range(6) for weak in range(strong)
    )  # fmt: skip
    exact = GapStudy(line, tuple(f"m{index}" for index in range(6))).correlation()
    assert (exact.pearson, exact.low, exact.high) == pytest.approx((1.0, 1.0, 1.0))
    noise = np.random.default_rng(0).normal(0, 0.1, len(line))
    noisy = tuple(GapRow(r.strong, r.weak, r.gap, r.accuracy + e) for r, e in zip(line, noise, strict=True))
    found = GapStudy(noisy, tuple(f"m{index}" for index in range(6))).correlation()
    assert found.low < found.pearson < found.high < 1.0


def test_what_is_no_gap_study():
    with pytest.raises(ScorecraftError, match="for each of 2"):
        gap_study(["a", "b"], METRIC, CHOSEN, REJECTED, normalize="sum")
    for normalize in ("mean", "char"):
        with pytest.raises(ScorecraftError, match=f"normalize '{normalize}' needs tokens"):
            gap_study(["a", "b", "c"], METRIC, CHOSEN, REJECTED, normalize=normalize)
    with pytest.raises(ScorecraftError, match="three pairs or more"):
        GapStudy((GapRow("a", "b", 1.0, 0.5),) * 4, ("a", "b")).correlation()


class Loaded:
    """Stands for a policy: single characters with costs, no template."""

    def __init__(self, costs):
        self.costs, self.name, self.context_length = costs, "loaded", 500
        self.tokenizer = type("T", (), {"chat_template": None, "eos_token_id": 0, "all_special_ids": (0,)})

    def encode_prompt(self, text, *, system=None, chat="auto"):
        self.said = text
        return [1, *self.encode(text)]

    def encode(self, text):
        return [ord(letter) for letter in text]

    def token_text(self, token):
        return chr(token)

    def score_tokens(self, prompts, completions, *, temperature=1.0):
        width = max(map(len, completions), default=0)
        out = torch.zeros(len(completions), width)
        for row, ids in enumerate(completions):
            out[row, : len(ids)] = torch.tensor([-self.costs.get(chr(token), 1.0) for token in ids])
        return out


MODELS = {"good": Loaded({"2": 0.25, "\0": 0.5, "z": math.inf}), "bad": Loaded({"2": 1.25, "\0": 1.0})}


@pytest.fixture
def loading():
    loaded = []

    def load(name):
        loaded.append(name)
        return MODELS[name]

    return Context(task=None, generator=torch.Generator(), load_policy=load), loaded


@pytest.fixture
def answers(make_rollouts):
    problems = [Problem("1+1", "2"), Problem("sum", "3")]
    return make_rollouts([[1]] * 4, [0, 0, 1, 1], texts=["22", "3", " ", "z"], problems=problems)


def test_the_part_scores_texts_by_two_models_of_their_own(answers, loading):
    context, loaded = loading
    scores = DensityRatio(strong="good", weak="bad", normalize="sum")(answers, context)
    # "22" and the end: (-0.25 * 2 - 0.5) - (-1.25 * 2 - 1); "3" and the end: -1.5 + 2.
    assert scores.values[:2].tolist() == pytest.approx([2.5, 0.5])
    assert scores.outcomes == (Outcome.SCORED, Outcome.SCORED, Outcome.ABSTAINED, Outcome.ERROR)
    assert scores.metrics["empty"].tolist() == [0, 0, 1, 0]
    assert scores.metrics["infinite"].tolist() == [0, 0, 0, 1]
    assert scores.metrics["strong"][:2].tolist() == pytest.approx([-1.0, -1.5])
    assert scores.metrics["weak"][:2].tolist() == pytest.approx([-3.5, -2.0])
    assert scores.metrics["tokens"][:2].tolist() == [3, 2]
    assert math.isnan(scores.metrics["strong"][2])
    assert loaded == ["good", "bad"]
    mean = DensityRatio(strong="good", weak="bad")(answers, context).values
    assert mean[:2].tolist() == pytest.approx([2.5 / 3, 0.25])
    masked = DensityRatio(strong="good", weak="bad", mask_special=True)(answers, context).values
    assert masked[:2].tolist() == pytest.approx([1.0, 0.0])


def test_the_part_puts_the_domains_prompt_before_the_query(answers, loading):
    context, _ = loading
    domain = {"patterns": (r"\d",), "criterion": "Be exact."}
    DensityRatio(strong="good", weak="bad", system="S", domains={"math": domain})(answers, context)
    assert MODELS["good"].said == MODELS["bad"].said == "S\nsum"
    only = answers.select(torch.tensor([0, 1]))
    DensityRatio(strong="good", weak="bad", system="S", domains={"math": domain})(only, context)
    assert MODELS["good"].said == "Be exact.\n\nS\n1+1"
    asked = {"math": {"about": "numbers", "criterion": "Be exact."}}
    DensityRatio(strong="good", weak="bad", domains=asked, router="logprob", apply_prompt_to="strong")(only, context)
    assert MODELS["good"].said == "Be exact.\n1+1"
    assert MODELS["bad"].said == "1+1"


def test_one_name_for_both_is_told(answers, loading):
    context, loaded = loading
    with pytest.warns(ScorecraftWarning, match="identically 0"):
        DensityRatio(strong="good", weak="good")(answers, context)
    assert loaded == ["good"]


def test_the_part_needs_something_that_loads_models(answers, make_rollouts):
    nothing = Context(task=None, generator=torch.Generator())
    with pytest.raises(ScorecraftError, match="'density-ratio' needs the model 'good', and nothing here loads models"):
        DensityRatio(strong="good", weak="bad")(answers, nothing)
    assert len(DensityRatio(strong="good", weak="bad")(make_rollouts([], []), nothing).values) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strong": ""}, "at least 1 character"),
        ({"domains": {"math": {}}}, "has no patterns"),
        ({"domains": {"math": {"patterns": ["("]}}}, "is no regular expression"),
        ({"domains": {"math": {"patterns": ["a"]}}, "criterion": "c"}, "give one of the two"),
        ({"domains": {"math": {"pattern": ["a"]}}}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        DensityRatio.model_validate({"strong": "good", "weak": "bad", **options})
