"""Every trick added in order, and every trick left out alone, under one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jaxtyping import Float32, Int64
from torch import Tensor

from scorecraft.detect.fewshot_incremental.config import TRICKS, check_tricks
from scorecraft.detect.fewshot_incremental.protocol import Session
from scorecraft.detect.fewshot_incremental.report import FSCILReport
from scorecraft.detect.fewshot_incremental.trainer import FSCILTrainer


def tricks_in_order(tricks: Sequence[str] = TRICKS) -> dict[str, frozenset[str]]:
    """Return the baseline without tricks, then each set with one more: ``"+ supcon"``, ``"+ etf"`` and so on.

    Raises `ScorecraftError` for an unknown trick.
    """
    check_tricks(tricks)
    return {"baseline": frozenset()} | {
        f"+ {trick}": frozenset(tricks[: place + 1]) for place, trick in enumerate(tricks)
    }


def tricks_left_out(tricks: Sequence[str] = TRICKS) -> dict[str, frozenset[str]]:
    """Return all tricks, then all but one: ``"without supcon"`` and so on.

    "subnet" is a restriction of "fine-tuning", so it is left out together with it.

    Raises `ScorecraftError` for an unknown trick.
    """
    check_tricks(tricks)
    whole = frozenset(tricks)
    without = {trick: whole - ({trick, "subnet"} if trick == "fine-tuning" else {trick}) for trick in tricks}
    return {"all": whole} | {f"without {trick}": kept for trick, kept in without.items()}


def run_protocol(
    trainer: FSCILTrainer,
    protocol: Sequence[Session],
    train: tuple[Float32[Tensor, " row *shape"], Int64[Tensor, " row"]],
    test: tuple[Float32[Tensor, " held *shape"], Int64[Tensor, " held"]],
) -> FSCILReport:
    """Return the report of a trainer that goes through all sessions and is evaluated after each.

    Args:
        trainer: a new one.
        protocol: from `fscil_protocol`, whose rows are those of ``train``.
        train: inputs and labels.
        test: inputs and labels; rows of classes not seen yet are left out.
    """
    x, y = train
    for number, session in enumerate(protocol):
        learn = trainer.learn_session if number else trainer.fit_base
        learn(x[session.rows], y[session.rows])
        trainer.evaluate(*test)
    return trainer.report()


def run_ablation(
    sets: Mapping[str, frozenset[str]],
    make_trainer: Callable[[frozenset[str]], FSCILTrainer],
    protocol: Sequence[Session],
    train: tuple[Float32[Tensor, " row *shape"], Int64[Tensor, " row"]],
    test: tuple[Float32[Tensor, " held *shape"], Int64[Tensor, " held"]],
) -> dict[str, FSCILReport]:
    """Return the report of every set of tricks, for `ablation_table`.

    Args:
        sets: from `tricks_in_order` or `tricks_left_out`.
        make_trainer: makes a trainer with the tricks that it is given.
        protocol: see `run_protocol`.
        train: see `run_protocol`.
        test: see `run_protocol`.
    """
    return {name: run_protocol(make_trainer(tricks), protocol, train, test) for name, tricks in sets.items()}
