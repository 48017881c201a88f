"""Credit parts of recipes: options, and the hand-over to the pure functions of this room.

Every module here registers its parts when it is imported, and is named below.
"""

from scorecraft.credit.parts import min_form, outcome

__all__ = ["min_form", "outcome"]
