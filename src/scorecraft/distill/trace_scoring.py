"""Scores traces under any Hugging Face causal student: batches through its body, blocks through its vocabulary.

The logits of a batch are never held. Rows are padded on the right and go without an attention mask: under causal
attention no token of a row sees its padding, and without a mask attention takes the fast and small way.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.distill.rank_surprisal import (
    RANK_CLIP,
    ROWS_PER_BLOCK,
    TokenScores,
    projected_rank_surprisal,
)
from scorecraft.distill.trace_encoding import Chat, EncodedTrace, Trace, TraceColumns, encode_trace, read_trace
from scorecraft.distill.trace_selection import TraceRecord, trace_record
from scorecraft.errors import ScorecraftError, ScorecraftWarning

_SAMPLED = 16  # numbers of every weight that make a student's fingerprint


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """How traces are scored.

    rank_clip: the largest rank that counts; one above the vocabulary's size cannot bite.
    max_length: tokens of a trace that are kept, never more than the student's context.
    tokens_per_batch: tokens, padding counted, that go through the student at a time; a longer trace goes alone.
    rows_per_block: positions whose logits are held at a time.
    chat: "always" renders the tokenizer's chat template, "never" takes plain text, "auto" renders where there is one.
    turn_end: whether the token that ends a turn is scored.
    """

    rank_clip: int = RANK_CLIP
    max_length: int = 32768
    tokens_per_batch: int = 2048
    rows_per_block: int = ROWS_PER_BLOCK
    chat: Chat = "auto"
    turn_end: bool = True

    def __post_init__(self) -> None:
        for name in ("rank_clip", "max_length", "tokens_per_batch", "rows_per_block"):
            if getattr(self, name) < 1:
                raise ScorecraftError(f"{name}: expected at least 1, got {getattr(self, name)}")


class TraceScorer:
    """A student with its tokenizer, ready to score traces; the model is left as it was.

    Args:
        model: a Hugging Face causal language model.
        tokenizer: its fast tokenizer.
        settings: how to score.
        name: the student's, for records.
    """

    def __init__(
        self, model: Any, tokenizer: Any, settings: ScoringSettings | None = None, *, name: str | None = None
    ) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings or ScoringSettings()
        config = model.config.get_text_config()
        context = getattr(config, "max_position_embeddings", None)
        self.max_length = min(self.settings.max_length, context or self.settings.max_length)
        self.vocabulary = int(config.vocab_size)
        self.student = f"{name or model.name_or_path or type(model).__name__}@{fingerprint(model, tokenizer)}"
        self._head = _head_of(model)

    def encode(self, trace: Trace) -> EncodedTrace:
        """Return a trace as tokens; see `encode_trace`. Raises `ScorecraftError` also where no token is to be scored.

        A trace without response tokens has no ratio; giving it 0 would make it the best of all.
        """
        found = encode_trace(
            trace, self.tokenizer, max_length=self.max_length, chat=self.settings.chat, turn_end=self.settings.turn_end
        )
        if not any(found.response):
            why = f"its prompt alone fills the {self.max_length} tokens that are kept" if found.truncated else "empty"
            raise ScorecraftError(f"no response tokens to score ({why})")
        return found

    @torch.inference_mode()
    def token_scores(self, traces: Sequence[EncodedTrace], *, entropy: bool = False) -> list[TokenScores]:
        """Return rank and surprisal of each trace's response tokens, on the processor.

        Raises `ScorecraftError` as `token_rank_surprisal` does, with the trace's place.
        """
        found: list[TokenScores | None] = [None] * len(traces)
        with _evaluating(self.model):
            for rows in _batches(traces, self.settings.tokens_per_batch if self._head else 1):
                scores = self._batch([traces[row] for row in rows], entropy)
                for row, own in zip(rows, scores, strict=True):
                    found[row] = own
        return [own for own in found if own is not None]

    def record(self, trace: Trace, encoded: EncodedTrace, scores: TokenScores, row: int) -> TraceRecord:
        """Return the record of a scored trace."""
        return trace_record(
            scores, row=row, id=trace.id, group=trace.group, teacher=trace.teacher, truncated=encoded.truncated,
            student=self.student, rank_clip=self.settings.rank_clip,
        )  # fmt: skip

    def _batch(self, traces: Sequence[EncodedTrace], entropy: bool) -> list[TokenScores]:
        device, width = self.model.device, max(len(trace.tokens) for trace in traces)
        tokens = torch.zeros((len(traces), width), dtype=torch.int64)
        wanted = torch.zeros((len(traces), width), dtype=torch.bool)
        for row, trace in enumerate(traces):
            tokens[row, : len(trace.tokens)] = torch.tensor(trace.tokens)
            wanted[row, : len(trace.response)] = torch.tensor(trace.response)
        _check_vocabulary(tokens, self.vocabulary)
        tokens, wanted = tokens.to(device), wanted.to(device)[:, 1:]
        if self._head is None:
            states, project = self.model(input_ids=tokens, use_cache=False).logits, _unchanged
        else:
            states, project = self.model.base_model(input_ids=tokens, use_cache=False)[0], self._head
        # A copy of what is needed lets go of the rest.
        states, targets = states[:, :-1][wanted], tokens[:, 1:][wanted]
        scores = projected_rank_surprisal(
            states, project, targets, rows_per_block=self.settings.rows_per_block, entropy=entropy
        )
        counts = wanted.sum(1).tolist()
        columns = [[None] * len(counts) if part is None else part.cpu().split(counts) for part in scores]
        return [TokenScores(*own) for own in zip(*columns, strict=True)]


@implements("rank-surprisal")
def score_traces(
    model: Any,
    tokenizer: Any,
    rows: Iterable[Mapping[str, Any]],
    settings: ScoringSettings | None = None,
    *,
    columns: TraceColumns | None = None,
    name: str | None = None,
) -> list[TraceRecord]:
    """Return a record for each trace, in order; one that cannot be scored is left out with a `ScorecraftWarning`.

    Args:
        model: a Hugging Face causal language model, the student before it is trained.
        tokenizer: its fast tokenizer.
        rows: with "messages", or a prompt and a response; see `read_trace`.
        settings: how to score.
        columns: which column holds what.
        name: the student's, for the records.

    Raises `ScorecraftError` for logits that are NaN, or a tokenizer that is not the model's.
    """
    scorer = TraceScorer(model, tokenizer, settings, name=name)
    read, dropped = [], []
    for number, row in enumerate(rows, start=1):
        try:
            trace = read_trace(row, columns, number)
            read.append((number, trace, scorer.encode(trace)))
        except ScorecraftError as error:
            dropped.append(f"trace {number}: {error}")
    if dropped:
        warnings.warn(f"{len(dropped)} traces were left out; {dropped[0]}", ScorecraftWarning, stacklevel=2)
    scores = scorer.token_scores([encoded for _, _, encoded in read])
    return [
        scorer.record(trace, encoded, own, number)
        for (number, trace, encoded), own in zip(read, scores, strict=True)
    ]  # fmt: skip


def rank_surprisal_columns(
    model: Any, tokenizer: Any, settings: ScoringSettings | None = None, *, columns: TraceColumns | None = None
) -> Callable[[Mapping[str, Sequence[Any]]], dict[str, list[Any]]]:
    """Return a function for ``datasets.Dataset.map(..., batched=True)`` that adds what `TraceRecord` holds.

    The new columns are "group", "tokens", "average_rank", "average_surprisal" and "rsr". Rows that cannot be scored
    have 0 tokens and an infinite ratio. To train on one trace a prompt, as TRL's ``SFTTrainer`` takes it:
    ``dataset.select(lowest_per_group(dataset["group"], dataset["rsr"]))``.

    Args:
        model: a Hugging Face causal language model.
        tokenizer: its fast tokenizer.
        settings: how to score.
        columns: which column holds what.
    """
    scorer = TraceScorer(model, tokenizer, settings)

    def add(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        out = {
            "group": [""] * len(rows), "tokens": [0] * len(rows), "average_rank": [float("nan")] * len(rows),
            "average_surprisal": [float("nan")] * len(rows), "rsr": [float("inf")] * len(rows),
        }  # fmt: skip
        read = []
        for place, row in enumerate(rows):
            try:
                trace = read_trace(row, columns, place + 1)
                out["group"][place] = trace.group
                read.append((place, trace, scorer.encode(trace)))
            except ScorecraftError:
                continue
        for (place, trace, encoded), own in zip(read, scorer.token_scores([own for *_, own in read]), strict=True):
            record = scorer.record(trace, encoded, own, place + 1)
            for column in ("tokens", "average_rank", "average_surprisal", "rsr"):
                out[column][place] = getattr(record, column)
        return out

    return add


@torch.no_grad()
def fingerprint(model: Any, tokenizer: Any) -> str:
    """Return a short hash of some numbers of every weight, the tokenizer and its template: another student, another."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        flat = weight.detach().flatten()
        some = flat[:: max(1, len(flat) // _SAMPLED)][:_SAMPLED].float().cpu()
        digest.update(f"{name} {tuple(weight.shape)} {some.tolist()}".encode())
    digest.update(f"{tokenizer.backend_tokenizer.to_str()}{tokenizer.chat_template}".encode())
    return digest.hexdigest()[:12]


def _unchanged(rows: Tensor) -> Tensor:
    return rows


def _head_of(model: Any) -> Callable[[Tensor], Tensor] | None:
    """Return what turns the body's states into the model's own logits, None where that is not found.

    What is known to follow the output embeddings is a scale and a soft cap; a short text says whether it is all.
    """
    head, body = model.get_output_embeddings(), model.base_model
    if head is None or body is model:
        return None
    config = model.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)

    def project(rows: Tensor) -> Tensor:
        logits = head(rows)
        logits = logits if scale == 1.0 else logits * scale
        return logits if cap is None else torch.tanh(logits / cap) * cap

    probe = torch.arange(min(4, config.vocab_size), device=model.device)[None]
    with torch.inference_mode(), _evaluating(model):
        states = body(input_ids=probe, use_cache=False)[0]
        wanted = model(input_ids=probe, use_cache=False).logits
        if states.shape[-1] != getattr(head, "in_features", states.shape[-1]):
            return None
        found = project(states)
    same = found.shape == wanted.shape and torch.allclose(found.float(), wanted.float(), rtol=1e-4, atol=1e-4)
    return project if same else None


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _batches(traces: Sequence[EncodedTrace], tokens: int) -> list[list[int]]:
    """Return rows of similar length in batches of at most ``tokens`` with padding, the longest first.

    What is too much for the memory so fails at once, not at the end.
    """
    order = sorted(range(len(traces)), key=lambda row: (-len(traces[row].tokens), row))
    batches: list[list[int]] = []
    for row in order:
        if not batches or (len(batches[-1]) + 1) * len(traces[batches[-1][0]].tokens) > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def _check_vocabulary(tokens: Tensor, vocabulary: int) -> None:
    if int(tokens.max()) >= vocabulary or int(tokens.min()) < 0:
        bad = int(tokens[(tokens >= vocabulary) | (tokens < 0)][0])
        raise ScorecraftError(
            f"token {bad} is outside the student's vocabulary (0 to {vocabulary - 1}); take the model's own tokenizer"
        )
