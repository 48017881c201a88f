"""Completions that are there already, scored again: files of any trainer in, every reward of each row out."""

from scorecraft.rescoring.run import ScoringResult, score_file

__all__ = ["ScoringResult", "score_file"]
