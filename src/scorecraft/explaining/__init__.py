"""What each credit method would reinforce on rollouts that are there already, token by token."""

from scorecraft.explaining.explain import Explanation, explain

__all__ = ["Explanation", "explain"]
