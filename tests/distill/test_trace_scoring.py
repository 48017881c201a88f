"""Traces under real students: against a plain loop, in any batch, through every kind of head; data sets and TRL."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from scorecraft.distill.trace_encoding import EncodedTrace
from scorecraft.distill.trace_scoring import (
    ScoringSettings,
    TraceScorer,
    fingerprint,
    rank_surprisal_columns,
    score_traces,
)
from scorecraft.distill.trace_selection import lowest_per_group
from scorecraft.errors import ScorecraftError, ScorecraftWarning

ROWS = [
    {"prompt": "Two plus three?", "completion": "It is five.", "teacher": "plain"},
    {"prompt": "Two plus three?", "completion": "Take two and add three, which gives five. So 5.", "teacher": "long"},
    {"prompt": "What is 12 and 7?", "completion": "19", "teacher": "plain"},
]  # fmt: skip


def by_loop(model, trace):
    """Return ranks and surprisals by the plain way: whole logits of one trace."""
    with torch.no_grad():
        logprobs = model(torch.tensor(trace.tokens)[None]).logits[0].double().log_softmax(-1)
    rank, surprisal = [], []
    for place, wanted in enumerate(trace.response):
        if wanted:
            own = logprobs[place - 1]
            rank.append(1 + int((own > own[trace.tokens[place]]).sum()))
            surprisal.append(-float(own[trace.tokens[place]]))
    return rank, surprisal


def random_traces(vocabulary, count, longest, seed=0):
    draws = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(count):
        length = int(torch.randint(2, longest, (1,), generator=draws))
        start = int(torch.randint(1, length, (1,), generator=draws))
        tokens = torch.randint(0, vocabulary, (length,), generator=draws).tolist()
        out.append(EncodedTrace(tuple(tokens), tuple(place >= start for place in range(length))))
    return out


@pytest.mark.parametrize("tokens_per_batch", [1, 200, 5000])
def test_scores_are_those_of_a_plain_loop_in_any_batch(gpt2, gpt2_tokenizer, tokens_per_batch):
    traces = random_traces(len(gpt2_tokenizer), 12, 100)
    settings = ScoringSettings(tokens_per_batch=tokens_per_batch, rows_per_block=7)
    for trace, own in zip(
        traces, TraceScorer(gpt2, gpt2_tokenizer, settings).token_scores(traces, entropy=True), strict=True
    ):
        rank, surprisal = by_loop(gpt2, trace)
        assert own.rank.tolist() == rank
        assert own.surprisal.tolist() == pytest.approx(surprisal, abs=1e-4)
        assert own.entropy is not None
        assert len(own.entropy) == len(rank)


def test_the_tunnels_policy_against_its_own_log_probabilities(tunnel):
    prompts, answers = ["12+7-3=?\n", "5-9=?\n"], ["12+7=19\n19-3=16\n#16", "#4"]
    rows = [{"prompt": p, "completion": a} for p, a in zip(prompts, answers, strict=True)]
    records = score_traces(tunnel.model, tunnel.tokenizer, rows, name="tunnel-tiny")
    completions = [[*tunnel.encode(answer), tunnel.tokenizer.eos_token_id] for answer in answers]
    logprobs = tunnel.score_tokens([tunnel.encode_prompt(prompt) for prompt in prompts], completions)
    for record, own, completion in zip(records, logprobs, completions, strict=True):
        assert record.tokens == len(completion)
        assert record.average_surprisal == pytest.approx(-float(own.sum()) / len(completion), abs=1e-4)
        assert record.rsr == pytest.approx(record.average_rank / record.average_surprisal)
        assert record.student.startswith("tunnel-tiny@")
    # Its own way to write, right, has the first rank nearly everywhere; a bare wrong answer has not.
    assert records[0].average_rank < 1.5 < records[1].average_rank
    assert records[0].average_surprisal < records[1].average_surprisal


@pytest.mark.parametrize("kind", ["soft cap", "divided", "multiplied", "no body"])
def test_what_follows_the_head_is_not_forgotten(gpt2_tokenizer, kind):
    from transformers import (
        CohereConfig,
        CohereForCausalLM,
        Gemma2Config,
        Gemma2ForCausalLM,
        GraniteConfig,
        GraniteForCausalLM,
    )

    torch.manual_seed(0)
    size = {
        "vocab_size": len(gpt2_tokenizer), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.5,
        "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    if kind == "multiplied":
        model = CohereForCausalLM(CohereConfig(**size, logit_scale=0.25))
    elif kind == "divided":
        model = GraniteForCausalLM(GraniteConfig(**size, logits_scaling=4.0))
    else:
        model = Gemma2ForCausalLM(Gemma2Config(**size, head_dim=16, final_logit_softcapping=2.0, sliding_window=64))
    scorer = TraceScorer(model.eval(), gpt2_tokenizer)
    assert scorer._head is not None
    if kind == "no body":
        scorer._head = None  # as for a model whose logits its head does not explain
    traces = random_traces(len(gpt2_tokenizer), 5, 30)
    for trace, own in zip(traces, scorer.token_scores(traces), strict=True):
        rank, surprisal = by_loop(model, trace)
        assert own.rank.tolist() == rank
        assert own.surprisal.tolist() == pytest.approx(surprisal, abs=1e-4)


def test_a_head_that_is_not_understood_is_not_used(gpt2, gpt2_tokenizer):
    other = copy.deepcopy(gpt2)
    plain = other.forward
    # The logits of every other token are doubled behind the head.
    weights = 1.0 + torch.arange(len(gpt2_tokenizer)) % 2

    def forward(*arguments, **options):
        out = plain(*arguments, **options)
        out.logits = out.logits * weights
        return out

    other.forward = forward
    scorer = TraceScorer(other, gpt2_tokenizer)
    assert scorer._head is None
    trace = random_traces(len(gpt2_tokenizer), 1, 30)[0]
    assert scorer.token_scores([trace])[0].rank.tolist() == by_loop(other, trace)[0]


def test_the_model_is_left_as_it_was(gpt2, gpt2_tokenizer):
    other = copy.deepcopy(gpt2).train()  # with dropout, which must not touch the scores
    scorer = TraceScorer(other, gpt2_tokenizer)
    traces = random_traces(len(gpt2_tokenizer), 2, 30)
    first, again = scorer.token_scores(traces), scorer.token_scores(traces)
    assert other.training
    assert [own.surprisal.tolist() for own in first] == [own.surprisal.tolist() for own in again]
    assert all(weight.grad is None for weight in other.parameters())


def test_traces_without_a_response_are_left_out_with_a_warning(gpt2, gpt2_tokenizer):
    rows = [*ROWS, {"prompt": "x", "completion": ""}, {"prompt": "word " * 200, "completion": "five"}]
    with pytest.warns(ScorecraftWarning, match="2 traces were left out; trace 4: no response tokens to score"):
        records = score_traces(gpt2, gpt2_tokenizer, rows)
    assert [record.row for record in records] == [1, 2, 3]
    assert records[0].group == records[1].group != records[2].group
    scorer = TraceScorer(gpt2, gpt2_tokenizer)
    from scorecraft.distill.trace_encoding import read_trace

    with pytest.raises(ScorecraftError, match="prompt alone fills the 128 tokens"):
        scorer.encode(read_trace(rows[-1]))


def test_what_is_cut_off_is_reported(gpt2, gpt2_tokenizer):
    whole = score_traces(gpt2, gpt2_tokenizer, ROWS)
    short = score_traces(gpt2, gpt2_tokenizer, ROWS, ScoringSettings(max_length=40))
    assert [record.truncated for record in whole] == [False] * 3
    assert [record.truncated for record in short] == [False, True, False]
    assert short[1].tokens < whole[1].tokens


def test_a_broken_student_is_named(gpt2, gpt2_tokenizer, tunnel):
    broken = copy.deepcopy(gpt2)
    with torch.no_grad():
        broken.transformer.ln_f.weight[0] = math.nan
    with pytest.raises(ScorecraftError, match="NaN"):
        score_traces(broken, gpt2_tokenizer, ROWS)
    with pytest.raises(ScorecraftError, match="take the model's own tokenizer"):
        score_traces(tunnel.model, gpt2_tokenizer, ROWS)
    with pytest.raises(ScorecraftError, match="rank_clip"):
        ScoringSettings(rank_clip=0)


def test_another_student_has_another_fingerprint(gpt2, gpt2_tokenizer, tunnel):
    own = fingerprint(gpt2, gpt2_tokenizer)
    other = copy.deepcopy(gpt2)
    assert fingerprint(other, gpt2_tokenizer) == own
    with torch.no_grad():
        other.transformer.ln_f.weight[0] += 1e-3
    assert fingerprint(other, gpt2_tokenizer) != own
    assert fingerprint(gpt2, tunnel.tokenizer) != own


def test_a_data_set_gets_columns_and_trains_on_the_lowest(gpt2, gpt2_tokenizer):
    from datasets import Dataset

    rows = [*ROWS, {"prompt": "x", "completion": "", "teacher": "empty"}]
    records = score_traces(gpt2, gpt2_tokenizer, ROWS)
    found = Dataset.from_list(rows).map(
        rank_surprisal_columns(gpt2, gpt2_tokenizer), batched=True, batch_size=2, load_from_cache_file=False
    )
    assert found["rsr"][:3] == pytest.approx([record.rsr for record in records], rel=1e-5)
    assert found["tokens"] == [*(record.tokens for record in records), 0]
    assert math.isinf(found["rsr"][3])
    chosen = found.select(lowest_per_group(found["group"], found["rsr"]))
    assert len(chosen) == 3
    assert chosen["teacher"][0] == min(records[:2], key=lambda record: record.rsr).teacher
