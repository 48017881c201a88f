import runpy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def make_rollouts():
    return runpy.run_path(str(Path(__file__).parents[1] / "rollout_tables.py"))["make_rollouts"]
