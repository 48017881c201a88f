"""Intervention training: failed attempts become supervised examples by one corrected step each.

`intervention_examples` goes the whole way; the other functions are its stages.
"""

from scorecraft.credit.intervention_training.attempts import Attempt, GuidedAttempt
from scorecraft.credit.intervention_training.builder import InterventionExamples, intervention_examples
from scorecraft.credit.intervention_training.coverage import CoverageStatistics, coverage_statistics
from scorecraft.credit.intervention_training.examples import InterventionExample, row_example, supervised_example
from scorecraft.credit.intervention_training.filters import Drop, filter_interventions, reveals_answer
from scorecraft.credit.intervention_training.interventions import NO_ERROR, Intervention, parse_intervention, splice
from scorecraft.credit.intervention_training.language_model_proposer import LanguageModelProposer
from scorecraft.credit.intervention_training.loss import intervention_loss
from scorecraft.credit.intervention_training.proposer import InterventionProposer
from scorecraft.credit.intervention_training.reference_diff import ReferenceDiffProposer
from scorecraft.credit.intervention_training.substeps import number_substeps, split_substeps

__all__ = [
    "NO_ERROR",
    "Attempt",
    "CoverageStatistics",
    "Drop",
    "GuidedAttempt",
    "Intervention",
    "InterventionExample",
    "InterventionExamples",
    "InterventionProposer",
    "LanguageModelProposer",
    "ReferenceDiffProposer",
    "coverage_statistics",
    "filter_interventions",
    "intervention_examples",
    "intervention_loss",
    "number_substeps",
    "parse_intervention",
    "reveals_answer",
    "row_example",
    "splice",
    "split_substeps",
    "supervised_example",
]
