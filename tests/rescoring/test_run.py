"""Whole files scored: by hand, resumed, in parts, by several processes and on Ray, all with the same result."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.rescoring import run, score_file
from scorecraft.rescoring.job import score_part
from scorecraft.rescoring.rows import Columns
from scorecraft.rescoring.source import Source


def sums(count, group=2):
    """Rows in groups; the first of each group is right, the others are one too large."""
    return [
        {"prompt": f"{n} plus 1?", "completion": f"It is\n#### {n + 1 + (k > 0)}", "answer": str(n + 1)}
        for n in range(count)
        for k in range(group)
    ]


def table(folder):
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / "parts").glob("*.parquet"))]).to_pydict()


def test_by_hand(write, correct, tmp_path):
    rows = [*sums(2), {"prompt": "x", "completion": "no number", "answer": "5"}, {"prompt": "y", "completion": None}]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    result = score_file(path, correct)
    assert result.folder == tmp_path / "a.jsonl.scores"
    counts = result.counts
    assert (counts["rows"], counts["unreadable"]) == (7, 2)
    assert counts["bad_rows"][0].startswith("a.jsonl:6: 'completion' is empty")
    assert counts["bad_rows"][1].startswith("a.jsonl:7: not JSON")
    assert counts["total"] == {"count": 5, "sum": 2, "squares": 2, "low": 0, "high": 1}
    assert counts["groups"] == {"count": 3, "compared": 2, "equal": 0}
    assert counts["rewards"]["correct"]["measures"]["unparsed"]["sum"] == 1
    assert [one["total"] for one in counts["examples"]["best"]] == [1, 1, 0, 0]
    found = table(result.folder)
    assert found["total"] == [1, 0, 1, 0, 0, None, None]
    assert found["row"] == [1, 2, 3, 4, 5, 6, 7]
    assert found["group"] == [0, 0, 1, 1, 2, None, None]
    assert found["unreadable"][:5] == [None] * 5


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(run, "_rows_of_a_part", lambda source: 8)


def outcome(folder):
    return {path.name: pq.read_table(path).to_pydict() for path in sorted((folder / "parts").glob("*.parquet"))}


def test_parts_workers_and_interruptions_do_not_change_the_result(write, correct, tmp_path, small_parts, monkeypatch):
    path = write("a.jsonl", sums(20, group=3))
    whole = score_file(path, correct, out=tmp_path / "whole")
    assert len(outcome(whole.folder)) == 8
    several = score_file(path, correct, out=tmp_path / "several", workers=2)
    done = []

    def stops(job, part):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(part.index)
        return score_part(job, part)

    monkeypatch.setattr(run, "score_part", stops)
    with pytest.raises(KeyboardInterrupt):
        score_file(path, correct, out=tmp_path / "killed")
    # A part whose counts were not written any more is not whole.
    (tmp_path / "killed/parts/part-000002.json").unlink()
    monkeypatch.setattr(run, "score_part", lambda job, part: done.append(part.index) or score_part(job, part))
    resumed = score_file(path, correct, out=tmp_path / "killed")
    assert done == [0, 1, 2, 2, 3, 4, 5, 6, 7]
    for other in (several, resumed):
        assert outcome(other.folder) == outcome(whole.folder)
        assert other.counts == whole.counts


def test_ray_gives_the_same(write, correct, tmp_path, small_parts):
    ray = pytest.importorskip("ray", reason="ray is not installed")
    path = write("a.jsonl", sums(10, group=3))
    here = score_file(path, correct, out=tmp_path / "here")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        there = score_file(path, correct, out=tmp_path / "there", engine="ray")
    finally:
        ray.shutdown()
    assert outcome(there.folder) == outcome(here.folder)
    assert there.counts == here.counts


def test_a_part_never_splits_a_group_where_groups_are_compared(write):
    path = write("a.jsonl", sums(10, group=3))
    parts = list(Source(path, Columns()).parts(4, whole_groups=True))
    assert [(part.first_row, part.rows) for part in parts] == [(0, 6), (6, 6), (12, 6), (18, 6), (24, 6)]
    rows = [row.prompt for part in parts for row in Source(path, Columns()).read(part)]
    assert rows == [row["prompt"] for row in sums(10, group=3)]


def test_rows_of_a_group_must_stand_together_where_they_are_compared(write):
    lengths = str(write("r.yaml", "reward:\n  correct: {}\n  adaptive-length: {}\n"))
    path = write("a.jsonl", [*sums(3), sums(1)[0]])
    with pytest.raises(ScorecraftError, match=r"a\.jsonl:7: the rows of this group do not stand together"):
        score_file(path, lengths)


def test_two_rewards_on_the_same_rows_by_hand(write, correct):
    # The other pays 1 for every completion without "Well": rows 1 0 | 1 0 become 0 1 | 1 1.
    rows = sums(2)
    rows[0]["completion"] = "Well " + rows[0]["completion"]
    other = str(write("other.yaml", "reward:\n  format: {pattern: '[^W].*\\s.*', weight: 1.0}\n"))
    result = score_file(write("a.jsonl", rows), correct, against=other)
    found = result.comparison
    assert found["rows"] == 4
    assert found["difference"]["estimate"] == pytest.approx((1 - 1 + 0 - 1) / 4)
    assert (found["pairs"], found["flips"], found["flipped_groups"]) == (2, 1, 1)
    assert found["sign_changes"] == 2
    assert (found["signal_gained"], found["signal_lost"]) == (2, 0)
    assert found["contributions"] == {"reward": {"correct": 0.5}, "against": {"format": 0.75}}


def test_scorecrafts_own_rollouts_are_scored_as_in_training(tmp_path, make_rollouts):
    from scorecraft.recipes.recipe import Recipe
    from scorecraft.runs import RunStore

    recipe = Recipe()
    problems = [recipe.task.problem("train", index) for index in range(2)]
    texts = [problems[0].gold, "#0", problems[1].gold, problems[1].gold]
    rollouts = make_rollouts([[1] * 4] * 4, [0, 0, 1, 1], texts=texts, problems=problems)
    store = RunStore.create(tmp_path / "run", recipe.to_yaml(), {})
    store.save_rollouts(3, rollouts)
    result = score_file(tmp_path / "run", "default", out=tmp_path / "out")
    assert result.format == "scorecraft"
    assert table(tmp_path / "out")["total"] == [1, 0, 1, 1]
    assert table(tmp_path / "out")["length"] == [4, 4, 4, 4]


def test_files_as_the_trainers_write_them(tmp_path, correct):
    import pandas as pd

    # As verl's trainer dumps rollouts: one object a line, in a file named after the step.
    dumped = {"input": "Q", "output": "#### 4", "gts": "4", "score": 1.0, "step": 7, "acc": True}
    lines = [dumped, {**dumped, "output": "#### 5", "score": 0.0, "acc": False}]
    (tmp_path / "7.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    result = score_file(tmp_path / "7.jsonl", correct, out=tmp_path / "v")
    assert (result.format, table(tmp_path / "v")["total"]) == ("verl", [1, 0])
    # As TRL's GRPOTrainer logs completions: the rewards by name between the fixed columns.
    pd.DataFrame({
        "step": [1, 1], "prompt": [[{"role": "user", "content": "Q"}]] * 2,
        "completion": [[{"role": "assistant", "content": "#### 4"}], [{"role": "assistant", "content": "#### 5"}]],
        "my_reward": [1.0, 0.0], "answer": ["4", "4"], "advantage": [0.7, -0.7],
    }).to_parquet(tmp_path / "completions_00001.parquet")  # fmt: skip
    result = score_file(tmp_path / "completions_00001.parquet", correct, out=tmp_path / "t")
    assert (result.format, table(tmp_path / "t")["total"]) == ("trl", [1, 0])


def test_mistakes_are_named(write, correct, tmp_path):
    path = write("a.jsonl", sums(2))
    with pytest.raises(ScorecraftError, match="there is no such file"):
        score_file(tmp_path / "b.jsonl", correct)
    with pytest.raises(ScorecraftError, match="no rows"):
        score_file(write("empty.jsonl", ""), correct)
    with pytest.raises(ScorecraftError, match=r"expected a \.parquet or \.jsonl file"):
        score_file(write("a.csv", "x"), correct)
    with pytest.raises(ScorecraftError, match="not a readable Parquet file"):
        score_file(write("a.parquet", "x"), correct)
    score_file(path, correct)
    other = str(write("other.yaml", "reward:\n  brevity: {}\n"))
    with pytest.raises(ScorecraftError, match="holds the scores of another recipe"):
        score_file(path, other)
    batch = str(write("batch.yaml", "reward:\n  correct: {transforms: [center]}\n"))
    with pytest.raises(ScorecraftError, match=r"transform 'center' of reward 'correct' looks at the whole batch"):
        score_file(path, batch, out=tmp_path / "c")
    (tmp_path / "bad.py").write_text("def f(completions, **more):\n    return [float('nan')] * len(completions)\n")
    broken = str(write("nan.yaml", f"reward:\n  function: {{path: {tmp_path / 'bad.py'}, function: f}}\n"))
    with pytest.raises(ScorecraftError, match=r"rows 1 to 4: .*nan for rollout 0"):
        score_file(path, broken, out=tmp_path / "n")
