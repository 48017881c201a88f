"""Training from prefixes with one planted error: injectors, validity of a flaw, mixing, and a robustness report."""

from scorecraft.sampling.repair_from_flawed.asked_errors import AskedErrors
from scorecraft.sampling.repair_from_flawed.calculation_errors import CalculationErrors, inject_calculation
from scorecraft.sampling.repair_from_flawed.flaw import Flaw, flaw_rates, strip_boxed, validate_flaw
from scorecraft.sampling.repair_from_flawed.injector import ErrorInjector, equation_checker, task_checker
from scorecraft.sampling.repair_from_flawed.mixing import Mixture, Prompt, chat_text, mix_prompts, task_injectors
from scorecraft.sampling.repair_from_flawed.reasoning_errors import ReasoningErrors, StructuredTrace, inject_reasoning
from scorecraft.sampling.repair_from_flawed.robustness import RobustnessReport, robustness_report

__all__ = [
    "AskedErrors",
    "CalculationErrors",
    "ErrorInjector",
    "Flaw",
    "Mixture",
    "Prompt",
    "ReasoningErrors",
    "RobustnessReport",
    "StructuredTrace",
    "chat_text",
    "equation_checker",
    "flaw_rates",
    "inject_calculation",
    "inject_reasoning",
    "mix_prompts",
    "robustness_report",
    "strip_boxed",
    "task_checker",
    "task_injectors",
    "validate_flaw",
]
