"""Transform parts of recipes: what may stand under a reward's ``transforms``.

Every module here registers its parts when it is imported, and is named below.
"""

from scorecraft.rewards.transforms import linear, log_sigmoid, noise_correction, refinement, tiers

__all__ = ["linear", "log_sigmoid", "noise_correction", "refinement", "tiers"]
