"""The constants of published engines: the same advantage by name, but not the same numbers.

Read from TRL 1.16.0 (``GRPOTrainer``, ``RLOOTrainer``), verl 0.9.1 (``verl.trainer.ppo.core_algos``), SkyRL
(``skyrl_train.utils.ppo_utils``), prime-rl (``prime_rl.orchestrator.advantage``) and Dr. GRPO (arXiv 2503.20783).
"""

from __future__ import annotations

from typing import Any, Literal

Preset = Literal["trl", "verl", "skyrl", "prime-rl", "dr-grpo"]

# advantage part -> preset -> the options it sets
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "group-mean": {
        "trl": {"singleton": "zero"},
        "verl": {"singleton": "raw"},
        "skyrl": {"singleton": "raw"},
        "prime-rl": {"singleton": "zero"},
        "dr-grpo": {"singleton": "zero"},
    },
    "group-standardized": {
        "trl": {"epsilon": 1e-4, "ddof": 1, "singleton": "zero", "deviation": "group"},
        "verl": {"epsilon": 1e-6, "ddof": 1, "singleton": "raw", "deviation": "group"},
        "skyrl": {"epsilon": 1e-6, "ddof": 1, "singleton": "raw", "deviation": "group"},
        "prime-rl": {"epsilon": 0.0, "ddof": 1, "singleton": "zero", "deviation": "none"},
        "dr-grpo": {"epsilon": 0.0, "ddof": 1, "singleton": "zero", "deviation": "none"},
    },
    "leave-one-out": {
        "trl": {"singleton": "zero"},
        "verl": {"singleton": "raw"},
        "skyrl": {"singleton": "zero"},
    },
    "batch-standardized": {
        "verl": {"epsilon": 1e-8, "ddof": 1, "over": "token"},
        "skyrl": {"epsilon": 1e-8, "ddof": 1, "over": "token"},
    },
}
