"""Log-probabilities of completion tokens, with gradients, without ever holding the logits of a whole batch.

The projection onto the vocabulary runs over blocks of rows that fit the processor's cache, only for tokens the
policy sampled. The gradient of the output matrix is added in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError
from scorecraft.lm import llama, transformers_backbone
from scorecraft.lm.fused import accumulate_gradient, on_cpu_float32
from scorecraft.lm.generate import left_pad
from scorecraft.lm.policy import Policy
from scorecraft.rollouts import Rollouts

ROWS_PER_BLOCK = 256
# Where a model's own forward pass holds all logits of a batch, these are at most so many numbers (256 MiB in float32).
LOGITS_AT_ONCE = 64 * 2**20


def _softmax_in_place(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Turn logits into probabilities in place; return log-sum-exp and entropy of every row."""
    if on_cpu_float32(logits):
        from scorecraft.lm.kernels import softmax_rows

        normalizer, entropy = torch.empty(len(logits)), torch.empty(len(logits))
        softmax_rows(logits.numpy(), normalizer.numpy(), entropy.numpy())
        return normalizer, entropy
    normalizer = torch.logsumexp(logits, dim=1)
    log_probabilities = logits - normalizer[:, None]
    logits.copy_(log_probabilities.exp())
    return normalizer, -(logits * log_probabilities).sum(1)


class _TokenLogprobs(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target] and the entropy; saves probabilities, not logits.

    With p = softmax(z), d logp / d z = onehot - p and d H / d z = -p (log p + H), so the gradient of the hidden
    state needs one product with the saved p, scaled row by row.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        rows, vocabulary = len(hidden), weight.shape[0]
        matrix = weight.detach()
        block_rows = rows if keep else min(rows, ROWS_PER_BLOCK)
        store = torch.empty((block_rows, vocabulary), dtype=torch.float32, device=hidden.device)
        logprobs, entropies = hidden.new_empty(rows, dtype=torch.float32), hidden.new_empty(rows, dtype=torch.float32)
        for start in range(0, rows, ROWS_PER_BLOCK):
            rows_here = slice(start, min(rows, start + ROWS_PER_BLOCK))
            block = store[rows_here] if keep else store[: rows_here.stop - start]
            if hidden.dtype == torch.float32:
                torch.mm(hidden[rows_here].detach(), matrix.T, out=block)
            else:
                block.copy_(hidden[rows_here].detach() @ matrix.T)
            chosen = block.gather(1, targets[rows_here, None])[:, 0]
            normalizer, entropies[rows_here] = _softmax_in_place(block)
            logprobs[rows_here] = chosen - normalizer
        ctx.weight, ctx.store = weight, store if keep else None
        ctx.save_for_backward(hidden, targets, entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, grad: Tensor, entropy_grad: Tensor | None) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        hidden, targets, entropies = ctx.saved_tensors
        weight, store = ctx.weight, ctx.store
        matrix = weight.detach()
        probabilities = store.to(hidden.dtype)
        ctx.store = None
        grad = grad.to(hidden.dtype)
        scaled = hidden * grad[:, None]
        hidden_grad = (matrix[targets] - probabilities @ matrix) * grad[:, None]
        if weight.requires_grad:
            total = accumulate_gradient(weight)
            total.index_add_(0, targets, scaled.to(total.dtype))
            total.addmm_(probabilities.T, scaled.to(total.dtype), alpha=-1.0)
        if entropy_grad is not None and bool(entropy_grad.any()):
            log_probabilities = store.clamp(min=torch.finfo(torch.float32).tiny).log()
            slope = -store * (log_probabilities + entropies[:, None]) * entropy_grad[:, None]
            slope = slope.to(hidden.dtype)
            hidden_grad = hidden_grad + slope @ matrix
            if weight.requires_grad:
                accumulate_gradient(weight).addmm_(slope.T, hidden)
        return hidden_grad, None, None, None


def project(
    hidden: Float[Tensor, "token width"],
    weight: Float[Tensor, "vocabulary width"],
    targets: Int64[Tensor, " token"],
    temperature: float = 1.0,
) -> tuple[Float32[Tensor, " token"], Float32[Tensor, " token"]]:
    """Return log softmax(hidden @ weight.T / temperature) at the targets, and the entropies (nats).

    Differentiable in ``hidden``; the gradient of ``weight`` is added into ``weight.grad`` in place.
    """
    if temperature != 1.0:
        hidden = hidden / temperature
    keep = torch.is_grad_enabled() and hidden.requires_grad
    return _TokenLogprobs.apply(hidden, weight, targets, keep)  # type: ignore[no-any-return]


def sampled_logprobs(
    policy: Policy,
    prompts: Int64[Tensor, "prompt prompt_token"],
    prompt_lengths: Int64[Tensor, " prompt"],
    tokens: Int64[Tensor, "rollout token"],
    lengths: Int64[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    mask: Bool[Tensor, "rollout token"],
    temperature: float = 1.0,
) -> tuple[Float32[Tensor, " sampled"], Float32[Tensor, " sampled"]]:
    """Return log-probability and entropy of every token that ``mask`` names, rollout by rollout.

    Prompts are left-padded and answered by ``group``; completions are right-padded to the longest of ``lengths``.
    """
    if not llama.supported(policy.model):
        return transformers_backbone.completion_logprobs(
            policy.model, prompts, prompt_lengths, tokens, lengths, group, mask, temperature
        )
    weights = llama.weights_of(policy.model, fused=False)
    hidden = llama.completion_hidden_states(weights, prompts, prompt_lengths, tokens, lengths, group)
    sampled = mask[torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]]
    if not bool(sampled.all()):
        hidden = hidden[sampled]
    return project(hidden, weights.head, tokens[mask], temperature)


def token_logprobs(
    policy: Policy, rollouts: Rollouts
) -> tuple[Float32[Tensor, "rollout token"], Float32[Tensor, "rollout token"]]:
    """Return log-probabilities and entropies of the sampled tokens under ``policy``, 0 elsewhere.

    Only the prompts that the given rollouts answer are computed, each once. The temperature is the one the
    rollouts were sampled at. Differentiable if gradients are enabled: call ``backward`` on a loss of the result.
    """
    used, group = torch.unique(rollouts.group, return_inverse=True)
    prompt_lengths = rollouts.prompt_lengths[used]
    prompts = rollouts.prompt_tokens[used][:, rollouts.prompt_tokens.shape[1] - int(prompt_lengths.max()) :]
    width = int(rollouts.lengths.max())
    tokens, mask = rollouts.tokens[:, :width], rollouts.mask[:, :width]
    values, entropies = sampled_logprobs(
        policy, prompts, prompt_lengths, tokens, rollouts.lengths, group, mask, rollouts.temperature
    )
    empty = values.new_zeros(rollouts.tokens.shape)
    where = torch.zeros_like(rollouts.mask)
    where[:, :width] = mask
    return empty.masked_scatter(where, values), empty.masked_scatter(where, entropies)


@torch.no_grad()
def state_features(policy: Policy, rollouts: Rollouts) -> Float32[Tensor, "sampled width"]:
    """Return the last hidden state before every sampled token, rollout by rollout; see `Policy`."""
    mask, width = rollouts.mask, int(rollouts.lengths.max()) if len(rollouts) else 0
    inputs = (
        rollouts.prompt_tokens, rollouts.prompt_lengths, rollouts.tokens[:, :width], rollouts.lengths, rollouts.group,
    )  # fmt: skip
    prompts, prompt_lengths, tokens, lengths, group = (value.to(policy.device) for value in inputs)
    mask = mask[:, :width].to(policy.device)
    if not bool(mask.any()):
        return torch.zeros(0, policy.model.config.get_text_config().hidden_size)
    if llama.supported(policy.model):
        weights = llama.weights_of(policy.model, fused=False)
        hidden = llama.completion_hidden_states(weights, prompts, prompt_lengths, tokens, lengths, group)
        real = torch.arange(width, device=policy.device) < lengths[:, None]
        return hidden[mask[real]].float().cpu()
    return transformers_backbone.completion_states(
        policy.model, prompts, prompt_lengths, tokens, lengths, group, mask
    ).float().cpu()  # fmt: skip


@torch.no_grad()
def score_tokens(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    temperature: float = 1.0,
    tokens_per_batch: int = 16384,
) -> Float32[Tensor, "rollout token"]:
    """Return the log-probability of every completion token after its prompt, right-padded with 0; see `Policy`."""
    _check_texts(policy, prompts, completions, temperature)
    out = torch.zeros(len(completions), max(map(len, completions), default=0))
    for rows in _batches_of(policy, prompts, completions, tokens_per_batch):
        asked = list(dict.fromkeys(tuple(prompts[row]) for row in rows))
        table, prompt_lengths = left_pad(asked, policy.pad_id)
        places = {prompt: place for place, prompt in enumerate(asked)}
        group = torch.tensor([places[tuple(prompts[row])] for row in rows])
        lengths = torch.tensor([len(completions[row]) for row in rows])
        width = int(lengths.max())
        tokens = torch.full((len(rows), width), policy.pad_id)
        for place, row in enumerate(rows):
            tokens[place, : lengths[place]] = torch.tensor(completions[row])
        mask = torch.arange(width) < lengths[:, None]
        inputs = (table, prompt_lengths, tokens, lengths, group, mask)
        table, prompt_lengths, tokens, lengths, group, on_device = (value.to(policy.device) for value in inputs)
        values, _ = sampled_logprobs(policy, table, prompt_lengths, tokens, lengths, group, on_device, temperature)
        scored = torch.zeros(mask.shape).masked_scatter(mask, values.float().cpu())
        out[torch.tensor(rows), :width] = scored
    return out


def _batches_of(
    policy: Policy, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], tokens: int
) -> list[list[int]]:
    """Split the rows that are not empty, similar lengths together, into batches of at most ``tokens`` with padding."""
    if not llama.supported(policy.model):
        tokens = min(tokens, LOGITS_AT_ONCE // policy.model.config.get_text_config().vocab_size)
    size = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    order = sorted((row for row, completion in enumerate(completions) if completion), key=lambda row: (size[row], row))
    batches: list[list[int]] = []
    for row in order:
        if not batches or (len(batches[-1]) + 1) * size[row] > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def _check_texts(
    policy: Policy, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], temperature: float
) -> None:
    if len(prompts) != len(completions):
        raise ScorecraftError(
            f"score_tokens: {len(prompts)} prompts, but {len(completions)} completions; give each its own"
        )
    if not temperature > 0:
        raise ScorecraftError(f"score_tokens: expected a temperature above 0, got {temperature:g}")
    vocabulary = policy.model.config.get_text_config().vocab_size
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        if not prompt:
            raise ScorecraftError(
                f"score_tokens: prompt {row} is empty, and a first token has no probability after nothing; "
                "begin with the beginning-of-sequence token"
            )
        if len(prompt) + len(completion) > policy.context_length:
            raise ScorecraftError(
                f"score_tokens: prompt {row} has {len(prompt)} tokens and its completion {len(completion)}, beyond the "
                f"{policy.context_length} tokens of context of '{policy.name}'; shorten either"
            )
        outside = [token for token in (*prompt, *completion) if not 0 <= token < vocabulary]
        if outside:
            raise ScorecraftError(
                f"score_tokens: token {outside[0]} of row {row} is not in the vocabulary of '{policy.name}' (0 to "
                f"{vocabulary - 1}); score a text with the tokens of the model's own tokenizer"
            )
