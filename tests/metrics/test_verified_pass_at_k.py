"""Verified pass@k and the rate of miracle steps: vectors by hand, and what must always hold."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.miracle_steps import FALSE_POSITIVE_MODES, miracle_step_rate
from scorecraft.metrics.verified_pass_at_k import verified_pass_at_k

YES = [[True] * 4]


def test_a_sample_counts_where_answer_and_reasoning_are_right():
    found = verified_pass_at_k([[1, 1, 1, 0]], [[1, 0, 0, 1]], [1])
    assert found == {"pass@1": 0.75, "verified_pass@1": 0.25, "gap@1": 0.5}


def test_the_unbiased_estimate():
    # 1 - C(3,2)/C(4,2) = 1/2 and 1 - C(2,2)/C(4,2) = 5/6; of ten samples seven right leave no five wrong ones.
    assert verified_pass_at_k([[1, 0, 0, 0]], YES, [2])["verified_pass@2"] == pytest.approx(1 / 2)
    assert verified_pass_at_k([[1, 1, 0, 0]], YES, [2])["verified_pass@2"] == pytest.approx(5 / 6)
    ten = np.arange(10)[None] < np.array([[0], [7]])
    assert verified_pass_at_k(ten, np.ones_like(ten), [5])["pass@5"] == pytest.approx(0.5)


tables = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.tuples(st.booleans(), st.booleans()), min_size=n, max_size=n), min_size=1, max_size=4
    )
)


@given(tables, st.randoms())
def test_bounds_growth_with_k_and_order(rows, random):
    table = np.array(rows)
    right, sound = table[:, :, 0], table[:, :, 1]
    ks = range(1, table.shape[1] + 1)
    found = verified_pass_at_k(right, sound, ks)
    for k in ks:
        assert 0 <= found[f"verified_pass@{k}"] <= found[f"pass@{k}"] + 1e-12 <= 1 + 2e-12
        assert found[f"gap@{k}"] == pytest.approx(found[f"pass@{k}"] - found[f"verified_pass@{k}"])
    verified = [found[f"verified_pass@{k}"] for k in ks]
    assert all(a <= b + 1e-12 for a, b in pairwise(verified))
    order = list(range(table.shape[1]))
    random.shuffle(order)
    assert verified_pass_at_k(right[:, order], sound[:, order], ks) == pytest.approx(found)


@pytest.mark.parametrize(
    ("right", "sound", "ks", "said"),
    [
        ([[1, 0]], [[1, 0]], [3], "only 2 samples"),
        ([[1, 0]], [[1]], [1], "is \\(1, 2\\), but reasoning_ok is \\(1, 1\\)"),
        ([1, 0], [1, 0], [1], "a table of problems by samples"),
        ([[]], [[]], [1], "a table of problems by samples"),
        ([[0.5]], [[1]], [1], "answer_ok to hold truth values"),
        ([[1]], [[1]], [], "at least one k"),
    ],
)
def test_bad_tables_are_named(right, sound, ks, said):
    with pytest.raises(ScorecraftError, match=said):
        verified_pass_at_k(right, sound, ks)


def test_miracle_steps_by_hand():
    traces = [(True, ("miracle step",)), (True, ()), (True, ("numerical coincidence",)), (False, ("miracle step",))]
    found = miracle_step_rate(traces, lambda trace: trace)
    assert found["answer_ok"] == 0.75
    assert found["miracle_rate"] == 0.5
    assert found["miracle step"] == pytest.approx(1 / 3)
    assert found["numerical coincidence"] == pytest.approx(1 / 3)
    assert found["false_positive_rate"] == pytest.approx(2 / 3)
    assert found["unverified assumption"] == 0
    assert set(FALSE_POSITIVE_MODES) < set(found)
    assert miracle_step_rate([(False, ("miracle step",))], lambda trace: trace)["miracle step"] == 0.0


def test_odd_traces_are_named():
    with pytest.raises(ScorecraftError, match="at least one trace"):
        miracle_step_rate([], lambda trace: trace)
    with pytest.raises(ScorecraftError, match="unknown failure mode 'luck'"):
        miracle_step_rate([(True, ("luck",))], lambda trace: trace)


def test_it_needs_no_torch():
    names = "scorecraft.metrics.verified_pass_at_k, scorecraft.metrics.miracle_steps"
    code = f"import sys, {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
