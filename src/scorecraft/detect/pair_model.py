"""A model that predicts two answers to one question, so that it can be asked what it gains by seeing the first."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.second_order_calibration import cheat_covariance, cheat_variance

# A head with more logits than this is larger than most bodies.
MOST_LOGITS = 1_000_000


@implements("second-order-calibration")
class PairHead(nn.Module):
    """A layer of K * K logits: the joint distribution of two answers.

    ``J = softmax(W h + b)`` over all pairs; symmetric: the mean of J and its transpose, which is exact for independent
    answers to one question and halves the noise.

    Args:
        in_features: width of the hidden state.
        num_classes: K, number of answers.
        symmetric: whether J is averaged with its transpose.

    Raises `ScorecraftError` for fewer than 2 answers, or more than 1000.

    Source: Experts Don't Cheat: Learning What You Don't Know By Predicting Pairs, 2024, arXiv 2402.08733.
    """

    def __init__(self, in_features: int, num_classes: int, symmetric: bool = True) -> None:
        if num_classes < 2:
            raise ScorecraftError(f"PairHead: expected at least 2 answers, got {num_classes}")
        if num_classes**2 > MOST_LOGITS:
            raise ScorecraftError(
                f"PairHead: {num_classes} answers are {num_classes**2:,} pairs; predict the second answer from the "
                "question and the first instead, and score with scorecraft.metrics.second_order_calibration.self_cheat"
            )
        super().__init__()
        self.num_classes, self.symmetric = num_classes, symmetric
        self.logits = nn.Linear(in_features, num_classes**2)

    def forward(self, hidden: Float[Tensor, "row feature"]) -> Float[Tensor, "row answer answer"]:
        """Return the log-probability of every pair of answers."""
        log_joint = self.logits(hidden).log_softmax(-1).unflatten(-1, (self.num_classes, self.num_classes))
        return torch.logaddexp(log_joint, log_joint.mT) - math.log(2) if self.symmetric else log_joint


@implements("second-order-calibration")
def pair_nll(
    log_joint: Float[Tensor, "row answer answer"], first: Int64[Tensor, " row"], second: Int64[Tensor, " row"]
) -> Float[Tensor, ""]:
    """Return the loss ``-mean log J(first, second)``, whose minimum is the true joint distribution.

    Args:
        log_joint: log-probability of every pair of answers.
        first: the first answers, from 0.
        second: the second, independent ones.

    Raises `ScorecraftError` for no rows, or answers outside the table.

    Source: arXiv 2402.08733.
    """
    if not len(log_joint):
        raise ScorecraftError("pair_nll: no pairs; expected one or more")
    answers = log_joint.shape[1]
    for name, given in (("first", first), ("second", second)):
        if int(given.min()) < 0 or int(given.max()) >= answers:
            raise ScorecraftError(
                f"pair_nll: {name} answers are {int(given.min())} to {int(given.max())}; expected 0 to {answers - 1}"
            )
    return functional.nll_loss(log_joint.flatten(1), first * answers + second)


@implements("second-order-calibration")
class PairClassifier:
    """A network trained on pairs of answers, which scores questions by how little it knows of their answers.

    Args:
        num_classes: K, number of answers.
        body: maps questions to ``features`` numbers; trained from a copy. By default two hidden layers.
        features: width of the body's output.
        symmetric: as in `PairHead`.
        epochs: passes over the pairs.
        batch_size: pairs a step.
        lr: learning rate of Adam.
        seed: of the initial weights of what is built here, and of the order of pairs.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        body: nn.Module | None = None,
        features: int = 64,
        symmetric: bool = True,
        epochs: int = 8,
        batch_size: int = 128,
        lr: float = 2e-3,
        seed: int = 0,
    ) -> None:
        if epochs < 1 or batch_size < 1 or not lr > 0:
            raise ScorecraftError(
                f"PairClassifier: expected epochs, batch_size and lr above 0, got {epochs}, {batch_size} and {lr}"
            )
        self.num_classes, self.body, self.features, self.symmetric = num_classes, body, features, symmetric
        self.epochs, self.batch_size, self.lr, self.seed = epochs, batch_size, lr, seed
        self.model_: nn.Module | None = None

    def fit(self, questions: Any, first: Any, second: Any) -> PairClassifier:
        """Train afresh on pairs of independent answers; return itself.

        Args:
            questions: ``[pair, ...]``, what the body takes; ``[pair, feature]`` without one.
            first: the first answer to each, from 0.
            second: the second.

        Raises `ScorecraftError` for unequal lengths, no pairs or answers that are none of the classes.
        """
        asked = _questions(questions)
        one, two = (torch.as_tensor(answers).to(torch.int64) for answers in (first, second))
        if not len(asked) == len(one) == len(two) or one.ndim != 1 or two.ndim != 1:
            raise ScorecraftError(
                f"PairClassifier: expected two answers to each question, got {len(asked)} questions and answers of "
                f"shapes {tuple(one.shape)} and {tuple(two.shape)}"
            )
        if not len(asked):
            raise ScorecraftError("PairClassifier: no pairs; expected one or more")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = nn.Sequential(self._new_body(asked), PairHead(self.features, self.num_classes, self.symmetric))
        order = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.Adam(model.parameters(), self.lr)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(asked), generator=order).split(self.batch_size):
                optimizer.zero_grad()
                pair_nll(model(asked[rows]), one[rows], two[rows]).backward()
                optimizer.step()
        self.model_ = model.eval()
        return self

    @torch.no_grad()
    def log_joint(self, questions: Any) -> Float[Tensor, "row answer answer"]:
        """Return the log-probability of every pair of answers; raises `ScorecraftError` before `fit`."""
        if self.model_ is None:
            raise ScorecraftError("PairClassifier: not trained yet; call fit first")
        return self.model_(_questions(questions))

    def predict_proba(self, questions: Any) -> Float64[Tensor, "row answer"]:
        """Return the probability of each answer."""
        return torch.from_numpy(cheat_covariance(self.log_joint(questions)).probability)

    def predict_score(self, questions: Any) -> Float64[Tensor, " row"]:
        """Return ``sum_y max(V(y), 0)``, the expected squared distance of the probabilities from the true ones.

        Higher means less known; noise that no model could predict does not count.
        """
        return torch.from_numpy(cheat_variance(self.log_joint(questions))).clamp(min=0).sum(1)

    def _new_body(self, questions: Tensor) -> nn.Module:
        if self.body is not None:
            return copy.deepcopy(self.body).train()
        if questions.ndim != 2:
            raise ScorecraftError(
                f"PairClassifier: expected questions [pair, feature], got shape {tuple(questions.shape)}; give a body "
                "that takes them"
            )
        width = self.features
        return nn.Sequential(nn.Linear(questions.shape[1], width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


def _questions(values: Any) -> Tensor:
    found = torch.as_tensor(values)
    return found.to(torch.float32) if found.dtype == torch.float64 else found
