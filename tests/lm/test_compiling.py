"""The loops are compiled once, with a word about it, and use as many threads as torch."""

import numba
import pytest
import torch

from scorecraft.lm.compiling import NAME, compile_loops
from scorecraft.lm.policy import Policy
from scorecraft.lm.threads import fixed_threads
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer


def small():
    return Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")


def test_it_is_told_the_first_time_only(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path))
    told = []
    compile_loops(small(), lambda *step: told.append(step))
    assert told == [(NAME, 0, 2), (NAME, 1, 2), (NAME, 2, 2)]
    compile_loops(small(), lambda *step: pytest.fail("it was told again"))


def test_a_policy_that_does_not_use_the_loops_waits_for_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path))
    policy = small()
    policy.model.to(torch.bfloat16)
    compile_loops(policy, lambda *step: pytest.fail("it was compiled"))
    assert list(tmp_path.iterdir()) == []


def test_compiled_loops_use_torchs_threads_and_give_them_back():
    before = torch.get_num_threads()
    with fixed_threads(1):
        assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == before
    assert numba.get_num_threads() == min(before, numba.config.NUMBA_NUM_THREADS)
