"""The same three passes for any Hugging Face causal model, through its own forward: slower, but general."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor


class DecodingState:
    """A model's own key-value cache with left-padded prompts; one method to step, one to drop rows."""

    def __init__(self, model: Any, cache: Any, attention: Tensor) -> None:
        self.model = model
        self.cache = cache
        self.attention = attention

    def select(self, rows: Int64[Tensor, " row"]) -> None:
        """Keep only the given rows."""
        self.cache.batch_select_indices(rows)
        self.attention = self.attention[rows]

    def step(self, tokens: Int64[Tensor, " row"]) -> Float[Tensor, "row vocabulary"]:
        """Append one token to every row; return its logits."""
        self.attention = torch.cat((self.attention, self.attention.new_ones(len(tokens), 1)), dim=1)
        output = self.model(
            input_ids=tokens[:, None],
            attention_mask=self.attention,
            position_ids=self.attention.sum(1, keepdim=True) - 1,
            past_key_values=self.cache,
            use_cache=True,
        )
        return output.logits[:, -1]


@torch.no_grad()
def prefill(
    model: Any,
    prompts: Int64[Tensor, "prompt prompt_token"],
    lengths: Int64[Tensor, " prompt"],
    group: Int64[Tensor, " row"],
) -> tuple[DecodingState, Float[Tensor, "row vocabulary"]]:
    """Compute each (left-padded) prompt once, share it among its group; return state and first logits."""
    width = prompts.shape[1]
    attention = (torch.arange(width, device=prompts.device) >= (width - lengths)[:, None]).long()
    positions = (attention.cumsum(1) - 1).clamp(min=0)
    output = model(input_ids=prompts, attention_mask=attention, position_ids=positions, use_cache=True)
    cache = copy.copy(output.past_key_values)
    cache.batch_select_indices(group)
    return DecodingState(model, cache, attention[group]), output.logits[:, -1][group]


def _whole(
    prompts: Tensor, prompt_lengths: Tensor, tokens: Tensor, lengths: Tensor, group: Tensor
) -> dict[str, Tensor | bool]:
    """Return prompts with their completions as a model's forward pass takes them."""
    width, columns = prompts.shape[1], torch.arange(tokens.shape[1], device=tokens.device)
    before = (torch.arange(width, device=prompts.device) >= (width - prompt_lengths)[:, None])[group]
    attention = torch.cat((before, columns < lengths[:, None]), dim=1).long()
    positions = (attention.cumsum(1) - 1).clamp(min=0)
    ids = torch.cat((prompts[group], tokens), dim=1)
    return {"input_ids": ids, "attention_mask": attention, "position_ids": positions, "use_cache": False}


def completion_states(
    model: Any,
    prompts: Int64[Tensor, "prompt prompt_token"],
    prompt_lengths: Int64[Tensor, " prompt"],
    tokens: Int64[Tensor, "rollout token"],
    lengths: Int64[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    mask: Bool[Tensor, "rollout token"],
) -> Float[Tensor, "sampled width"]:
    """Return the last hidden state before every sampled token, row by row."""
    output = model(
        **_whole(prompts, prompt_lengths, tokens, lengths, group), output_hidden_states=True, logits_to_keep=1
    )
    return output.hidden_states[-1][:, prompts.shape[1] - 1 : -1][mask]


def completion_logprobs(
    model: Any,
    prompts: Int64[Tensor, "prompt prompt_token"],
    prompt_lengths: Int64[Tensor, " prompt"],
    tokens: Int64[Tensor, "rollout token"],
    lengths: Int64[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    mask: Bool[Tensor, "rollout token"],
    temperature: float,
) -> tuple[Float32[Tensor, " sampled"], Float32[Tensor, " sampled"]]:
    """Return log-probabilities and entropies of the sampled tokens, row by row, with the gradient."""
    output = model(**_whole(prompts, prompt_lengths, tokens, lengths, group), logits_to_keep=tokens.shape[1] + 1)
    logits = output.logits[:, :-1][mask].float() / temperature
    log_probabilities = torch.log_softmax(logits, dim=1)
    chosen = log_probabilities.gather(1, tokens[mask][:, None])[:, 0]
    return chosen, -(log_probabilities.exp() * log_probabilities).sum(1)
