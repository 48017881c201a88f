"""Measures the reasoning depth of given completions, step by step, with one forward pass of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.credit.reasoning_depth.depth_features import NAMES, DepthFeatures, depth_features, step_attention
from scorecraft.credit.reasoning_depth.logit_lens import checked_layers, late_layers
from scorecraft.credit.reasoning_depth.reasoning_scores import (
    DepthScores,
    DepthThreshold,
    TokenMeasurements,
    reasoning_scores,
    step_means,
    step_perplexity,
    token_measurements,
)
from scorecraft.errors import ScorecraftError
from scorecraft.lm.hidden_states import HiddenStates, Lens, hidden_states, layer_count, lens_of
from scorecraft.lm.policy import Policy


@dataclass(frozen=True, eq=False)
class StepDepths:
    """What a policy's layers say of every step of a batch of completions.

    depth: Reasoning Scores, in nats.
    perplexity: exp of the mean negative log-probability of each step's tokens.
    entropy: mean entropy (nats) of the distributions that each step's tokens come from.
    attention: from step to step; None where not asked for.
    """

    depth: DepthScores
    perplexity: Float32[Tensor, "rollout step"]
    entropy: Float32[Tensor, "rollout step"]
    attention: Float32[Tensor, "rollout step step"] | None

    def features(self, *, early: int = 4, late_ratio: float = 0.5, tau: DepthThreshold | None = None) -> DepthFeatures:
        """Return the features of every chain; see `scorecraft.credit.reasoning_depth.depth_features`."""
        return depth_features(self.depth, self.perplexity, self.attention, early=early, late_ratio=late_ratio, tau=tau)

    def chain_metrics(self) -> dict[str, Float32[Tensor, " rollout"]]:
        """Return each feature that was measured, by name, NaN for completions without a step."""
        some = self.depth.step_mask.any(1)
        out = {}
        if bool(some.any()):
            kept = replace(self.depth, values=self.depth.values[some], step_mask=self.depth.step_mask[some])
            attended = None if self.attention is None else self.attention[some]
            table = depth_features(kept, self.perplexity[some], attended).table
            for column, name in enumerate(NAMES):
                if name != "backtracking" or attended is not None:
                    out[name] = torch.full((len(some),), float("nan"))
                    out[name][some] = table[:, column].float()
        return out


@torch.no_grad()
def score_step_depths(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    steps: Sequence[Sequence[int]],
    *,
    layers: Sequence[int] | None = None,
    attention: bool = False,
    tokens_per_batch: int = 4096,
    lens: Lens | None = None,
) -> StepDepths:
    """Return the depth of every step, with the perplexity, entropy and attention that detectors read; see `Policy`.

    A token's depth is that of the state at the token itself; its log-probability comes from the state before it.
    """
    _check(policy, prompts, completions, steps)
    count = layer_count(policy.model)
    chosen = checked_layers(late_layers(count) if layers is None else layers, count)
    lens = lens or lens_of(policy.model)
    width = max(map(len, completions), default=0)
    tables = [torch.zeros(len(completions), width) for _ in range(3)]
    labels = torch.full((len(completions), width), -1, dtype=torch.int64)
    for row, own in enumerate(steps):
        labels[row, : len(own)] = torch.tensor(list(own), dtype=torch.int64)
    most = int(labels.max()) + 1 if labels.numel() else 0
    attended = torch.zeros(len(completions), most, most) if attention else None
    for rows in _batches(prompts, completions, tokens_per_batch):
        texts = [[*prompts[row], *completions[row]] for row in rows]
        states = _states(policy, texts, chosen, attention, lens)
        for place, row in enumerate(rows):
            start, end = len(prompts[row]), len(texts[place])
            found = _measure(states, place, texts[place], start, lens)
            # Position t - 1 says what token t's probability was, and position t what its depth is.
            for table, values in zip(tables, (found.depth[1:], found.logprob[:-1], found.entropy[:-1]), strict=True):
                table[row, : end - start] = values.cpu()
            if attended is not None and states.attention is not None:
                own = states.attention[place : place + 1, start:end, start:end].cpu()
                of_steps = step_attention(own, labels[row : row + 1, : end - start])
                attended[row, : of_steps.shape[1], : of_steps.shape[2]] = of_steps[0]
    depth, logprobs, entropies = tables
    vocabulary = int(policy.model.config.get_text_config().vocab_size)
    scores = reasoning_scores(depth, labels, vocabulary=vocabulary, layers=chosen)
    return StepDepths(scores, step_perplexity(logprobs, labels), step_means(entropies, labels)[0], attended)


def _states(
    policy: Policy, texts: list[list[int]], layers: tuple[int, ...], attention: bool, lens: Lens
) -> HiddenStates:
    lengths = torch.tensor([len(text) for text in texts])
    tokens = torch.full((len(texts), int(lengths.max())), policy.pad_id)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.tensor(text)
    device = policy.device
    return hidden_states(policy.model, tokens.to(device), lengths.to(device), layers, attention=attention, lens=lens)


def _measure(states: HiddenStates, place: int, text: list[int], start: int, lens: Lens) -> TokenMeasurements:
    """Return the measurements of the positions from the one before the completion to its last."""
    positions = slice(start - 1, len(text))
    # Nothing follows the last token; what is put there is cut off again.
    following = torch.tensor([*text[start:], 0], device=states.final.device)
    return token_measurements(
        states.late[:, place, positions], states.final[place, positions], following, lens.norm, lens.unembed
    )


def _batches(prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
    """Split the rows that are not empty, similar lengths together, into batches of at most ``tokens`` with padding."""
    size = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    order = sorted((row for row, completion in enumerate(completions) if completion), key=lambda row: (size[row], row))
    batches: list[list[int]] = []
    for row in order:
        if not batches or (len(batches[-1]) + 1) * size[row] > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def _check(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    steps: Sequence[Sequence[int]],
) -> None:
    if not len(prompts) == len(completions) == len(steps):
        raise ScorecraftError(
            f"step_depths: {len(prompts)} prompts, {len(completions)} completions and {len(steps)} rows of steps; "
            "give each completion its own"
        )
    vocabulary = policy.model.config.get_text_config().vocab_size
    for row, (prompt, completion, own) in enumerate(zip(prompts, completions, steps, strict=True)):
        if len(own) != len(completion):
            raise ScorecraftError(
                f"step_depths: completion {row} has {len(completion)} tokens, but {len(own)} step indices; give one "
                "for each token, -1 outside any step"
            )
        if not prompt:
            raise ScorecraftError(f"step_depths: prompt {row} is empty; begin with the beginning-of-sequence token")
        if len(prompt) + len(completion) > policy.context_length:
            raise ScorecraftError(
                f"step_depths: prompt {row} has {len(prompt)} tokens and its completion {len(completion)}, beyond the "
                f"{policy.context_length} tokens of context of '{policy.name}'; shorten either"
            )
        outside = [token for token in (*prompt, *completion) if not 0 <= token < vocabulary]
        if outside:
            raise ScorecraftError(
                f"step_depths: token {outside[0]} of row {row} is not in the vocabulary of '{policy.name}' (0 to "
                f"{vocabulary - 1}); measure a text with the tokens of the model's own tokenizer"
            )
