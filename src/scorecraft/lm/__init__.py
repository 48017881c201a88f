"""The policy: load, generate, log-probabilities, train, checkpoint."""
