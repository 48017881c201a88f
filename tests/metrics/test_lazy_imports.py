"""The room is quick to import: its names come when they are used, and no heavy library with any of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import scorecraft.metrics

HEAVY = ("torch", "scipy", "sklearn", "pandas", "transformers")


def loaded_after(code):
    check = f"import sys\n{code}\nprint([name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_room_loads_nothing_heavy():
    assert loaded_after("import scorecraft.metrics; assert 'numpy' not in sys.modules") == "[]"


def test_importing_every_name_loads_nothing_heavy():
    assert loaded_after("from scorecraft.metrics import *; assert roc_auc([0, 1], [1, 2]) == 1") == "[]"


def test_every_name_is_there_once():
    names = scorecraft.metrics.__all__
    assert len(set(names)) == len(names)
    assert set(names) == set(scorecraft.metrics._MODULE_OF)
    for name in names:
        found = getattr(scorecraft.metrics, name)
        assert found.__name__ == name
        assert found.__doc__
    assert set(names) <= set(dir(scorecraft.metrics))


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'eec'"):
        scorecraft.metrics.eec  # noqa: B018
