"""Ranking models from tables of scores."""
