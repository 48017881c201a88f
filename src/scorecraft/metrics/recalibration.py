"""Make probabilities right after the fact: temperature, Platt, isotonic and beta calibration as estimators.

They follow scikit-learn's conventions (`fit`, `predict_proba`, `get_params`, `clone`, pipelines) and do not need it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.metrics.arrays import as_array, as_distributions, as_floats, as_probabilities, as_weights
from scorecraft.metrics.logistic import fit_logistic, log_sigmoid, logistic_loss

Scores = Literal["probability", "logit"]
Own = TypeVar("Own", bound="Recalibrator")

# Where a probability is 0 or 1 its logit stands for this little more or less.
SMALLEST = 2.0**-53
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
BETA_RIDGE = 1e-9


class RecalibrationError(ScorecraftError, ValueError):
    """What a recalibrator cannot take; a ValueError too, as scikit-learn's tools expect."""


class Recalibrator:
    """What all recalibrators share: reading scores, one map for each class, and scikit-learn's conventions.

    Scores are one column for the class that comes second (probability, or logit, any real number), or ``[row, class]``
    (rows of probabilities, or of logits). With several columns each class has its own map of "is it this class", and
    the results are divided by their sum; where that is 0, all classes are equally probable.

    Attributes after `fit`: ``classes_``, in the order of columns; ``n_features_in_``.
    """

    # Whether maps take logits always, or what was given.
    _maps_logits: ClassVar[bool] = True

    def __init__(self, input: Scores = "probability") -> None:
        self.input = input

    def fit(self: Own, X: Any, y: Any, sample_weight: Any = None) -> Own:  # noqa: N803 - scikit-learn's name
        """Learn the map from scores to probabilities from rows that the scoring model has not seen.

        Args:
            X: scores, ``[row]`` or ``[row, class]``.
            y: class of each row; two for one column. Columns are the sorted classes, or 0 to K-1 where not all occur.
            sample_weight: of each row, at least 0; all 1 where not given.

        Raises `RecalibrationError` for no rows, unequal lengths, scores that are not finite, probabilities outside
        [0, 1] or that do not sum to 1, one class only, classes that do not fit the columns, or bad weights.
        """
        with _value_errors():
            scores = self._read(X)
            weights = as_weights(sample_weight, len(scores))
            classes, labels = _classes(y, scores, weights)
            self.n_features_in_ = scores.shape[1]
            self.classes_ = classes
            self._fit(scores, labels, weights)
        return self

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "row class"]:  # noqa: N803
        """Return the recalibrated probability of every class, columns as in ``classes_``.

        Args:
            X: scores, with as many columns as in `fit`.

        Raises `RecalibrationError` as `fit` does, and before it.
        """
        if not hasattr(self, "classes_"):
            raise _not_fitted(type(self).__name__)
        with _value_errors():
            scores = self._read(X)
            if scores.shape[1] != self.n_features_in_:
                raise ScorecraftError(
                    f"X has {scores.shape[1]} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input"
                )
        return self._probabilities(scores)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the most probable class of each row; ties go to the first.

        Args:
            X: scores, with as many columns as in `fit`.

        Raises `RecalibrationError` as `predict_proba` does.
        """
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the share of rows whose most probable class is right.

        Args:
            X: scores.
            y: class of each row.
            sample_weight: of each row, at least 0.

        Raises `RecalibrationError` as `predict_proba` does, for unequal lengths and bad weights.
        """
        found = self.predict(X)
        with _value_errors():
            truth = _label_column(y, len(found))
            return float(np.average(found == truth, weights=as_weights(sample_weight, len(found))))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor.

        Args:
            deep: of no account here; as scikit-learn has it.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: Own, **params: Any) -> Own:
        """Set arguments of the constructor and return the estimator.

        Args:
            params: by their names.

        Raises `RecalibrationError` for an unknown name.
        """
        for name, value in params.items():
            if name not in self.get_params():
                raise RecalibrationError(f"{type(self).__name__}: no parameter '{name}'; {nearest(name, ['input'])}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}(input={self.input!r})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn asks. Columns are scores of classes, not features: one is the case its checks can make.
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_class=False, poor_score=True),
            input_tags=InputTags(one_d_array=True, two_d_array=False),
        )

    def _read(self, scores: Any) -> Float64[np.ndarray, "row column"]:
        if self.input not in {"probability", "logit"}:
            raise ScorecraftError(f"input: expected 'probability' or 'logit', got {self.input!r}")
        found = as_array(scores, "X")
        if found.ndim == 1 or found.shape[1:] == (1,):
            column = as_probabilities(found, "X") if self.input == "probability" else as_floats(found, "X")
            return column[:, None]
        if self.input == "probability":
            return as_distributions(found, "X")
        if found.ndim != 2 or not found.shape[1]:
            raise ScorecraftError(f"X: expected [row] or [row, class], got an array of shape {found.shape}")
        return as_floats(found.ravel(), "X").reshape(found.shape)

    def _fit(
        self,
        scores: Float64[np.ndarray, "row column"],
        labels: Int64[np.ndarray, " row"],
        weights: Float64[np.ndarray, " row"],
    ) -> None:
        columns = self._columns(scores)
        if columns.shape[1] == 1:
            self.maps_ = [self._fit_map(columns[:, 0], labels == 1, weights)]
        else:
            self.maps_ = [self._fit_map(columns[:, k], labels == k, weights) for k in range(columns.shape[1])]

    def _probabilities(self, scores: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row class"]:
        columns = self._columns(scores)
        found = np.stack([self._apply(fitted, columns[:, k]) for k, fitted in enumerate(self.maps_)], 1)
        if columns.shape[1] == 1:
            return np.concatenate((1 - found, found), 1)
        total = found.sum(1, keepdims=True)
        return np.where(total > 0, found, 1.0) / np.where(total > 0, total, found.shape[1])

    def _columns(self, scores: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row column"]:
        """Return what the maps take: a column for each of them."""
        if self.input == "probability":
            return _logit(scores) if self._maps_logits else scores
        if scores.shape[1] == 1:
            return scores
        return _logit(_softmax(scores))

    def _fit_map(
        self,
        score: Float64[np.ndarray, " row"],
        happened: Bool[np.ndarray, " row"],
        weights: Float64[np.ndarray, " row"],
    ) -> Any:
        raise NotImplementedError

    def _apply(self, fitted: Any, score: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
        raise NotImplementedError


class TemperatureScaling(Recalibrator):
    """Divide logits by one temperature T, chosen for the smallest log loss: ``softmax(z / T)``, or ``sigmoid(z / T)``.

    Keeps the order of classes. ``temperature_`` is in [0.001, 1000]: the lower end where every row is right already,
    the upper where the scores say the opposite of the truth; it is 1 where no temperature changes the loss, as for
    constant scores.

    Source: Guo et al., 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, eq. 9.
    """

    def _fit(
        self,
        scores: Float64[np.ndarray, "row column"],
        labels: Int64[np.ndarray, " row"],
        weights: Float64[np.ndarray, " row"],
    ) -> None:
        from scipy.optimize import root_scalar

        logits = self._logits(scores)
        of_label = np.take_along_axis(logits, labels[:, None], 1)[:, 0]

        def slope(inverse: float) -> float:
            # Of the mean log loss along 1 / T, where it is convex.
            return float(weights @ ((_softmax(inverse * logits) * logits).sum(1) - of_label) / weights.sum())

        lowest, highest = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
        ends = slope(lowest), slope(highest)
        if max(map(abs, ends)) <= 1e-12 * float(np.abs(logits).max()):
            inverse = 1.0
        elif ends[0] >= 0:
            inverse = lowest
        elif ends[1] <= 0:
            inverse = highest
        else:
            inverse = float(root_scalar(slope, bracket=(lowest, highest), method="brentq", xtol=1e-14).root)
        self.temperature_ = 1 / inverse

    def _probabilities(self, scores: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row class"]:
        return _softmax(self._logits(scores) / self.temperature_)

    def _logits(self, scores: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row class"]:
        if scores.shape[1] == 1:
            column = _logit(scores) if self.input == "probability" else scores
            return np.concatenate((np.zeros_like(column), column), 1)
        logits = np.log(scores.clip(SMALLEST)) if self.input == "probability" else scores
        return logits - logits.max(1, keepdims=True)


class PlattScaling(Recalibrator):
    """Fit a sigmoid, ``q = 1 / (1 + exp(-(a z + b)))`` of the logit z, to slightly drawn-in targets.

    Targets are ``(n_1 + 1) / (n_1 + 2)`` and ``1 / (n_0 + 2)`` with n_1 and n_0 the weights of both classes, so that a
    and b stay finite for separable scores. ``maps_`` holds ``(a, b)`` for each column; a is 0 for constant scores.

    Source: Platt, 1999, Probabilistic Outputs for Support Vector Machines; Lin, Lin and Weng, 2007, A Note on Platt's
    Probabilistic Outputs for Support Vector Machines.
    """

    def _fit_map(
        self,
        score: Float64[np.ndarray, " row"],
        happened: Bool[np.ndarray, " row"],
        weights: Float64[np.ndarray, " row"],
    ) -> Float64[np.ndarray, " coefficient"]:
        ones = float(weights[happened].sum())
        zeros = float(weights.sum()) - ones
        target = np.where(happened, (ones + 1) / (ones + 2), 1 / (zeros + 2))
        centre, spread = float(score.mean()), float(np.ptp(score))
        if spread == 0:
            rate = float(weights @ target / weights.sum())
            return np.array([0.0, float(np.log(rate / (1 - rate)))])
        columns = np.stack(((score - centre) / spread, np.ones_like(score)), 1)
        slope, intercept = fit_logistic(columns, target, weights).tolist()
        return np.array([slope / spread, intercept - slope * centre / spread])

    def _apply(
        self, fitted: Float64[np.ndarray, " coefficient"], score: Float64[np.ndarray, " row"]
    ) -> Float64[np.ndarray, " row"]:
        return np.exp(log_sigmoid(fitted[0] * score + fitted[1]))


class IsotonicCalibration(Recalibrator):
    """Fit the non-decreasing function of the score with the least squared error, linear between its steps.

    Rows of equal scores count with their mean; scores beyond those seen get the value of the nearest. ``maps_`` holds
    ``(thresholds, values)`` for each column. Its probabilities can be 0 and 1, which the log loss may punish without
    bound.

    Source: Zadrozny and Elkan, 2002, Transforming Classifier Scores into Accurate Multiclass Probability Estimates.
    """

    _maps_logits = False

    def _fit_map(
        self,
        score: Float64[np.ndarray, " row"],
        happened: Bool[np.ndarray, " row"],
        weights: Float64[np.ndarray, " row"],
    ) -> tuple[Float64[np.ndarray, " step"], Float64[np.ndarray, " step"]]:
        from scipy.optimize import isotonic_regression

        held = weights > 0
        values, place = np.unique(score[held], return_inverse=True)
        weight = np.bincount(place, weights[held])
        rate = np.bincount(place, weights[held] * happened[held]) / weight
        fitted = np.asarray(isotonic_regression(rate, weights=weight).x, dtype=np.float64)
        # Both ends of every stretch of one value say all.
        ends = np.append(True, fitted[1:] != fitted[:-1]) | np.append(fitted[1:] != fitted[:-1], True)
        return values[ends], fitted[ends].clip(0, 1)

    def _apply(
        self,
        fitted: tuple[Float64[np.ndarray, " step"], Float64[np.ndarray, " step"]],
        score: Float64[np.ndarray, " row"],
    ) -> Float64[np.ndarray, " row"]:
        return np.interp(score, *fitted)


class BetaCalibration(Recalibrator):
    """Fit ``logit q = a ln p - b ln(1 - p) + c`` with a, b >= 0: a family that holds the identity (a = b = 1, c = 0).

    The smallest log loss under both bounds, with a ridge of 1e-9 that keeps separable scores finite. ``maps_`` holds
    ``(a, b, c)`` for each column; a and b are 0 for constant scores. The published code drops a coefficient that comes
    out negative and fits again; here all four cases are compared, which is exact.

    Source: Kull, Silva Filho and Flach, 2017, Beta Calibration, eq. 6.
    """

    def _fit_map(
        self,
        score: Float64[np.ndarray, " row"],
        happened: Bool[np.ndarray, " row"],
        weights: Float64[np.ndarray, " row"],
    ) -> Float64[np.ndarray, " coefficient"]:
        features = _beta_features(score)
        target = happened.astype(np.float64)
        constant = np.ptp(score) == 0
        best: tuple[float, Float64[np.ndarray, " coefficient"]] | None = None
        for free in ([2],) if constant else ([0, 1, 2], [0, 2], [1, 2], [2]):
            fitted = np.zeros(3)
            fitted[free] = fit_logistic(features[:, free], target, weights, BETA_RIDGE)
            if (fitted[:2] < 0).any():
                continue
            loss = logistic_loss(features, target, weights, fitted) + BETA_RIDGE * float(fitted @ fitted) / 2
            if best is None or loss < best[0]:
                best = loss, fitted
        assert best is not None  # the case without slopes is always within bounds
        return best[1]

    def _apply(
        self, fitted: Float64[np.ndarray, " coefficient"], score: Float64[np.ndarray, " row"]
    ) -> Float64[np.ndarray, " row"]:
        return np.exp(log_sigmoid(_beta_features(score) @ fitted))


def _beta_features(score: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, "row feature"]:
    return np.stack((log_sigmoid(score), -log_sigmoid(-score), np.ones_like(score)), 1)


def _logit(prob: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row column"]:
    inside = prob.clip(SMALLEST, 1 - SMALLEST)
    return np.log(inside) - np.log1p(-inside)


def _softmax(logits: Float64[np.ndarray, "row class"]) -> Float64[np.ndarray, "row class"]:
    grown = np.exp(logits - logits.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def _label_column(y: Any, rows: int) -> Any:
    """Return labels of any kind as one column of so many rows."""
    if y is None:
        raise ScorecraftError("y: expected the class of each row (requires y to be passed, but the target y is None)")
    held = y.detach().cpu() if hasattr(y, "detach") else y
    found = np.asarray(held.to_numpy() if hasattr(held, "to_numpy") else held)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != (rows,):
        raise ScorecraftError(f"y: expected the class of each of {rows} rows, got an array of shape {found.shape}")
    if found.dtype.kind == "f" and (found != np.floor(found)).any():
        row = int(np.flatnonzero(~(found == np.floor(found)))[0])
        raise ScorecraftError(f"y: row {row} is {found[row]}; Unknown label type: continuous; expected classes")
    return found


def _classes(
    y: Any, scores: Float64[np.ndarray, "row column"], weights: Float64[np.ndarray, " row"]
) -> tuple[Any, Int64[np.ndarray, " row"]]:
    """Return the classes in the order of columns, and the place of each row's class in them."""
    found = _label_column(y, len(scores))
    classes, labels = np.unique(found, return_inverse=True)
    if len(np.unique(found[weights > 0])) < 2:
        raise ScorecraftError(f"y: only one class, {classes[0]!r}, has rows with a weight; expected two or more")
    columns = max(scores.shape[1], 2)
    if len(classes) == columns:
        return classes, labels.astype(np.int64)
    if found.dtype.kind in "iuf" and classes[0] >= 0 and classes[-1] < columns:
        return np.arange(columns), found.astype(np.int64)
    if scores.shape[1] == 1:
        raise ScorecraftError(
            f"y: Only binary classification is supported by one column of scores, got {len(classes)} classes; "
            "give [row, class]"
        )
    raise ScorecraftError(f"y: {len(classes)} classes such as {classes[-1]!r} for {columns} columns of scores")


@contextmanager
def _value_errors() -> Iterator[None]:
    try:
        yield
    except ScorecraftError as error:
        raise RecalibrationError(str(error)) from None


def _not_fitted(name: str) -> ScorecraftError:
    """Return the error for a call before `fit`: scikit-learn's own kind too, where anyone could be catching that."""
    message = f"{name}: not fitted yet; call fit first"
    exceptions = sys.modules.get("sklearn.exceptions")
    if exceptions is None:
        return RecalibrationError(message)
    return type("NotFittedError", (RecalibrationError, exceptions.NotFittedError), {})(message)
