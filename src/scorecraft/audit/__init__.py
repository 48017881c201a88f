"""Is the score being gamed."""
