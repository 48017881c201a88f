"""Warm starts reach the competence asked for, repeat bit for bit, and are kept."""

from __future__ import annotations

import hashlib
import json
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.lm import warm_start as module
from scorecraft.lm.competence import completion_limit, sampled_accuracy
from scorecraft.lm.warm_start import (
    PACKAGED,
    WarmStart,
    adjusted_flaw_rate,
    first_flaw_rate,
    read_record,
    warm_start,
    warm_start_key,
)
from scorecraft.tasks.calculator import Calculator
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.second_turn import SecondTurn

EASY = ChainArithmetic(operations=(1, 1), largest=3, operators="+")
TINY = WarmStart(
    competence=0.6,
    layers=1,
    width=32,
    heads=2,
    steps=150,
    budget=900,
    batch_size=32,
    learning_rate=1e-2,
    measured_on=200,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path))
    return tmp_path


def weights_of(policy):
    return [weight.detach().clone() for weight in policy.model.parameters()]


def test_it_reaches_its_competence_repeats_bit_for_bit_and_is_kept(cache, tmp_path, monkeypatch):
    told = []
    first = warm_start(EASY, TINY, progress=lambda *step: told.append(step))
    assert told
    assert told[-1][0] == "warm start"
    folders = list((cache / "tunnel-tiny").iterdir())
    assert [folder.name for folder in folders] == [warm_start_key(EASY, TINY)]

    record = read_record(folders[0])
    assert abs(record.accuracy - 0.6) <= 0.015
    assert record.samples == 800
    limit = completion_limit(first, EASY)
    # 1000 fresh samples: the standard error is 1.5 points, so four of them and the tolerance together are 7.7.
    assert abs(sampled_accuracy(first, EASY, 10**6, 1000, max_new_tokens=limit, seed=9) - 0.6) < 0.077

    told.clear()
    again = warm_start(EASY, TINY, progress=lambda *step: told.append(step))
    assert told == []  # it came from the cache
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path / "other"))
    torch.manual_seed(123)  # the global random state must not matter
    anew = warm_start(EASY, TINY, progress=lambda *step: told.append(step))
    assert told
    for weight, kept, repeated in zip(weights_of(first), weights_of(again), weights_of(anew), strict=True):
        assert weight.dtype == torch.float32
        assert torch.equal(weight, weight.half().float())
        assert torch.equal(weight, kept)
        assert torch.equal(weight, repeated)

    # Damage on disk is noticed and made good.
    (folders[0] / "model.safetensors").write_bytes(b"damaged")
    monkeypatch.setenv("SCORECRAFT_CACHE", str(cache))
    mended = warm_start(EASY, TINY)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(mended), weights_of(first), strict=True))


def test_a_competence_out_of_reach_says_so_and_leaves_nothing(cache):
    settings = TINY.model_copy(update={"competence": 0.95, "steps": 5, "budget": 10})
    with pytest.raises(ScorecraftError, match=r"competence 0\.95 was not reached in 10 steps .* raise 'budget'"):
        warm_start(EASY, settings)
    assert list(cache.rglob("*")) == []


def test_an_interrupted_warm_start_leaves_nothing(cache):
    def interrupt(*step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warm_start(EASY, TINY, progress=interrupt)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_threads_are_as_before_after_a_failure(cache):
    before = torch.get_num_threads()
    with pytest.raises(ScorecraftError):
        warm_start(EASY, TINY.model_copy(update={"threads": before + 1, "competence": 0.95, "steps": 1, "budget": 1}))
    assert torch.get_num_threads() == before


def test_the_key_depends_on_the_task_and_the_settings_but_not_on_the_seed_of_the_run():
    key = warm_start_key(EASY, TINY)
    assert key == warm_start_key(EASY.model_copy(update={"seed": 7}), TINY)
    others = [
        warm_start_key(EASY.model_copy(update={"largest": 4}), TINY),
        warm_start_key(Calculator(operations=(1, 1), largest=3, operators="+"), TINY),
        warm_start_key(EASY, TINY.model_copy(update={"seed": 1})),
        warm_start_key(EASY, TINY.model_copy(update={"competence": 0.61})),
    ]
    assert len({key, *others}) == 5


def test_first_flaw_rate_by_hand():
    # 0.85 * (1 - f)^2 = 0.2125 means (1 - f)^2 = 1/4, so f = 1/2
    assert first_flaw_rate(0.2125, 2) == pytest.approx(0.5)
    assert first_flaw_rate(0.95, 3) == 0.0


def test_adjusted_flaw_rate_by_hand():
    # Too good by a factor of 4 over 2 steps: what is kept halves, from 0.8 to 0.4.
    assert adjusted_flaw_rate(0.2, 0.8, 0.2, 2) == pytest.approx(0.6)
    assert adjusted_flaw_rate(0.2, 0.4, 0.4, 3) == pytest.approx(0.2)
    assert adjusted_flaw_rate(0.0, 0.3, 0.6, 1) == 0.0  # traces cannot be better than flawless


@given(st.floats(0, 0.9), st.floats(0, 1), st.floats(0.01, 0.99), st.floats(1, 8))
def test_adjustment_goes_the_right_way(rate, measured, competence, steps):
    after = adjusted_flaw_rate(rate, measured, competence, steps)
    assert 0 <= after <= 0.9
    if measured > competence:
        assert after >= rate - 1e-9
    elif measured < competence:
        assert after <= rate + 1e-9


@pytest.mark.parametrize("task", [ChainArithmetic(), Calculator(), SecondTurn()])
def test_length_limit_holds_for_fresh_traces(task):
    policy = module._untrained(TINY)
    limit = completion_limit(policy, task)
    random = Random(99)
    for problem in task.problems("test", 500, 100):
        segments = task.trace(problem, 0.3, random)
        ends = sum(1 for _, by_policy in segments if by_policy)
        assert sum(len(text) for text, _ in segments) + ends <= limit
    assert limit < policy.context_length


def test_the_packaged_weights_are_those_of_the_default_and_small():
    record = read_record(PACKAGED)
    assert record.key == warm_start_key(ChainArithmetic(), WarmStart())
    data = (PACKAGED / "model.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == record.sha256
    assert sum(file.stat().st_size for file in PACKAGED.iterdir()) < 2_000_000
    assert abs(record.accuracy - 0.40) <= 0.015
    assert record.samples >= 2000


def test_the_default_needs_no_training_and_is_as_good_as_it_says(cache):
    policy = warm_start(ChainArithmetic(seed=3), progress=lambda *step: pytest.fail("it was trained"))
    assert list(cache.iterdir()) == []
    accuracy = sampled_accuracy(policy, ChainArithmetic(seed=3), 0, 2000, max_new_tokens=64, seed=1)
    # Within 3 points as promised, and four standard errors of 2000 samples (1.1 points each).
    assert abs(accuracy - 0.40) < 0.03 + 4 * 0.011


def test_damaged_packaged_weights_are_refused(tmp_path, monkeypatch, cache):
    for file in PACKAGED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(bytes(data))
    monkeypatch.setattr(module, "PACKAGED", tmp_path)
    with pytest.raises(ScorecraftError, match=r"damaged weights .* reinstall scorecraft"):
        warm_start(ChainArithmetic())


def test_a_record_that_is_not_one_is_refused(tmp_path):
    (tmp_path / "warm_start.json").write_text(json.dumps({"key": "x"}))
    with pytest.raises(ScorecraftError, match="not the record of a warm start"):
        read_record(tmp_path)
