"""Log-probabilities of a response's tokens in a conversation, by a model's own chat template and tokenizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scorecraft.errors import ScorecraftError, ScorecraftWarning

Message = Mapping[str, str]
Conversation = str | Sequence[Message]
"""What comes before a response: what the user says, or messages with "role" and "content"."""


@dataclass(frozen=True, eq=False)
class ResponseLogprobs:
    """The tokens of one response with its end-of-turn token, their log-probabilities, and which of them count.

    tokens: as text, one for each log-probability.
    """

    tokens: tuple[str, ...]
    logprobs: Float32[Tensor, " token"]
    counts: Bool[Tensor, " token"]


LogProbFn = Callable[[Sequence[Sequence[Message]], Sequence[str]], Sequence[ResponseLogprobs]]
"""Scores responses to conversations: a policy (`PolicyLogprobs`), a server (`EndpointLogprobs`), or a function."""


def messages_of(conversation: Conversation, system: str | None = None) -> list[dict[str, str]]:
    """Return a conversation as messages, ``system`` put before its own system turn.

    Args:
        conversation: what the user says, or messages.
        system: an instruction.

    Raises `ScorecraftError` for no message, or one without "role" and "content".
    """
    given = [{"role": "user", "content": conversation}] if isinstance(conversation, str) else conversation
    turns = [dict(turn) for turn in given]
    if not turns or any("role" not in turn or "content" not in turn for turn in turns):
        raise ScorecraftError("expected a conversation: a text, or messages with 'role' and 'content', at least one")
    if not system:
        return turns
    if turns[0]["role"] != "system":
        return [{"role": "system", "content": system}, *turns]
    return [{"role": "system", "content": f"{system}\n\n{turns[0]['content']}"}, *turns[1:]]


def padded(
    scores: Sequence[ResponseLogprobs],
) -> tuple[Float32[Tensor, "response token"], Bool[Tensor, "response token"]]:
    """Return the log-probabilities of responses as one table, and its mask."""
    if not scores:
        return torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool)
    table = pad_sequence([score.logprobs for score in scores], batch_first=True)
    return table, pad_sequence([score.counts for score in scores], batch_first=True)


@dataclass(frozen=True, eq=False)
class PolicyLogprobs:
    """Scores responses by a policy: its chat template where it has one, plain text elsewhere.

    policy: a `scorecraft.lm.Policy`. mask_special: leave special tokens out of the sum, the end of turn among them.

    The response begins where the prompt, rendered with the opening of the assistant's turn, ends. Where the tokens of
    the prompt are not a prefix of those of the conversation, it is found by its characters, with a warning. A prompt
    that does not fit loses its beginning, with a warning; a response never loses anything. Raises `ScorecraftError` for
    an empty response, or one longer than the context.
    """

    policy: Any
    mask_special: bool = False

    def __call__(self, conversations: Sequence[Sequence[Message]], responses: Sequence[str]) -> list[ResponseLogprobs]:
        """Return the scores of responses, one for each conversation."""
        if len(conversations) != len(responses):
            raise ScorecraftError(f"{len(conversations)} conversations, but {len(responses)} responses")
        cut = [self.tokens(turns, text) for turns, text in zip(conversations, responses, strict=True)]
        table = self.policy.score_tokens([before for before, _ in cut], [ids for _, ids in cut])
        special = set(self.policy.tokenizer.all_special_ids) if self.mask_special else set()
        return [
            ResponseLogprobs(
                tuple(self.policy.token_text(token) for token in ids),
                table[row, : len(ids)],
                torch.tensor([token not in special for token in ids], dtype=torch.bool),
            )
            for row, (_, ids) in enumerate(cut)
        ]

    def tokens(self, turns: Sequence[Message], response: str) -> tuple[list[int], list[int]]:
        """Return the tokens of the prompt and of the response with its end of turn."""
        if not response.strip():
            raise ScorecraftError("a response is empty: it has no tokens to score; leave it out")
        before, ids = (
            self._chat(turns, response) if self.policy.tokenizer.chat_template else self._plain(turns, response)
        )
        room = self.policy.context_length - len(ids)
        if room < 1:
            raise ScorecraftError(
                f"a response has {len(ids)} tokens, and the context of '{self.policy.name}' is "
                f"{self.policy.context_length} tokens with at least one of the prompt; a response is never cut"
            )
        if len(before) > room:
            _warn(f"a prompt is cut to its last {room} of {len(before)} tokens to fit '{self.policy.name}'")
        return before[-room:], ids

    def _plain(self, turns: Sequence[Message], response: str) -> tuple[list[int], list[int]]:
        text = "\n".join(turn["content"] for turn in turns)
        end = self.policy.tokenizer.eos_token_id
        before = self.policy.encode_prompt(text, chat="never")
        return before or [end], [*self.policy.encode(response), end]

    def _chat(self, turns: Sequence[Message], response: str) -> tuple[list[int], list[int]]:
        tokenizer = self.policy.tokenizer
        answered = [*turns, {"role": "assistant", "content": response}]
        opened = str(tokenizer.apply_chat_template(list(turns), add_generation_prompt=True, tokenize=False))
        whole = str(tokenizer.apply_chat_template(answered, add_generation_prompt=False, tokenize=False))
        before, everything = self.policy.encode(opened), self.policy.encode(whole)
        start = len(before)
        if everything[:start] != before:
            start = self._start_by_characters(opened, whole, response)
        ids = everything[start:]
        ends = [place for place, token in enumerate(ids) if token in self.policy.eos_ids]
        # What a template writes after the end of the turn is no part of the response.
        return everything[:start], ids[: ends[-1] + 1] if ends else ids

    def _start_by_characters(self, opened: str, whole: str, response: str) -> int:
        """Return the first token of the response where the prompt's own tokens do not say."""
        place = len(opened) if whole.startswith(opened) else whole.rfind(response.strip())
        if place < 0:
            raise ScorecraftError(f"the chat template of '{self.policy.name}' changes the response; it cannot be found")
        _warn(
            f"the chat template of '{self.policy.name}' writes a prompt otherwise once it is answered; responses are "
            "found by their characters"
        )
        spans = self.policy.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return next(token for token, (_, end) in enumerate(spans) if end > place)


def sequence_logprobs(
    policy: Any,
    conversations: Sequence[Conversation],
    responses: Sequence[str],
    *,
    system: str | None = None,
    mask_special: bool = False,
) -> list[ResponseLogprobs]:
    """Return the log-probabilities of each response's tokens, its end of turn included.

    Args:
        policy: a `scorecraft.lm.Policy`.
        conversations: what comes before each response.
        responses: the final assistant turns.
        system: an instruction before every conversation.
        mask_special: leave special tokens out of the sum.
    """
    turns = [messages_of(conversation, system) for conversation in conversations]
    return PolicyLogprobs(policy, mask_special)(turns, responses)


def _warn(text: str) -> None:
    warnings.warn(text, ScorecraftWarning, stacklevel=4)
