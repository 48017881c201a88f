"""Sampling of completions: one prefill per prompt, lockstep decoding, finished rows leave the batch.

Randomness is one table of uniforms drawn before the first token, so a rollout depends on its own row only: not
on who else is in the batch, when others finish, or how many workers share the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError
from scorecraft.lm import llama, transformers_backbone
from scorecraft.lm.fused import on_cpu_float32
from scorecraft.lm.policy import Policy


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are drawn. ``max_new_tokens`` counts every token of a completion, forced ones too."""

    max_new_tokens: int = 64
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forced:
    """Tokens to put into a completion that the policy did not sample; with ``new_turn`` they open the next turn."""

    tokens: Sequence[int]
    new_turn: bool = False


# Called with (row, tokens so far, turn) when a row sampled an end token or completed a stop string.
# Return what to insert before it goes on; None finishes the row.
React = Callable[[int, list[int], int], Forced | None]


@dataclass(eq=False)
class Generation:
    """What came out, padded on the right; see `scorecraft.rollouts.Rollouts` for the meaning of each."""

    tokens: Int64[Tensor, "row token"]
    mask: Tensor
    logprobs: Tensor
    entropies: Tensor
    turns: Int64[Tensor, "row token"]
    lengths: Int64[Tensor, " row"]
    truncated: Tensor
    forward_tokens: int = 0  # that went through the model: prompts, and one a row and step


def left_pad(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return prompts as one left-padded table, and their lengths."""
    lengths = torch.tensor([len(p) for p in prompts], dtype=torch.int64)
    table = torch.full((len(prompts), int(lengths.max())), pad, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        table[row, table.shape[1] - len(prompt) :] = torch.tensor(list(prompt), dtype=torch.int64)
    return table, lengths


def check_prompts(policy: Policy, prompts: Sequence[Sequence[int]], settings: SamplingSettings) -> None:
    """Raise `ScorecraftError` for an empty prompt or one that leaves no room in the policy's context."""
    for row, prompt in enumerate(prompts):
        if not prompt:
            raise ScorecraftError(f"prompt {row} is empty: expected at least one token")
        _check_room(policy, f"prompt {row}", len(prompt), settings)


def _check_room(policy: Policy, what: str, tokens: int, settings: SamplingSettings) -> None:
    if tokens + settings.max_new_tokens > policy.context_length:
        raise ScorecraftError(
            f"{what} has {tokens} tokens; with max_new_tokens {settings.max_new_tokens} it does not fit "
            f"the {policy.context_length} tokens of context of '{policy.name}': shorten either"
        )


def _check_starts(
    policy: Policy, prompts: Sequence[Sequence[int]], group: Tensor, starts: Tensor, settings: SamplingSettings
) -> None:
    lengths = torch.tensor([len(prompt) for prompt in prompts], dtype=torch.int64)[group]
    if bool(((starts < 1) | (starts > lengths)).any()):
        row = int(((starts < 1) | (starts > lengths)).nonzero()[0, 0])
        raise ScorecraftError(f"row {row} goes on from token {int(starts[row])} of a prompt of {int(lengths[row])}")
    _check_room(policy, "the longest beginning", int(starts.max()), settings)


@torch.no_grad()
def generate(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    group: Int64[Tensor, " row"],
    uniforms: Float64[Tensor, "row token"],
    settings: SamplingSettings,
    *,
    prefixes: Sequence[Sequence[int]] | None = None,
    react: React | None = None,
    starts: Int64[Tensor, " row"] | None = None,
) -> Generation:
    """Sample one completion per row; row i answers ``prompts[group[i]]``.

    ``uniforms`` in [0, 1) decide every draw: ``[row, max_new_tokens]``. ``prefixes`` are forced first tokens.
    ``starts``: each row goes on from the first so many tokens of its prompt, which is computed once for all of them.
    Raises `ScorecraftError` for an empty or overlong prompt, or a start outside it.
    """
    if starts is None:
        check_prompts(policy, prompts, settings)
    else:
        _check_starts(policy, prompts, group, starts, settings)
        if not llama.supported(policy.model):
            prompts, group, starts = *_beginnings(prompts, group, starts), None
    table, prompt_lengths = left_pad(prompts, policy.pad_id)
    device = policy.device
    table, prompt_lengths, group = table.to(device), prompt_lengths.to(device), group.to(device)
    if llama.supported(policy.model):
        weights = llama.weights_of(policy.model, fused=True)
        begin = None if starts is None else starts.to(device)
        state, outputs = llama.prefill(weights, table, prompt_lengths, group, settings.max_new_tokens, begin)
        head = weights.head
    else:
        state, outputs = transformers_backbone.prefill(policy.model, table, prompt_lengths, group)
        head = None
    writer = _Writer(policy, len(group), settings, react, prefixes)
    buffer: Tensor | None = None
    forward_tokens = int(prompt_lengths.sum())
    for column in range(settings.max_new_tokens):
        if head is None:
            logits = outputs.float()
        else:
            if buffer is None or len(buffer) < len(outputs):
                buffer = torch.empty((len(outputs), head.shape[0]), dtype=outputs.dtype, device=device)
            logits = torch.mm(outputs, head.T, out=buffer[: len(outputs)]).float()
        drawn = draw(logits, uniforms[writer.active.cpu(), column], settings)
        tokens, dropped = writer.write(column, *drawn)
        if not len(writer.active) or column + 1 == settings.max_new_tokens:
            break
        if dropped is not None:
            state.select(dropped.to(device))
            tokens = tokens[dropped]
        outputs = state.step(tokens.to(device))
        forward_tokens += len(outputs)
    return writer.finish(forward_tokens)


def _beginnings(
    prompts: Sequence[Sequence[int]], group: Tensor, starts: Tensor
) -> tuple[list[Sequence[int]], Int64[Tensor, " row"]]:
    """Return every different beginning of a prompt as a prompt of its own, and which of them each row has."""
    pairs = list(zip(group.tolist(), starts.tolist(), strict=True))
    place = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    return [prompts[row][:start] for row, start in place], torch.tensor([place[pair] for pair in pairs])


def draw(
    logits: Float[Tensor, "row vocabulary"], uniforms: Float64[Tensor, " row"], settings: SamplingSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a token a row by inverting the distribution function; return tokens, log-probabilities, entropies.

    Log-probability and entropy are those of softmax(logits / temperature), before any top-k / top-p cut, which
    is what training recomputes. Temperature 0 takes the most probable token. ``logits`` is used as working space.
    """
    rows = len(logits)
    if settings.temperature not in (0.0, 1.0):
        logits /= settings.temperature
    cut = settings.top_k > 0 or settings.top_p < 1.0
    if on_cpu_float32(logits) and not cut and settings.temperature > 0:
        from scorecraft.lm.kernels import sample_rows

        tokens, logprobs, entropies = torch.empty(rows, dtype=torch.int64), torch.empty(rows), torch.empty(rows)
        sample_rows(logits.numpy(), uniforms.numpy(), tokens.numpy(), logprobs.numpy(), entropies.numpy())
        return tokens, logprobs, entropies
    log_probabilities = torch.log_softmax(logits, dim=1)
    probabilities = log_probabilities.exp()
    entropies = -(probabilities * log_probabilities).sum(1)
    if settings.temperature == 0.0:
        tokens = logits.argmax(1)
    else:
        ordered, index = probabilities.sort(dim=1, descending=True, stable=True)
        cumulative = ordered.double().cumsum(1)
        if settings.top_k > 0:
            ordered[:, settings.top_k :] = 0.0
        ordered[(cumulative - ordered) >= settings.top_p] = 0.0
        cumulative = ordered.double().cumsum(1)
        target = uniforms.to(logits.device)[:, None] * cumulative[:, -1:]
        place = torch.searchsorted(cumulative, target, right=True).clamp(max=logits.shape[1] - 1)
        tokens = index.gather(1, place)[:, 0]
    return tokens, log_probabilities.gather(1, tokens[:, None])[:, 0], entropies


class _Writer:
    """Writes drawn and forced tokens into the table and decides which rows go on."""

    def __init__(
        self,
        policy: Policy,
        rows: int,
        settings: SamplingSettings,
        react: React | None,
        prefixes: Sequence[Sequence[int]] | None,
    ) -> None:
        width = settings.max_new_tokens
        self.policy, self.settings, self.react = policy, settings, react
        self.tokens = torch.full((rows, width), policy.pad_id, dtype=torch.int64)
        self.mask = torch.zeros((rows, width), dtype=torch.bool)
        self.logprobs = torch.zeros((rows, width))
        self.entropies = torch.zeros((rows, width))
        self.turns = torch.full((rows, width), -1, dtype=torch.int64)
        self.lengths = torch.full((rows,), width, dtype=torch.int64)
        self.truncated = torch.ones(rows, dtype=torch.bool)
        self.ends = torch.tensor(sorted(policy.eos_ids), dtype=torch.int64)
        self.watched = watched_tokens(policy, settings.stop)
        self.active = torch.arange(rows)
        self.turn_of = torch.zeros(rows, dtype=torch.int64)
        self.queues: dict[int, list[int]] = {}
        for row, prefix in enumerate(prefixes or ()):
            if prefix:
                self.queues[row] = list(prefix)

    def write(self, column: int, tokens: Tensor, logprobs: Tensor, entropies: Tensor) -> tuple[Tensor, Tensor | None]:
        """Write one column; return the tokens written, and which of the rows stay if any left."""
        active = self.active
        tokens, logprobs, entropies = tokens.cpu(), logprobs.cpu(), entropies.cpu()
        sampled = torch.ones(len(active), dtype=torch.bool)
        if self.queues:
            tokens = self._force(tokens, sampled)
        self.tokens[active, column] = tokens
        self.mask[active, column] = sampled
        self.logprobs[active, column] = torch.where(sampled, logprobs, 0.0)
        self.entropies[active, column] = torch.where(sampled, entropies, 0.0)
        self.turns[active, column] = self.turn_of[active]
        ended = torch.isin(tokens, self.ends)
        if self.watched is not None:
            ended |= self.watched[tokens]
        ended &= sampled
        if not bool(ended.any()):
            return tokens, None
        stay = torch.ones(len(active), dtype=torch.bool)
        for place in ended.nonzero()[:, 0].tolist():
            stay[place] = self._goes_on(int(active[place]), column)
        if bool(stay.all()):
            return tokens, None
        self.active = active[stay]
        return tokens, stay.nonzero()[:, 0]

    def _force(self, tokens: Tensor, sampled: Tensor) -> Tensor:
        tokens = tokens.clone()
        for place, row in enumerate(self.active.tolist()):
            if row in self.queues:
                tokens[place], sampled[place] = self.queues[row].pop(0), False
                if not self.queues[row]:
                    del self.queues[row]
        return tokens

    def _goes_on(self, row: int, column: int) -> bool:
        so_far = self.tokens[row, : column + 1].tolist()
        at_end = so_far[-1] in self.policy.eos_ids
        if not at_end and not ends_with_stop(self.policy, so_far, self.settings.stop):
            return True
        answer = self.react(row, so_far, int(self.turn_of[row])) if self.react else None
        if answer is None or not answer.tokens:
            self.lengths[row] = column + 1
            self.truncated[row] = False
            return False
        self.queues[row] = list(answer.tokens)
        self.turn_of[row] += int(answer.new_turn)
        return True

    def finish(self, forward_tokens: int) -> Generation:
        """Return the table, cut to the longest completion."""
        width = int(self.lengths.max())
        cut = (x[:, :width] for x in (self.tokens, self.mask, self.logprobs, self.entropies, self.turns))
        tokens, mask, logprobs, entropies, turns = cut
        return Generation(tokens, mask, logprobs, entropies, turns, self.lengths, self.truncated, forward_tokens)


def watched_tokens(policy: Policy, stop: Sequence[str]) -> Tensor | None:
    """Return which tokens could complete a stop string (they hold its last character), None without stops."""
    if not stop:
        return None
    last = {text[-1] for text in stop}
    size = max(len(policy.tokenizer), policy.model.config.vocab_size)
    return torch.tensor([any(c in policy.token_text(i) for c in last) for i in range(size)])


def ends_with_stop(policy: Policy, tokens: list[int], stop: Sequence[str]) -> bool:
    """Return whether the last token completed one of the stop strings."""
    if not stop:
        return False
    reach = max(len(text) for text in stop) + 4
    tail = policy.decode(tokens[-reach:])
    before = policy.decode(tokens[-reach:-1])
    return any(tail.count(text) > before.count(text) for text in stop)
