"""Rewards of this project in other trainers: TRL and verl."""
