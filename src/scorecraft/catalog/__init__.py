"""Which paper is this from, and how is it cited."""

from scorecraft.catalog.implements import implements

__all__ = ["implements"]
