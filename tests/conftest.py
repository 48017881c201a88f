"""Shapes in signatures are checked while tests run; threads are set on purpose; shared fixtures."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import runpy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

install_import_hook(
    [f"scorecraft.{room}" for room in ("objectives", "credit", "rewards", "rollouts", "scores", "detect", "distill")],
    "beartype.beartype",
)

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config):
    """Compile the loops before any worker starts: what is compiled in the middle of a test may round differently."""
    if not hasattr(config, "workerinput"):
        from scorecraft.lm.compiling import compile_loops

        compile_loops("cpu", "float32")


@pytest.fixture(scope="session")
def make_rollouts():
    return runpy.run_path(str(Path(__file__).parent / "rollout_tables.py"))["make_rollouts"]
