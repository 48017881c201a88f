"""Advantages, and the loss that moves the policy."""
