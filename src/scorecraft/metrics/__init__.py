"""Are the probabilities right: scoring rules, calibration errors, rates at k."""
