"""Checkpoints are whole or absent, and a damaged one is never used."""

from __future__ import annotations

import hashlib
import json

import pytest

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.runs import checkpoints


def writer(text):
    def write(directory):
        (directory / "model.bin").write_text(text)
        (directory / "parts").mkdir()
        (directory / "parts" / "state.json").write_text('{"a": 1}')

    return write


def test_the_manifest_has_size_and_sum_of_every_file(tmp_path):
    path = checkpoints.save(tmp_path / "c", 50, writer("weights"), keep=2)
    assert path == tmp_path / "c" / "step-000050"
    manifest = json.loads((path / "MANIFEST.json").read_text())
    assert manifest == {
        "model.bin": {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()},
        "parts/state.json": {"bytes": 8, "sha256": hashlib.sha256(b'{"a": 1}').hexdigest()},
    }
    assert checkpoints.fault(path) is None
    assert checkpoints.newest(tmp_path / "c") == (50, path)


def test_the_newest_are_kept(tmp_path):
    for step in (5, 10, 100, 1_000_000, 2_000_000):
        checkpoints.save(tmp_path, step, writer(str(step)), keep=2)
    assert checkpoints.steps_in(tmp_path) == [1_000_000, 2_000_000]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1000000", "step-2000000"]
    with pytest.raises(ScorecraftError, match="at least 1"):
        checkpoints.save(tmp_path, 7, writer("x"), keep=0)


def damage_content(path):
    (path / "model.bin").write_text("weighty")


def damage_size(path):
    (path / "model.bin").write_text("weigh")


def damage_missing(path):
    (path / "parts" / "state.json").unlink()


def damage_manifest(path):
    manifest = path / "MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])


def damage_no_manifest(path):
    (path / "MANIFEST.json").unlink()


def damage_odd_manifest(path):
    (path / "MANIFEST.json").write_text("[1, 2]")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_content, "SHA-256 differs"),
        (damage_size, "5 bytes instead of 7"),
        (damage_missing, "state.json is missing"),
        (damage_manifest, "not readable"),
        (damage_no_manifest, "MANIFEST.json is missing"),
        (damage_odd_manifest, "not readable"),
    ],
)
def test_a_damaged_one_is_named_and_the_one_before_is_used(tmp_path, damage, reason):
    checkpoints.save(tmp_path, 1, writer("weights"), keep=3)
    checkpoints.save(tmp_path, 2, writer("weights"), keep=3)
    damage(tmp_path / "step-000002")
    with pytest.warns(ScorecraftWarning, match=reason):
        found = checkpoints.newest(tmp_path)
    assert found == (1, tmp_path / "step-000001")


def test_nothing_whole_gives_none(tmp_path):
    assert checkpoints.newest(tmp_path / "absent") is None
    checkpoints.save(tmp_path, 1, writer("weights"), keep=1)
    damage_content(tmp_path / "step-000001")
    with pytest.warns(ScorecraftWarning, match="passed over"):
        assert checkpoints.newest(tmp_path) is None


def test_an_error_while_writing_leaves_no_trace_and_the_former_one(tmp_path):
    checkpoints.save(tmp_path, 1, writer("weights"), keep=1)

    def fail(directory):
        (directory / "model.bin").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        checkpoints.save(tmp_path, 2, fail, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert checkpoints.newest(tmp_path) == (1, tmp_path / "step-000001")


def test_the_same_step_can_be_written_again(tmp_path):
    checkpoints.save(tmp_path, 1, writer("old"), keep=1)
    path = checkpoints.save(tmp_path, 1, writer("new"), keep=1)
    assert (path / "model.bin").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-000001"]


def test_a_kill_between_the_two_renames_of_a_replacement_is_mended(tmp_path):
    path = checkpoints.save(tmp_path, 1, writer("old"), keep=1)
    path.rename(tmp_path / "step-000001.replaced")
    assert checkpoints.steps_in(tmp_path) == []
    checkpoints.recover(tmp_path)
    assert checkpoints.newest(tmp_path) == (1, path)


def test_a_kill_after_the_replacement_leaves_the_new_one(tmp_path):
    path = checkpoints.save(tmp_path, 1, writer("new"), keep=1)
    (tmp_path / "step-000001.replaced").mkdir()
    checkpoints.recover(tmp_path)
    assert (path / "model.bin").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-000001"]
