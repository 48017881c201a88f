"""Supervised training on traces: the policy learns its own tokens, never those a tool or the user inserts.

One class, one loss, one schedule. The forward pass is the one that reinforcement learning uses: its rows of tokens
lie flat, so that padding costs nothing and no trace can see another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError, TrainingStopped
from scorecraft.lm.logprobs import sampled_logprobs

if TYPE_CHECKING:
    from scorecraft.lm.policy import Policy


@dataclass(frozen=True, slots=True)
class Example:
    """One trace as tokens, prompt included, and which of them the policy learns to produce."""

    tokens: tuple[int, ...]
    learned: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples padded on the right to one width; ``learned`` is False on prompt, inserted text and padding."""

    tokens: Int64[Tensor, "row token"]
    learned: Bool[Tensor, "row token"]
    lengths: Int64[Tensor, " row"]


@dataclass(frozen=True)
class SupervisedSettings:
    """How supervised training steps.

    steps: length of the learning-rate schedule; after it the rate stays at its floor.
    learning_rate: the peak, reached after ``warmup_steps`` and followed by a half cosine.
    floor: what is left of the peak at the end, as a fraction.
    weight_decay: decoupled, on matrices only.
    clip_norm: the largest norm of the whole gradient.
    """

    steps: int = 300
    learning_rate: float = 2e-3
    warmup_steps: int = 20
    floor: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0


def trace_example(
    policy: Policy, prompt: str, segments: Sequence[tuple[str, bool]], *, tool_call_end: str | None = None
) -> Example:
    """Return a trace as an example: prompt, segments, and the end token after each of the policy's turns.

    Args:
        policy: whose tokenizer and end token are used.
        prompt: the problem's text; never learned.
        segments: ``(text, by_policy)`` in order; text that is not by the policy is never learned.
        tool_call_end: a segment that ends with it hands over to a tool without an end token.

    Raises:
        ScorecraftError: where no token is by the policy, or the trace is longer than the policy's context.
    """
    tokens = list(policy.encode_prompt(prompt))
    learned = [False] * len(tokens)
    end = policy.tokenizer.eos_token_id
    for index, (text, by_policy) in enumerate(segments):
        ids = policy.encode(text)
        last = index + 1 == len(segments)
        calls_tool = tool_call_end is not None and text.endswith(tool_call_end)
        closes_turn = by_policy and not calls_tool and (last or not segments[index + 1][1])
        if closes_turn and isinstance(end, int):
            ids = [*ids, end]
        tokens += ids
        learned += [by_policy] * len(ids)
    if not any(learned):
        raise ScorecraftError("trace without a segment by the policy: supervised training has nothing to learn from it")
    if len(tokens) > policy.context_length:
        raise ScorecraftError(
            f"trace of {len(tokens)} tokens does not fit the {policy.context_length} tokens of context of "
            f"'{policy.name}': take shorter problems or a policy with a longer context"
        )
    return Example(tuple(tokens), tuple(learned))


def collate(examples: Sequence[Example], pad_id: int) -> Batch:
    """Return examples as one batch, padded on the right to the longest of them."""
    width = max(len(example.tokens) for example in examples)
    tokens = torch.full((len(examples), width), pad_id, dtype=torch.int64)
    learned = torch.zeros((len(examples), width), dtype=torch.bool)
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        learned[row, : len(example.tokens)] = torch.tensor(example.learned)
    return Batch(tokens, learned, torch.tensor([len(example.tokens) for example in examples]))


def shuffled_batches(examples: Sequence[Example], batch_size: int, pad_id: int, random: Random) -> list[Batch]:
    """Return one epoch of batches in the order that ``random`` decides; the last may have fewer rows.

    Rows of similar length are not put side by side: padding costs next to nothing here, and batches of one
    length each make a small model learn the lengths by turns.
    """
    order = list(examples)
    random.shuffle(order)
    return [collate(order[start : start + batch_size], pad_id) for start in range(0, len(order), batch_size)]


def supervised_loss(policy: Policy, batch: Batch) -> Float32[Tensor, ""]:
    """Return the mean negative log-likelihood (nats) of the learned tokens: -mean log p(x_t | x_<t).

    The first token of a row stands as its prompt, so it is never learned.
    """
    device = policy.device
    tokens, learned = batch.tokens.to(device), batch.learned.to(device)
    rows = len(tokens)
    logprobs, _ = sampled_logprobs(
        policy,
        tokens[:, :1],
        torch.ones(rows, dtype=torch.int64, device=device),
        tokens[:, 1:],
        batch.lengths.to(device) - 1,
        torch.arange(rows, device=device),
        learned[:, 1:],
    )
    return -logprobs.mean()


def learning_rate(settings: SupervisedSettings, step: int) -> float:
    """Return the learning rate of a step: a linear warm-up, a half cosine down to the floor, then the floor."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    span = max(settings.steps - settings.warmup_steps, 1)
    part = min((step - settings.warmup_steps) / span, 1.0)
    share = settings.floor + (1.0 - settings.floor) * 0.5 * (1.0 + math.cos(math.pi * part))
    return settings.learning_rate * share


class SupervisedTrainer:
    """AdamW with warm-up and cosine decay, one batch at a time; draws no random number of its own."""

    def __init__(self, policy: Policy, settings: SupervisedSettings) -> None:
        model = policy.model
        matrices = [weight for weight in model.parameters() if weight.requires_grad and weight.ndim >= 2]
        others = [weight for weight in model.parameters() if weight.requires_grad and weight.ndim < 2]
        self.policy, self.settings, self.step_count, self._schedule_start = policy, settings, 0, 0
        self._weights = [*matrices, *others]
        self._optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
        )

    def restart_schedule(self) -> None:
        """Let the learning rate warm up and fall once more, from the next step on."""
        self._schedule_start = self.step_count

    def step(self, batch: Batch) -> float:
        """Learn from one batch and return its loss; raises `TrainingStopped` before a step on a loss that is NaN."""
        self.policy.model.train()
        loss = supervised_loss(self.policy, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            self._optimizer.zero_grad()
            self.policy.model.eval()
            raise TrainingStopped(
                f"supervised loss is {value} at step {self.step_count}; lower the learning rate "
                f"({self.settings.learning_rate})"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._weights, self.settings.clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step_count - self._schedule_start)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.policy.model.eval()
        self.step_count += 1
        return value


def train_supervised(policy: Policy, batches: Iterable[Batch], settings: SupervisedSettings) -> list[float]:
    """Train a policy in place on the batches in order, and return the loss (nats a token) of each."""
    trainer = SupervisedTrainer(policy, settings)
    return [trainer.step(batch) for batch in batches]
