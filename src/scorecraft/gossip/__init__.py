"""Peers that score each other: GossipSub's peer score, whether it can be cheated, and what becomes of a network."""
