"""scorecraft: a wind tunnel for rewards and scores.

Importing this package is quick and pulls in no heavy library; import the room you need, for example
``from scorecraft.objectives import clipped_surrogate``.
"""

__version__ = "0.1.0.dev0"
