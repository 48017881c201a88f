"""Packed rollouts hold what the Parquet files held, within the budget."""

from __future__ import annotations

import base64
import gzip
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftWarning
from scorecraft.report.pack import half_floats, pack_rollouts

PLENTY = 10**9


def unpacked(text):
    return gzip.decompress(base64.b64decode(text))


def index_of(packed):
    return json.loads(unpacked(packed["index"]))


def planes_of(packed, block):
    data = np.frombuffer(unpacked(packed["blocks"][block]), np.uint8)
    names = ["id0", "id1", "id2", "mask", "steps"]
    names += [f"{name}{part}" for name in packed["planes"] for part in ("_low", "_high")]
    return dict(zip(names, data.reshape(len(names), -1), strict=True))


def number(planes, name):
    bits = planes[f"{name}_low"].astype(np.uint16) | planes[f"{name}_high"].astype(np.uint16) << 8
    return bits.view(np.float16).astype(np.float64)


@given(st.lists(st.floats(-5e4, 5e4, width=32), min_size=1, max_size=20), st.integers(4, 10))
def test_half_floats_are_near_their_numbers(values, bits):
    given_values = np.array(values, np.float32)
    back = half_floats(given_values, bits).view(np.float16).astype(np.float64)
    # Half a unit of each rounding, relative, plus the smallest steps near 0.
    bound = np.abs(given_values) * (2.0 ** -(bits + 1) + 2.0**-11) * 1.001 + 2.0**-24 * 2.0 ** (10 - bits)
    assert (np.abs(back - given_values) <= bound).all()


def test_half_floats_cap_what_is_too_large():
    back = half_floats(np.array([1e9, -1e9], np.float32), 8).view(np.float16).astype(np.float64)
    assert np.isfinite(back).all()
    assert back[0] == -back[1] > 50_000


def test_text_and_numbers_come_back(make_run, rollouts_of):
    store = make_run()
    rollouts = rollouts_of(["1+1=2\n2", "ab", ""], [("one", "2"), ("two", "x")], [0, 0, 1])
    store.save_rollouts(
        7,
        rollouts,
        {
            "reward": [1.0, None, float("nan")],
            "reward/own": [0.5, None, 1.0],
            "correct": [True, False, None],
            "advantage": [[0.5] * 7, [-0.25] * 7, [0.0] * 7],
            "returns": [[1.0] * 6, None, []],
            "step_labels": [["correct", "wrong"], [], []],
        },
    )
    packed = pack_rollouts(store, PLENTY, decode_token=lambda token: f"t{token}")
    index = index_of(packed)
    assert index["text"] == ["1+1=2\n2", "ab", ""]
    assert index["length"] == [7, 2, 0]
    assert index["reward"] == [1.0, None, None]
    assert index["reward/own"] == [0.5, None, 1.0]
    assert index["correct"] == [True, False, None]
    assert index["step_labels"] == [["correct", "wrong"], [], []]
    assert index["training_step"] == [7, 7, 7]
    assert index["prompts"] == [["one", "2", ""], ["two", "x", ""]]
    assert index["prompt"] == [0, 0, 1]
    assert (packed["saved"], index["rows"]) == (3, [3])

    planes = planes_of(packed, 0)
    ids = planes["id0"] + 256 * planes["id1"].astype(int) + 65536 * planes["id2"].astype(int)
    tokens = rollouts.tokens[0].tolist() + rollouts.tokens[1, :2].tolist()
    assert [packed["texts"][one] for one in ids] == [f"t{token}" for token in tokens]
    assert planes["steps"].tolist() == [1, 1, 1, 1, 1, 1, 2, 1, 1]
    assert planes["mask"].tolist() == [1] * 9
    # Padded rows are cut, short ones filled with 0.
    assert number(planes, "advantage").tolist() == [0.5] * 7 + [-0.25] * 2
    assert number(planes, "returns").tolist() == [1.0] * 6 + [0.0] * 3
    expected = rollouts.logprobs[0].tolist() + rollouts.logprobs[1, :2].tolist()
    assert number(planes, "logprobs") == pytest.approx(expected, rel=0.009)


def test_known_texts_win_and_unknown_tokens_show_their_id(make_run, rollouts_of):
    store = make_run()
    rollouts = rollouts_of(["ab"], [("p", "a")], [0])
    first, second = rollouts.tokens[0].tolist()
    store.save_rollouts(1, rollouts)
    store.save_token_texts({first: "known"})
    assert pack_rollouts(store, PLENTY)["texts"] == ["known", f"⟨{second}⟩"]
    assert pack_rollouts(store, PLENTY, lambda _: "asked")["texts"] == ["known", "asked"]
    assert pack_rollouts(store, PLENTY)["planes"] == ["logprobs", "entropies"]


def test_large_vocabularies_fit(make_run, rollouts_of):
    store = make_run()
    rollouts = rollouts_of(["abc"], [("p", "a")], [0])
    rollouts.tokens[0] = rollouts.tokens.new_tensor([250_000, 3, 250_000])
    store.save_rollouts(1, rollouts)
    packed = pack_rollouts(store, PLENTY)
    assert packed["texts"] == ["⟨3⟩", "⟨250000⟩"]
    assert planes_of(packed, 0)["id0"].tolist() == [1, 0, 1]


def test_a_run_without_rollouts_gives_none_and_torn_files_are_named(make_run, rollouts_of):
    store = make_run()
    assert pack_rollouts(store, PLENTY) is None
    store.save_rollouts(1, rollouts_of(["ab"], [("p", "a")], [0]))
    store.save_rollouts(2, rollouts_of(["cd"], [("p", "a")], [0]))
    store.rollouts_path(1).write_bytes(b"torn")
    with pytest.warns(ScorecraftWarning, match="step-000001"):
        packed = pack_rollouts(store, PLENTY)
    assert index_of(packed)["training_step"] == [2]


def test_steps_are_left_out_evenly_beyond_the_budget(filled):
    store = filled(steps=40, every=2, prompts=8, group_size=8)
    whole = pack_rollouts(store, PLENTY)
    weight = sum(map(len, whole["blocks"])) + sum(map(len, index_of(whole)["text"])) // 2
    packed = pack_rollouts(store, weight // 3)
    kept = sorted(set(index_of(packed)["training_step"]))
    assert kept[0] == 1
    assert kept[-1] == 40
    assert 4 <= len(kept) <= 7
    assert max(later - sooner for sooner, later in itertools.pairwise(kept)) <= 14
    assert sum(map(len, packed["blocks"])) <= weight // 3
    assert packed["saved"] == 64 * 21
    assert set(index_of(pack_rollouts(store, 1))["training_step"]) == {40}


def test_parts_that_some_steps_lack_are_empty_there(make_run, rollouts_of):
    store = make_run()
    store.save_rollouts(1, rollouts_of(["ab"], [("p", "a")], [0]), {"reward": [1.0]})
    store.save_rollouts(
        2, rollouts_of(["ab"], [("p", "a")], [0]), {"reward": [0.0], "reward/new": [0.5], "advantage": [[1, 1]]}
    )
    packed = pack_rollouts(store, PLENTY)
    assert index_of(packed)["reward/new"] == [None, 0.5]
    assert packed["planes"] == ["logprobs", "entropies", "advantage"]
    assert number(planes_of(packed, 0), "advantage").tolist() == [0.0, 0.0]
    assert number(planes_of(packed, 1), "advantage").tolist() == [1.0, 1.0]
