"""`Rollouts`: what a policy sampled, as one immutable, validated table of tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Completions of a batch of prompts with everything later rooms need, one row per rollout.

    Per token (``[rollout, token]``, right-padded):
        tokens: completion tokens, the pad token after the end.
        mask: True where the policy itself sampled the token (not padding, not forced, not tool output).
        logprobs: log-probability under the policy that sampled it, at the sampling temperature and before
            any top-k / top-p cut; 0 where ``mask`` is False.
        entropies: entropy (nats) of the distribution the token was sampled from; 0 where ``mask`` is False.
        steps: index of the reasoning step a token is in, -1 outside any.
        turns: index of the turn, -1 on padding.
        foreign: how much the gradient of a token counts that others wrote, as a multiple of the credit of the next
            token that the policy sampled; 0 on the policy's own, None for 0 everywhere.
    Per rollout:
        lengths: number of tokens before padding, forced and tool tokens included.
        group: row of the prompt table that the rollout answers.
        truncated: True where the length limit cut the completion.
        texts: the decoded completion without special tokens.
        notes: JSON values the sampler left (tool calls and the like).
    Per prompt (``[prompt, prompt_token]``, LEFT-padded, so that completions follow directly):
        prompt_tokens, prompt_lengths, problems.
    """

    tokens: Int64[Tensor, "rollout token"]
    mask: Bool[Tensor, "rollout token"]
    logprobs: Float32[Tensor, "rollout token"]
    entropies: Float32[Tensor, "rollout token"]
    steps: Int64[Tensor, "rollout token"]
    turns: Int64[Tensor, "rollout token"]
    lengths: Int64[Tensor, " rollout"]
    group: Int64[Tensor, " rollout"]
    truncated: Bool[Tensor, " rollout"]
    texts: tuple[str, ...]
    notes: tuple[dict[str, Any], ...]
    prompt_tokens: Int64[Tensor, "prompt prompt_token"]
    prompt_lengths: Int64[Tensor, " prompt"]
    problems: tuple[Problem, ...]
    temperature: float = 1.0
    foreign: Float32[Tensor, "rollout token"] | None = None

    def __post_init__(self) -> None:
        rows, width = self.tokens.shape if self.tokens.ndim == 2 else (len(self.tokens), -1)
        for name in ("tokens", "mask", "logprobs", "entropies", "steps", "turns"):
            self._expect(name, (rows, width))
        if self.foreign is not None:
            self._expect("foreign", (rows, width))
        for name in ("lengths", "group", "truncated"):
            self._expect(name, (rows,))
        prompts = len(self.problems)
        self._expect("prompt_tokens", (prompts, self.prompt_tokens.shape[-1]))
        self._expect("prompt_lengths", (prompts,))
        if len(self.texts) != rows or len(self.notes) != rows:
            raise ScorecraftError(
                f"Rollouts: {rows} rows of tokens, but {len(self.texts)} texts and {len(self.notes)} notes"
            )
        if rows == 0:
            return
        if int(self.group.min()) < 0 or int(self.group.max()) >= prompts:
            raise ScorecraftError(f"Rollouts.group: expected rows of the {prompts} prompts, got {self.group.tolist()}")
        if int(self.lengths.min()) < 0 or int(self.lengths.max()) > width:
            raise ScorecraftError(f"Rollouts.lengths: expected 0 to {width}, got {self.lengths.tolist()}")
        beyond = self.mask & ~self.real
        if bool(beyond.any()):
            row = int(beyond.any(1).nonzero()[0])
            raise ScorecraftError(f"Rollouts.mask: rollout {row} has a sampled token in its padding")
        bad = ~torch.isfinite(self.logprobs)
        if bool(bad.any()):
            row = int(bad.any(1).nonzero()[0])
            raise ScorecraftError(f"Rollouts.logprobs: rollout {row} has a log-probability that is not finite")

    def _expect(self, name: str, shape: tuple[int, ...]) -> None:
        value: Tensor = getattr(self, name)
        if tuple(value.shape) != shape:
            raise ScorecraftError(f"Rollouts.{name}: expected shape {shape}, got {tuple(value.shape)}")

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def real(self) -> Bool[Tensor, "rollout token"]:
        """True on every token before the padding: sampled, forced and tool tokens alike."""
        return torch.arange(self.tokens.shape[1], device=self.lengths.device) < self.lengths[:, None]

    @property
    def problem_of(self) -> tuple[Problem, ...]:
        """The problem of each rollout."""
        return tuple(self.problems[index] for index in self.group.tolist())

    def select(self, rows: Tensor) -> Rollouts:
        """Return the rollouts of the given rows (indices or a boolean mask); the prompt table stays whole."""
        index = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        picked: dict[str, Any] = {
            name: getattr(self, name)[index]
            for name in (
                "tokens", "mask", "logprobs", "entropies", "steps", "turns", "lengths", "group", "truncated",
            )
        }  # fmt: skip
        order = index.tolist()
        return replace(
            self,
            **picked,
            foreign=None if self.foreign is None else self.foreign[index],
            texts=tuple(self.texts[i] for i in order),
            notes=tuple(self.notes[i] for i in order),
        )

    @classmethod
    def concatenate(cls, batches: Sequence[Rollouts]) -> Rollouts:
        """Put batches one below the other; widths are padded to the widest, prompt tables are joined."""
        width = max(batch.tokens.shape[1] for batch in batches)
        prompt_width = max(batch.prompt_tokens.shape[1] for batch in batches)
        fills = {"tokens": batches[0]._pad_token(), "mask": 0, "logprobs": 0, "entropies": 0, "steps": -1, "turns": -1}
        joined: dict[str, Any] = {}
        for name, fill in fills.items():
            joined[name] = torch.cat(
                [F.pad(getattr(b, name), (0, width - b.tokens.shape[1]), value=fill) for b in batches]
            )
        if any(batch.foreign is not None for batch in batches):
            tables = [torch.zeros_like(b.logprobs) if b.foreign is None else b.foreign for b in batches]
            joined["foreign"] = torch.cat([F.pad(table, (0, width - table.shape[1])) for table in tables])
        for name in ("lengths", "truncated", "prompt_lengths"):
            joined[name] = torch.cat([getattr(batch, name) for batch in batches])
        joined["prompt_tokens"] = torch.cat(
            [F.pad(b.prompt_tokens, (prompt_width - b.prompt_tokens.shape[1], 0)) for b in batches]
        )
        offsets = [sum(len(b.problems) for b in batches[:i]) for i in range(len(batches))]
        joined["group"] = torch.cat([b.group + offset for b, offset in zip(batches, offsets, strict=True)])
        for name in ("texts", "notes", "problems"):
            joined[name] = tuple(item for batch in batches for item in getattr(batch, name))
        return replace(batches[0], **joined)

    def to(self, device: torch.device | str) -> Rollouts:
        """Return the same rollouts with every tensor on ``device``."""
        moved = {
            f.name: getattr(self, f.name).to(device) for f in fields(self) if isinstance(getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)

    def to_parquet(self, path: Path | str, columns: dict[str, list[Any]] | None = None) -> None:
        """Write one row per rollout, padding left out; ``columns`` adds per-rollout columns (rewards and such).

        `from_parquet` gives the same rollouts back, bit for bit.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        lengths = self.lengths.tolist()
        rows: dict[str, Any] = {
            name: [row[:n] for row, n in zip(getattr(self, name).cpu().numpy(), lengths, strict=True)]
            for name in ("tokens", "mask", "logprobs", "entropies", "steps", "turns", "foreign")
            if getattr(self, name) is not None
        }
        group = self.group.tolist()
        prompts = [
            row[len(row) - n :]
            for row, n in zip(self.prompt_tokens.cpu().numpy(), self.prompt_lengths.tolist(), strict=True)
        ]
        rows |= {
            "group": group,
            "truncated": self.truncated.tolist(),
            "text": list(self.texts),
            "notes": [json.dumps(note, ensure_ascii=False) for note in self.notes],
            "prompt_tokens": [prompts[g] for g in group],
            "prompt": [self.problems[g].prompt for g in group],
            "answer": [self.problems[g].answer for g in group],
            "gold": [self.problems[g].gold for g in group],
            "problem": [json.dumps(self.problems[g].metadata, ensure_ascii=False) for g in group],
        }
        for name, values in (columns or {}).items():
            if name in rows:
                raise ScorecraftError(f"to_parquet: column '{name}' is one of the rollouts' own")
            rows[name] = values
        meta = {"width": self.tokens.shape[1], "temperature": self.temperature, "pad": self._pad_token(),
                "prompt_width": self.prompt_tokens.shape[1], "prompt_pad": self._prompt_pad_token()}  # fmt: skip
        table = pa.table(rows).replace_schema_metadata({"scorecraft.rollouts": json.dumps(meta)})
        pq.write_table(table, str(path), compression="zstd")

    def _pad_token(self) -> int:
        padding = self.tokens[~self.real]
        return int(padding[0]) if len(padding) else 0

    def _prompt_pad_token(self) -> int:
        width = self.prompt_tokens.shape[1]
        padding = self.prompt_tokens[torch.arange(width) < (width - self.prompt_lengths.cpu())[:, None]]
        return int(padding[0]) if len(padding) else 0

    @classmethod
    def from_parquet(cls, path: Path | str) -> Rollouts:
        """Read what `to_parquet` wrote; raises `ScorecraftError` if the file is not one of these."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(str(path))
        except (OSError, pa.ArrowInvalid) as error:
            raise ScorecraftError(f"{path}: not a readable Parquet file ({error})") from error
        stored = (table.schema.metadata or {}).get(b"scorecraft.rollouts")
        if stored is None:
            raise ScorecraftError(
                f"{path}: a Parquet file, but not one of rollouts (no 'scorecraft.rollouts' metadata)"
            )
        meta = json.loads(stored)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        width = meta["width"]

        def padded(name: str, dtype: torch.dtype, fill: float | int | bool) -> Tensor:
            out = torch.full((len(columns[name]), width), fill, dtype=dtype)
            for row, values in enumerate(columns[name]):
                out[row, : len(values)] = torch.tensor(values, dtype=dtype)
            return out

        group = torch.tensor(columns["group"], dtype=torch.int64)
        count = int(group.max()) + 1 if len(group) else 0
        prompt_tokens = torch.full((count, meta["prompt_width"]), meta["prompt_pad"], dtype=torch.int64)
        prompt_lengths = torch.zeros(count, dtype=torch.int64)
        problems = [Problem("", "")] * count
        for row, g in enumerate(columns["group"]):
            ids = columns["prompt_tokens"][row]
            prompt_lengths[g] = len(ids)
            prompt_tokens[g, meta["prompt_width"] - len(ids) :] = torch.tensor(ids, dtype=torch.int64)
            problems[g] = Problem(
                columns["prompt"][row],
                columns["answer"][row],
                columns["gold"][row],
                json.loads(columns["problem"][row]),
            )
        return cls(
            tokens=padded("tokens", torch.int64, meta["pad"]),
            mask=padded("mask", torch.bool, False),
            logprobs=padded("logprobs", torch.float32, 0.0),
            entropies=padded("entropies", torch.float32, 0.0),
            steps=padded("steps", torch.int64, -1),
            turns=padded("turns", torch.int64, -1),
            lengths=torch.tensor([len(row) for row in columns["tokens"]], dtype=torch.int64),
            group=group,
            truncated=torch.tensor(columns["truncated"], dtype=torch.bool),
            texts=tuple(columns["text"]),
            notes=tuple(json.loads(note) for note in columns["notes"]),
            prompt_tokens=prompt_tokens,
            prompt_lengths=prompt_lengths,
            problems=tuple(problems),
            temperature=meta["temperature"],
            foreign=padded("foreign", torch.float32, 0.0) if "foreign" in columns else None,
        )
