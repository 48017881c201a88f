"""Are the probabilities right: scoring rules, calibration errors, rates at k.

Names are imported when first used, so that this package is quick to import and brings neither torch nor scipy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorecraft.metrics.binning import top_label
    from scorecraft.metrics.calibration_errors import (
        classwise_calibration_error,
        expected_calibration_error,
        l2_calibration_error,
        maximum_calibration_error,
        squared_calibration_error,
    )
    from scorecraft.metrics.calibration_interval import calibration_error_interval
    from scorecraft.metrics.comparison import (
        PairedComparison,
        compare_losses,
        compare_metric,
        comparison_power,
    )
    from scorecraft.metrics.kernel_calibration import kernel_calibration_error
    from scorecraft.metrics.label_metrics import f_beta, g_mean, matthews_correlation
    from scorecraft.metrics.ranking import (
        DeLongTest,
        average_precision,
        average_precision_interval,
        delong_test,
        fpr_at_tpr,
        fpr_at_tpr_interval,
        roc_auc,
        roc_auc_interval,
    )
    from scorecraft.metrics.recalibration import (
        BetaCalibration,
        IsotonicCalibration,
        PlattScaling,
        RecalibrationError,
        TemperatureScaling,
    )
    from scorecraft.metrics.reliability import ReliabilityCurve, reliability_curve
    from scorecraft.metrics.scoring_rules import (
        BrierParts,
        brier_decomposition,
        brier_score,
        brier_scores,
        log_loss,
        log_losses,
        ranked_probability_score,
        ranked_probability_scores,
        spherical_score,
        spherical_scores,
    )

# Module of each public name; a name that is also a module's, such as `balance_score`, is imported from that.
_MODULES = {
    "binning": ("top_label",),
    "calibration_errors": (
        "classwise_calibration_error",
        "expected_calibration_error",
        "l2_calibration_error",
        "maximum_calibration_error",
        "squared_calibration_error",
    ),
    "calibration_interval": ("calibration_error_interval",),
    "comparison": ("PairedComparison", "compare_losses", "compare_metric", "comparison_power"),
    "kernel_calibration": ("kernel_calibration_error",),
    "label_metrics": ("f_beta", "g_mean", "matthews_correlation"),
    "ranking": (
        "DeLongTest",
        "average_precision",
        "average_precision_interval",
        "delong_test",
        "fpr_at_tpr",
        "fpr_at_tpr_interval",
        "roc_auc",
        "roc_auc_interval",
    ),
    "recalibration": (
        "BetaCalibration",
        "IsotonicCalibration",
        "PlattScaling",
        "RecalibrationError",
        "TemperatureScaling",
    ),
    "reliability": ("ReliabilityCurve", "reliability_curve"),
    "scoring_rules": (
        "BrierParts",
        "brier_decomposition",
        "brier_score",
        "brier_scores",
        "log_loss",
        "log_losses",
        "ranked_probability_score",
        "ranked_probability_scores",
        "spherical_score",
        "spherical_scores",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BetaCalibration",
    "BrierParts",
    "DeLongTest",
    "IsotonicCalibration",
    "PairedComparison",
    "PlattScaling",
    "RecalibrationError",
    "ReliabilityCurve",
    "TemperatureScaling",
    "average_precision",
    "average_precision_interval",
    "brier_decomposition",
    "brier_score",
    "brier_scores",
    "calibration_error_interval",
    "classwise_calibration_error",
    "compare_losses",
    "compare_metric",
    "comparison_power",
    "delong_test",
    "expected_calibration_error",
    "f_beta",
    "fpr_at_tpr",
    "fpr_at_tpr_interval",
    "g_mean",
    "kernel_calibration_error",
    "l2_calibration_error",
    "log_loss",
    "log_losses",
    "matthews_correlation",
    "maximum_calibration_error",
    "ranked_probability_score",
    "ranked_probability_scores",
    "reliability_curve",
    "roc_auc",
    "roc_auc_interval",
    "spherical_score",
    "spherical_scores",
    "squared_calibration_error",
    "top_label",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return what this package holds, loaded or not."""
    return sorted({*globals(), *__all__})
