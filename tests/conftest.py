"""Shapes in signatures are checked while tests run; threads are set on purpose."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from jaxtyping import install_import_hook

install_import_hook(
    ["scorecraft.objectives", "scorecraft.credit", "scorecraft.rewards", "scorecraft.rollouts", "scorecraft.scores"],
    "beartype.beartype",
)
