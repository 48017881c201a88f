"""Is a difference real: intervals, bootstrap and permutation tests, pass@k."""
