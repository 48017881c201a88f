import runpy
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_rollouts():
    return runpy.run_path(str(Path(__file__).parents[1] / "rollout_tables.py"))["make_rollouts"]
