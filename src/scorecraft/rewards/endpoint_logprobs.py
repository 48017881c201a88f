"""Log-probabilities of given responses from an OpenAI-compatible server that returns those of its prompt."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.response_logprobs import Message, ResponseLogprobs

NEEDED = "vLLM's 'prompt_logprobs' of chat completions, or 'echo' with 'logprobs' of completions"


@dataclass(frozen=True)
class EndpointLogprobs:
    """Scores responses by a server; most hosted chat services do not return log-probabilities of given tokens.

    url: up to the version, such as "http://localhost:8000/v1". model: as the server names it.
    mode: "chat" sends messages and lets the server's own template write them, with vLLM's 'prompt_logprobs'; "echo"
        sends plain text with 'echo' and 'logprobs', and a response then ends with ``end``.
    end: text after a response in "echo".
    headers: more of the request. timeout: seconds. concurrency: requests at a time.
    """

    url: str
    model: str
    mode: Literal["chat", "echo"] = "chat"
    end: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    concurrency: int = 8

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise ScorecraftError(
                f"endpoint '{self.url}', model '{self.model}': expected an http address up to the version, such as "
                "'http://localhost:8000/v1', and the name of a model"
            )

    @classmethod
    def parse(cls, text: str) -> EndpointLogprobs:
        """Return the endpoint that ``address#model`` names."""
        url, _, model = text.partition("#")
        return cls(url.rstrip("/"), model)

    def __call__(self, conversations: Sequence[Sequence[Message]], responses: Sequence[str]) -> list[ResponseLogprobs]:
        """Return the scores of responses, one for each conversation."""
        if any(not response.strip() for response in responses):
            raise ScorecraftError("a response is empty: it has no tokens to score; leave it out")
        one = self._chat if self.mode == "chat" else self._echo
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(one, conversations, responses))

    def _chat(self, turns: Sequence[Message], response: str) -> ResponseLogprobs:
        answered = [*map(dict, turns), {"role": "assistant", "content": response}]
        before = self._prompt_tokens([dict(turn) for turn in turns], opened=True)
        whole = self._prompt_tokens(answered, opened=False)
        start = len(before)
        if [token for token, *_ in whole[:start]] != [token for token, *_ in before]:
            raise ScorecraftError(
                f"{self.url}: the chat template of '{self.model}' writes a prompt otherwise once it is answered, so "
                "the response cannot be told from it; use mode 'echo', or a policy folder"
            )
        return _response([(text, value) for _, text, value in whole[start:]])

    def _prompt_tokens(self, messages: list[dict[str, str]], *, opened: bool) -> list[tuple[str, str, float]]:
        """Return id, text and log-probability of the tokens of a conversation, the first one left out."""
        reply = self._post(
            "chat/completions",
            {
                "model": self.model, "messages": messages, "max_tokens": 1, "temperature": 0.0,
                "prompt_logprobs": 0, "add_generation_prompt": opened,
            },
        )  # fmt: skip
        found = reply.get("prompt_logprobs")
        if not isinstance(found, list):
            raise self._incapable()
        rows = []
        for entry in found:
            if entry:
                token, told = next(iter(entry.items()))
                rows.append((str(token), str(told.get("decoded_token") or ""), float(told["logprob"])))
        return rows

    def _echo(self, turns: Sequence[Message], response: str) -> ResponseLogprobs:
        before = "\n".join(turn["content"] for turn in turns)
        text = before + response + self.end
        body = {"model": self.model, "prompt": text, "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}
        try:
            told = self._post("completions", body)["choices"][0]["logprobs"]
            rows = list(zip(told["tokens"], told["token_logprobs"], told["text_offset"], strict=True))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._incapable() from error
        inside = [(str(token), value) for token, value, offset in rows if len(before) <= offset < len(text)]
        # A server that ignores 'echo' tells of the one token it wrote itself, at or after the end of the text.
        if not inside or any(value is None for _, value in inside):
            raise self._incapable()
        return _response([(token, float(value)) for token, value in inside])

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(f"{self.url}/{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                found = json.loads(reply.read())
        except urllib.error.HTTPError as error:
            if error.code in (400, 404, 422):
                raise self._incapable(f" (it answered {error.code})") from error
            raise ScorecraftError(f"{self.url}: the server answered {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:
            raise ScorecraftError(f"{self.url}: no answer that can be read ({error})") from error
        return found if isinstance(found, dict) else {}

    def _incapable(self, more: str = "") -> ScorecraftError:
        return ScorecraftError(
            f"{self.url}: '{self.model}' gave no log-probabilities of given tokens{more}; what is needed is {NEEDED}"
        )


def _response(rows: Sequence[tuple[str, float]]) -> ResponseLogprobs:
    values = torch.tensor([value for _, value in rows], dtype=torch.float32)
    return ResponseLogprobs(tuple(text for text, _ in rows), values, torch.ones(len(rows), dtype=torch.bool))
