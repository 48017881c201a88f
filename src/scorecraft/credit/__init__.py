"""Which tokens earned it."""
