"""Which paper is this from, what does it claim, and how is it cited."""

from scorecraft.catalog.bibtex import bibtex
from scorecraft.catalog.implements import implements
from scorecraft.catalog.papers import Paper, areas, find, papers, references

__all__ = ["Paper", "areas", "bibtex", "find", "implements", "papers", "references"]
