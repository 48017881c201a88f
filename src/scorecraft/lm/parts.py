"""The built-in optimizer parts."""

from scorecraft.lm.optimizer import AdamW, StochasticGradientDescent

__all__ = ["AdamW", "StochasticGradientDescent"]
