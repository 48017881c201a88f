"""Rollouts packed for a page: text in one compressed index, numbers per token in compressed blocks.

A block holds planes, one after the other, of one byte for each of its tokens; a number of 16 or 24 bits is split
over planes, low byte first, which compresses far better than whole numbers side by side.
"""

from __future__ import annotations

import base64
import gzip
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scorecraft.errors import ScorecraftError, ScorecraftWarning, require
from scorecraft.report import tables
from scorecraft.report.charts import columns
from scorecraft.report.rollout_reasons import reasons_of, reward_spread
from scorecraft.runs import RunStore
from scorecraft.runs.files import to_json

if TYPE_CHECKING:
    import pyarrow

ROWS_PER_BLOCK = 512
_NUMBERS = ("logprobs", "entropies", "advantage", "returns")
# Columns that hold what further credit methods would give each token, as ``credit/NAME``.
CREDIT = "credit/"
# How many of the 10 bits of a 16-bit float's mantissa are kept: 2 to 3 digits; the Parquet files have them all.
_MANTISSA_BITS = {"logprobs": 6, "entropies": 6, "advantage": 8, "returns": 8}


@dataclass(slots=True)
class _Block:
    columns: dict[str, list[Any]]
    tokens: np.ndarray
    lengths: np.ndarray
    planes: dict[str, np.ndarray]
    packed: str = ""
    weight: int = 0


@dataclass(slots=True)
class _Vocabulary:
    """Numbers the tokens that occur, so that a page holds only their texts."""

    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, tokens: np.ndarray) -> None:
        self.ids = np.union1d(self.ids, tokens)


def pack_rollouts(
    store: RunStore, budget: int, decode_token: Callable[[int], str] | None = None
) -> dict[str, Any] | None:
    """Return a run's rollouts as JSON values for the page, with the spread of their rewards; None where it has none.

    budget: bytes the packed rollouts may take; beyond it, blocks are left out evenly (first and last stay).
    decode_token: gives the text of a token the store does not know.
    """
    require("pyarrow", "lm", "reading rollouts")
    import pyarrow

    blocks: list[_Block] = []
    spreads: list[tuple[int, float | None]] = []
    vocabulary = _Vocabulary()
    for step in store.rollout_steps():
        try:
            table = store.read_rollouts(step)
        except ScorecraftError as error:
            warnings.warn(f"report: {error}", ScorecraftWarning, stacklevel=2)
            continue
        spreads.append((step, reward_spread(table)))
        table = table.append_column("reason", pyarrow.array(reasons_of(table), pyarrow.string()))
        for start in range(0, table.num_rows, ROWS_PER_BLOCK):
            blocks.append(_block(table.slice(start, ROWS_PER_BLOCK)))
            vocabulary.add(blocks[-1].tokens)
    if not blocks:
        return None
    numbers = [name for name in _NUMBERS if any(name in block.planes for block in blocks)]
    numbers += list(dict.fromkeys(name for block in blocks for name in block.planes if name.startswith(CREDIT)))
    for block in blocks:
        block.packed = _pack(block, vocabulary, numbers)
        block.weight = len(block.packed) + sum(len(text) for text in block.columns["text"]) // 2
    kept = _within(blocks, budget)
    return {
        "index": _compressed(json.dumps(to_json(_index(kept)), ensure_ascii=False, allow_nan=False).encode()),
        "blocks": [block.packed for block in kept],
        "planes": numbers,
        "texts": _texts(vocabulary, store.token_texts(), decode_token),
        "scale": _scales(kept, numbers),
        "saved": sum(len(block.lengths) for block in blocks),
        "groups": columns([{"step": step, "reward_spread": spread} for step, spread in spreads]),
    }


def _block(table: pyarrow.Table) -> _Block:
    tokens, lengths = tables.flat(table, "tokens")
    planes: dict[str, np.ndarray] = {"mask": tables.aligned(table, "mask", lengths).astype(np.uint8)}
    planes["steps"] = (np.clip(tables.aligned(table, "steps", lengths), -1, 254) + 1).astype(np.uint8)
    for name in (*_NUMBERS, *(name for name in table.column_names if name.startswith(CREDIT))):
        if name in table.column_names:
            planes[name] = tables.aligned(table, name, lengths).astype(np.float32)
    plain = (
        "training_step", "group", "text", "prompt", "answer", "gold", "truncated", "reward", "correct", "step_labels",
        "reason",
    )  # fmt: skip
    names = [*plain, *(name for name in table.column_names if name.startswith(("reward/", "measure/")))]
    columns = {name: table.column(name).to_pylist() for name in names if name in table.column_names}
    return _Block(columns, tokens.astype(np.int64), lengths, planes)


def _pack(block: _Block, vocabulary: _Vocabulary, numbers: list[str]) -> str:
    ids = np.searchsorted(vocabulary.ids, block.tokens).astype(np.uint32)
    planes = [_bytes(ids, shift) for shift in (0, 8, 16)]
    planes += [block.planes["mask"], block.planes["steps"]]
    for name in numbers:
        half = half_floats(block.planes.get(name, np.zeros(len(ids), np.float32)), _MANTISSA_BITS.get(name, 8))
        planes += [_bytes(half, 0), _bytes(half, 8)]
    return _compressed(b"".join(plane.tobytes() for plane in planes))


def _bytes(values: np.ndarray, shift: int) -> np.ndarray:
    return ((values >> shift) & 0xFF).astype(np.uint8)


def half_floats(values: np.ndarray, mantissa_bits: int) -> np.ndarray:
    """Return the bits of 16-bit floats with the mantissa rounded to ``mantissa_bits``; larger numbers are capped."""
    capped = np.clip(values, -60000, 60000).astype(np.float16).view(np.uint16).astype(np.int32)
    unit = 1 << (10 - mantissa_bits)
    return ((capped + unit // 2) & ~(unit - 1)).astype(np.uint16)


def _compressed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _within(blocks: list[_Block], budget: int) -> list[_Block]:
    total = sum(block.weight for block in blocks)
    if total <= budget or len(blocks) == 1:
        return blocks
    count = max(1, min(len(blocks) - 1, int(len(blocks) * budget / total)))
    kept = sorted({round(index) for index in np.linspace(0, len(blocks) - 1, count)} if count > 1 else [-1])
    return [blocks[index] for index in kept]


def _index(blocks: list[_Block]) -> dict[str, Any]:
    names = dict.fromkeys(name for block in blocks for name in block.columns)
    index: dict[str, Any] = {
        name: [value for block in blocks for value in block.columns.get(name, [None] * len(block.lengths))]
        for name in names
        if name not in ("prompt", "answer", "gold")
    }
    prompts: dict[tuple[str, str, str], int] = {}
    index["prompt"] = [
        prompts.setdefault(key, len(prompts))
        for block in blocks
        for key in zip(block.columns["prompt"], block.columns["answer"], block.columns["gold"], strict=True)
    ]
    index["prompts"] = [list(key) for key in prompts]
    index["length"] = [length for block in blocks for length in block.lengths.tolist()]
    index["rows"] = [len(block.lengths) for block in blocks]
    return index


def _texts(
    vocabulary: _Vocabulary, known: Mapping[int, str], decode_token: Callable[[int], str] | None
) -> list[str | None]:
    texts: list[str | None] = []
    for token in vocabulary.ids.tolist():
        text = known.get(token)
        texts.append(decode_token(token) if text is None and decode_token is not None else text)
    return [f"⟨{token}⟩" if text is None else text for token, text in zip(vocabulary.ids.tolist(), texts, strict=True)]


def _scales(blocks: list[_Block], numbers: list[str]) -> dict[str, float]:
    """Return for each number the size at which its colour is full: the 98th percentile of what is not 0.

    Credit methods share one, so that they can be compared by eye.
    """
    scales = {}
    for name in numbers:
        values = np.concatenate([np.abs(block.planes[name]) for block in blocks if name in block.planes] or [[]])
        values = values[values > 0]
        scales[name] = float(f"{np.quantile(values, 0.98):.3g}") if len(values) else 1.0
    methods = [name for name in scales if name.startswith(CREDIT)]
    return scales | dict.fromkeys(methods, max((scales[name] for name in methods), default=1.0))
