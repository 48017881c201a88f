"""Regularised relevance: factors and rewards by hand, both branches, embedders, and the part of recipes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.problem import Problem
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.embedders import CenteredEmbedder, HashEmbedder, LsaEmbedder, MeanPooledEmbedder, lm_mean
from scorecraft.rewards.parts.relevance import RelevanceReward
from scorecraft.rewards.relevance import (
    R3Reward,
    clean_query,
    clean_response,
    copied_share,
    interp,
    length_incentive,
    query_type,
    relevance,
    repetition_penalty,
    text_tokens,
)

CAT = "the cat sat on the mat the cat sat"
OPEN, CLOSED = "OPENENDED", "CONSTRAINED"


def dots(**by_text):
    """Return an embedder that gives a text its number, and 1 to every other one, so that dots are those numbers."""

    def embed(texts):
        return torch.tensor([[by_text.get(text, 1.0)] for text in texts], dtype=torch.float32)

    return embed


def reward_of(text, dot, qtype, **options):
    reward = R3Reward(dots(**{text: dot}), in_end=3.5, **options)
    return reward(["q"], [text], qtypes=[qtype], references=["ref"]).item()


def test_factors_by_hand():
    assert (length_incentive(CAT), repetition_penalty(CAT)) == (0.09, pytest.approx(6 / 7))
    assert text_tokens("Yes.") == ["Yes", "."]
    assert text_tokens("Don't stop!!") == ["Don", "'", "t", "stop", "!!"]
    shop = "buy now " * 10
    assert (length_incentive(shop), repetition_penalty(shop)) == (0.2, pytest.approx(2 / 18))
    assert (length_incentive(""), repetition_penalty(""), repetition_penalty("two words")) == (0.0, 1.0, 1.0)
    assert repetition_penalty("a a a", n=1) == pytest.approx(1 / 3)


def test_rewards_by_hand():
    assert reward_of(CAT, 0.8, OPEN) == pytest.approx(0.061714286, abs=1e-6)
    # F(.8) = .8 * 5.12 / 3.5 = 1.170286, times 6/7.
    assert reward_of(CAT, 0.8, CLOSED) == pytest.approx(1.003102041, abs=1e-6)
    assert reward_of("Yes.", 1.2, OPEN) == pytest.approx(0.024, abs=1e-6)
    assert reward_of("Yes.", 1.2, CLOSED) == pytest.approx(1.755428571, abs=1e-6)
    assert reward_of(("buy now " * 10).strip(), 1.0, OPEN) == pytest.approx(0.022222, abs=1e-6)
    assert reward_of("", 1.0, OPEN) == reward_of("", 1.0, CLOSED) == 0.0


def test_every_factor_can_be_left_out():
    assert reward_of(CAT, 0.8, OPEN, length=False) == pytest.approx(0.8 * 6 / 7)
    assert reward_of(CAT, 0.8, OPEN, repetition=False) == pytest.approx(0.8 * 0.09)
    assert reward_of(CAT, 0.8, OPEN, length=False, repetition=False) == pytest.approx(0.8)
    assert reward_of(CAT, 0.8, CLOSED, branching=False) == pytest.approx(0.061714286, abs=1e-6)
    alone = R3Reward(dots(), repetition=False, relevance=False, branching=False)
    assert alone(["q"], [CAT]).item() == pytest.approx(0.09)
    assert reward_of(CAT, 0.8, CLOSED, max_len=256) == pytest.approx(1.003102041 / 2, abs=1e-6)


def test_its_parts_are_told():
    found = R3Reward(dots(**{CAT: 0.8}), in_end=3.5).components(
        ["q", "q"], [CAT, CAT], qtypes=[OPEN, CLOSED], references=[None, "ref"]
    )
    assert found["open"].tolist() == [1.0, 0.0]
    assert found["relevance"].tolist() == pytest.approx([0.8, 0.8])
    assert found["length"].tolist() == [0.09, 0.09]
    assert found["repetition"].tolist() == pytest.approx([6 / 7, 6 / 7])
    assert found["reward"].dtype == torch.float64


def test_interp_goes_on_beyond_its_ends():
    assert [interp(v) for v in (0.0, 3.5, 7.0, -3.5)] == pytest.approx([0.0, 5.12, 10.24, -5.12])
    assert interp(1.0, (0.0, 2.0), (10.0, 20.0)) == 15.0
    with pytest.raises(ScorecraftError, match="two different ends"):
        interp(1.0, (2.0, 2.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" yes \n", "yes"),
        ("yes\n\n\n\nmore", "yes"),
        ("yes\n\n--\nmore", "yes"),
        ("yes\n\n____\nmore", "yes"),
        ("yes\nUser: and?", "yes"),
        ("yes<|im_end|>", "yes"),
        ("yes [/INST] more", "yes"),
        ("the user: said", "the user: said"),
        ("one\n\ntwo", "one\n\ntwo"),
        ("Assistant: yes", ""),
    ],
)
def test_a_response_ends_where_another_turn_begins(text, expected):
    assert clean_response(text) == expected


def test_strip_decides_whether_the_rest_counts():
    text = f"{CAT}\n\n\n\n{CAT} again"
    assert R3Reward(dots(), branching=False).components(["q"], [text])["length"].item() == 0.09
    assert R3Reward(dots(), branching=False, strip=False).components(["q"], [text])["length"].item() == 0.19


def test_a_query_loses_its_template():
    prompt = "<|im_start|>system\nYou help.<|im_end|>\nUser: What  is\nsoap?\n### Response:"
    assert clean_query(prompt, system="system\nYou help.") == "What is soap?"


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("Please tell me about soap.", OPEN),
        ("Write a poem on rivers", OPEN),
        ("How many legs has a spider?", CLOSED),
        ("Translate this into French: soap", CLOSED),
        ("12+7-3=?", CLOSED),
        ("Pick one:\nA) soap\nB) salt", CLOSED),
    ],
)
def test_query_types_by_rule(query, kind):
    assert query_type(query) == kind


def test_what_is_copied_from_the_query():
    # Of the six 4-grams of the response, the first two stand in the query.
    assert copied_share("tell me about the old river", "Tell me about the old poet of the") == pytest.approx(2 / 5)
    assert copied_share("a b c d", "a b c d") == 1.0
    assert copied_share("a b c d", "a b c") == 0.0


words = st.lists(st.sampled_from(["a", "b", "c", "d", "e."]), max_size=30).map(" ".join)


@given(words, words, st.floats(0.0, 4.0))
def test_bounds_and_monotone_factors(first, second, dot):
    assert 0 < repetition_penalty(first) <= 1
    assert 0 <= copied_share(first, second) <= 1
    assert repetition_penalty(f"{first} {first} {first} {first}") <= repetition_penalty(first) + 1e-9 or not first
    assert length_incentive(f"{first} {second}") == pytest.approx(length_incentive(first) + length_incentive(second))
    if first:
        assert reward_of(first, dot, OPEN) == pytest.approx(
            np.float32(dot) * length_incentive(first) * repetition_penalty(first), abs=1e-6
        )


@given(st.permutations(range(4)))
@pytest.mark.filterwarnings("ignore:relevance. some dot products")
def test_rows_do_not_touch_each_other(order):
    queries, texts = ["soap", "salt", "rivers", ""], ["about soap", "about rivers", "", "salt salt salt salt"]
    reward = R3Reward(HashEmbedder(256), branching=False, strip=False)
    whole = reward(queries, texts)
    shuffled = reward([queries[i] for i in order], [texts[i] for i in order])
    assert shuffled.tolist() == pytest.approx(whole[list(order)].tolist())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: r(["q", "q"], ["x", "y"]), "no query type for rows 0, 1"),
        (lambda r: r(["q", "q"], ["x", "y"], qtypes=[OPEN, None]), "no query type for rows 1"),
        (lambda r: r(["q"], ["x"], qtypes=["OPEN"]), "unknown query type 'OPEN' in rows 0; did you mean 'OPENENDED'"),
        (
            lambda r: r(["q", "q"], ["x", "y"], qtypes=[OPEN, CLOSED]),
            "no reference for the constrained queries of rows 1",
        ),
        (lambda r: r(["q"], ["x", "y"], qtypes=[OPEN, OPEN]), "1 queries, but 2 responses"),
        (lambda r: r(["q"], ["x"], qtypes=[OPEN, OPEN]), "2 qtypes, but 1 responses"),
        (lambda r: r(["q"], ["x"], qtypes=[OPEN], references=[]), "0 references, but 1 responses"),
        (lambda r: r.calibrate([]), "at least one pair"),
        (lambda r: R3Reward(dots(x=-1.0)).calibrate([("x", "y")]), "percentile of the dot products is -1"),
        (lambda r: R3Reward(dots(), in_end=0.0), "in_end is 0"),
        (lambda r: R3Reward(dots(), max_len=0), "max_len is 0"),
        (lambda r: R3Reward(dots(), relevance=False), "set branching=False too"),
        (lambda r: relevance(["a"], [], dots()), "1 queries, but 0 responses"),
        (lambda r: relevance(["a"], ["b"], dots(a=math.nan)), "not finite"),
        (lambda r: relevance(["a"], ["b"], lambda texts: torch.zeros(1, 2)), "one row a text"),
        (lambda r: repetition_penalty("a", n=0), "n is 0"),
        (lambda r: copied_share("a", "a", n=0), "n is 0"),
        (lambda r: HashEmbedder(100), "power of 2"),
        (lambda r: HashEmbedder(64, 3, 2), "n-grams from 3 to 2"),
        (lambda r: LsaEmbedder.fit(["a"], 2), "1 texts with words"),
        (lambda r: CenteredEmbedder.fit(HashEmbedder(64), []), "at least one text"),
        (lambda r: lm_mean("/no/such/folder"), "does not load"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call(R3Reward(dots()))


def test_dot_products_below_0_are_kept_with_a_warning():
    with pytest.warns(ScorecraftWarning, match="punishes length"):
        assert reward_of(CAT, -0.8, OPEN) == pytest.approx(-0.061714286, abs=1e-6)


def test_an_unknown_scale_is_warned_of_where_it_counts():
    with pytest.warns(ScorecraftWarning, match="in_end is not known"):
        found = R3Reward(dots(**{CAT: 0.8}))(["q"], [CAT], qtypes=[CLOSED], references=["ref"])
    assert found.item() == pytest.approx(1.003102041, abs=1e-6)
    R3Reward(dots())(["q"], [CAT], qtypes=[OPEN])
    own = R3Reward(HashEmbedder(256))(["q"], ["salt"], qtypes=[CLOSED], references=["salt"])
    assert own.item() == pytest.approx(5.12)


def test_calibration_takes_the_995th_percentile_of_paraphrases():
    # Dots 0, 1, ..., 200: the percentile at .995 * 200 = 199.
    names = {f"t{i}": float(i) for i in range(201)}
    reward = R3Reward(dots(**names)).calibrate([(name, "same") for name in names])
    assert reward.in_end == pytest.approx(199.0)
    assert reward(["q"], ["t199"], qtypes=[CLOSED], references=["same"]).item() == pytest.approx(5.12)


def test_hashes_see_shared_words_and_not_where_a_batch_ends():
    texts = [f"the river number {i} crosses the valley" for i in range(300)] + ["", "ab"]
    found = HashEmbedder(1024)(texts)
    assert found.shape == (302, 1024)
    torch.testing.assert_close(found[:300].norm(dim=1), torch.ones(300))
    # " ab " has n-grams of three and four letters; the empty text is two blanks and has none.
    assert found[300].abs().sum() == 0
    assert found[301].count_nonzero() <= 3
    torch.testing.assert_close(HashEmbedder(1024)([texts[280]])[0], found[280])
    near, far = relevance(
        [texts[0]] * 2, ["The  RIVER number 0 crosses the valley", "wholly other words"], HashEmbedder()
    )
    assert near.item() == pytest.approx(1.0, abs=1e-6)
    assert abs(far.item()) < 0.2


def test_a_hash_counts_signed_n_grams():
    # "a b" becomes " a b ": trigrams " a ", "a b", " b ", each +1 or -1 at its place, divided by sqrt 3.
    found = HashEmbedder(2**16, 3, 3)(["a b"])[0]
    assert found.count_nonzero() == 3
    torch.testing.assert_close(found[found != 0].abs(), torch.full((3,), 3**-0.5))


def test_lsa_of_full_rank_is_the_cosine_of_tf_idf():
    corpus = ["soap water", "salt water", "salt salt"]
    embed = LsaEmbedder.fit(corpus, dim=10)
    # df of soap, water, salt: 1, 2, 2 of 3 documents.
    rare, common = 1 + math.log(4 / 2), 1 + math.log(4 / 3)
    expected = common**2 / math.sqrt(rare**2 + common**2) / math.sqrt(2 * common**2)
    found = relevance([corpus[0], corpus[1], corpus[0]], [corpus[1], corpus[2], "unknown"], embed)
    assert found.tolist() == pytest.approx([expected, 1 / math.sqrt(2), 0.0], abs=1e-6)
    torch.testing.assert_close(embed(corpus).norm(dim=1), torch.ones(3))


def test_lsa_of_low_rank_brings_words_of_one_topic_together():
    corpus = ["soap water", "soap foam", "water foam", "lamp light", "lamp glow", "light glow"] * 2
    embed = LsaEmbedder.fit(corpus, dim=2)
    same, other = relevance(["soap"] * 2, ["foam", "glow"], embed).tolist()
    # The topic's direction is (1, 1, 1) / sqrt 3, of which each word has 1 / sqrt 3.
    assert same == pytest.approx(1 / 3, abs=1e-6)
    assert abs(other) < 1e-6


@pytest.fixture(scope="module")
def policy():
    return Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")


def test_mean_pooling_counts_every_token_once_and_no_padding(policy):
    embed = MeanPooledEmbedder(policy.model, policy.tokenizer, batch_size=2)
    together = embed(["12+7", "a longer text than that", "x"])
    ids = torch.tensor([policy.tokenizer("12+7")["input_ids"]])
    with torch.no_grad():
        hidden = policy.model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(together[0], hidden[0].mean(0))
    torch.testing.assert_close(embed(["x"])[0], together[2])
    assert embed([]).shape == (0, 16)


def test_mean_pooling_reads_the_end_of_a_long_text(policy):
    short = MeanPooledEmbedder(policy.model, policy.tokenizer, max_length=3)
    ids = torch.tensor([policy.tokenizer("abcdef")["input_ids"][-3:]])
    with torch.no_grad():
        expected = policy.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0].mean(0)
    torch.testing.assert_close(short(["abcdef"])[0], expected)


def test_any_saved_model_can_be_loaded_and_centred(policy, tmp_path):
    policy.save(tmp_path)
    embed = lm_mean(str(tmp_path))
    torch.testing.assert_close(embed(["12"]), MeanPooledEmbedder(policy.model, policy.tokenizer)(["12"]))
    texts = ["1+2", "3+4", "5"]
    centred = CenteredEmbedder.fit(embed, texts)
    torch.testing.assert_close(centred(texts).mean(0), torch.zeros(16), atol=1e-6, rtol=0)


class Letters:
    name = "letters"

    def problems(self, split, start, count):
        return [Problem(f"Tell me about soap number {i}.", "soap", gold="Soap cleans.") for i in range(count)]


@pytest.fixture
def rollouts(make_rollouts):
    problems = (
        Problem("Tell me about soap.", "soap", gold="Soap cleans with water."),
        Problem("How many legs has a spider?", "8"),
        Problem("Anything", "x", metadata={"query_type": CLOSED}),
    )
    texts = ("Tell me about soap.", "8", "x")
    return make_rollouts([[1], [1], [1]], [0, 1, 2], texts=texts, problems=problems)


def context(reference=None):
    return Context(Letters(), torch.Generator(), reference=reference)


def test_the_part_takes_types_from_metadata_or_by_rule(rollouts):
    scores = RelevanceReward()(rollouts, context())
    assert scores.metrics["open"].tolist() == [1.0, 0.0, 0.0]
    # The copy has relevance 1, five tokens and no repetition; the others match their reference, F(1) = 5.12.
    assert scores.values.tolist() == pytest.approx([0.05, 5.12, 5.12])
    assert scores.metrics["copied"].tolist() == [1.0, 0.0, 0.0]
    closed = RelevanceReward(query_types="closed")(rollouts, context())
    assert closed.metrics["relevance"][0].item() == pytest.approx(
        relevance(["Soap cleans with water."], ["Tell me about soap."], HashEmbedder()).item(), abs=1e-6
    )
    opened = RelevanceReward(query_types="open", length=False, repetition=False)(rollouts, context())
    assert opened.values[0].item() == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:relevance. some dot products")
def test_the_part_opens_every_embedder(rollouts, policy, tmp_path):
    assert RelevanceReward(embedder="lsa", dim=8)(rollouts, context()).values[0].item() > 0
    policy.save(tmp_path)
    given = RelevanceReward(embedder="lm-mean", model=str(tmp_path), in_end=1.0)(rollouts, context())
    frozen = RelevanceReward(embedder="lm-mean", model="reference", in_end=1.0)
    torch.testing.assert_close(frozen(rollouts, context(policy)).values, given.values)
    with pytest.raises(ScorecraftError, match="needs a 'kl' section"):
        RelevanceReward(embedder="lm-mean", model="reference")(rollouts, context())
    centred = RelevanceReward(embedder="lm-mean", model=str(tmp_path), in_end=1.0, center=True)(rollouts, context())
    assert centred.values.tolist() != pytest.approx(given.values.tolist())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"embedder": "lm-mean"}, "lm-mean and model belong together"),
        ({"model": "x"}, "lm-mean and model belong together"),
        ({"dim": 100}, "power of 2"),
        ({"relevance": False}, "set branching: false"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        RelevanceReward(**options)


def test_effect_length_without_the_penalty_pays_for_repeating_the_query():
    query = "tell me about the old river"
    once, often = query, " ".join([query] * 20)

    def scores(**options):
        return R3Reward(HashEmbedder(), branching=False, **options)([query] * 2, [once, often]).tolist()

    farmed, full = scores(repetition=False), scores()
    assert farmed[1] > 15 * farmed[0]
    assert full[1] < 2 * full[0]
    (finding,) = [f for f in lint(Recipe(reward={"relevance": {"repetition": False}})) if f.kind == "danger"]
    assert "over and over" in str(finding)
    assert not [f for f in lint(Recipe(reward={"relevance": {}})) if f.kind == "danger"]
