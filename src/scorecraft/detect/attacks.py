"""Attacks on a classifier, to test detectors with: those of foolbox and ART, repeatable and without traces."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from scorecraft.detect.layers import evaluating
from scorecraft.errors import ScorecraftError, nearest, require

AttackName = Literal["fgsm", "bim", "pgd", "mim", "autoattack"]
Norm = Literal["linf", "l2"]


def attack(
    model: nn.Module,
    x: Float[Tensor, "row ..."],
    y: Int64[Tensor, " row"],
    epsilon: float,
    *,
    name: AttackName = "pgd",
    norm: Norm = "linf",
    steps: int = 5,
    step_size: float | None = None,
    bounds: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
) -> Float[Tensor, "row ..."]:
    """Return samples changed by at most ``epsilon`` so that the classifier's loss at the true class is high.

    "fgsm" is one gradient step of size epsilon, "bim" several, "pgd" several from a random start, "mim" several with
    momentum. "autoattack" is AutoAttack's way with its parts that follow gradients: PGD with a step that adapts, on the
    cross entropy, and where that fails on the difference of logits, whose gradients do not vanish where the model is
    sure. The model is left as it was: its mode, its gradients and the random numbers of torch and NumPy.

    Args:
        model: returns logits ``[row, class]``.
        x: within ``bounds``.
        y: true class of each.
        epsilon: largest change, in the units of ``x``: of each value for "linf", of the whole sample for "l2" (where
            published evaluations take the L-infinity strength times the root of the number of values).
        name: of the attack.
        norm: in which the change is bounded.
        steps: of all but "fgsm".
        step_size: in the units of epsilon; ``epsilon / steps`` where not given. "autoattack" finds its own.
        bounds: the range of valid values.
        seed: of the random start.

    Raises `ScorecraftError` where foolbox or ART is not installed, for an unknown attack or norm, values outside the
    bounds, an epsilon below 0, or fewer than 1 step.

    Source: Explaining and Harnessing Adversarial Examples, 2015, arXiv 1412.6572 (fgsm); Adversarial Examples in the
    Physical World, 2017, arXiv 1607.02533 (bim); Towards Deep Learning Models Resistant to Adversarial Attacks, 2018,
    arXiv 1706.06083 (pgd); Boosting Adversarial Attacks with Momentum, 2018, arXiv 1710.06081 (mim); Reliable
    Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks, 2020, arXiv 2003.01690
    (autoattack).
    """
    if epsilon < 0 or steps < 1:
        raise ScorecraftError(f"attack: expected epsilon of at least 0 and 1 step or more, got {epsilon:g} and {steps}")
    if not ((x >= bounds[0]) & (x <= bounds[1])).all():
        raise ScorecraftError(f"attack: samples must be within the bounds {bounds[0]:g} to {bounds[1]:g}")
    devices = [x.device] if x.is_cuda else []
    if name == "autoattack" and norm in ("linf", "l2"):
        with _untouched(model), torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            return _auto_attack(model, x.detach(), y, epsilon, norm, steps, bounds, seed)
    require("foolbox", "detect", "attacks on a classifier")
    make = _attack_class(name, norm)
    iterated: dict[str, Any] = {
        "steps": steps,
        "abs_stepsize": epsilon / steps if step_size is None else step_size,
    }
    prepared = make() if name == "fgsm" else make(**iterated)
    with _untouched(model), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        target = _foolbox().PyTorchModel(model, bounds=bounds, device=x.device)
        _, attacked, _ = prepared(target, x.detach(), y, epsilons=epsilon)
    return attacked.detach()


def _auto_attack(
    model: nn.Module, x: Tensor, y: Tensor, epsilon: float, norm: Norm, steps: int, bounds: tuple[float, float],
    seed: int,
) -> Tensor:  # fmt: skip
    require("art", "detect", "the attack 'autoattack'")
    import numpy as np
    from art.attacks.evasion import AutoProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    with torch.no_grad():
        classes = model(x[:1]).shape[-1]
    found = x.clone()
    if not epsilon or not len(x):
        return found
    target: Any = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), input_shape=tuple(x.shape[1:]), nb_classes=classes, clip_values=bounds,
        device_type="gpu" if x.is_cuda else "cpu",
    )  # fmt: skip
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        # The second loss divides by the distance between the first and the third logit.
        for loss in ("cross_entropy", "difference_logits_ratio")[: 2 if classes > 2 else 1]:
            with torch.no_grad():
                left = model(found).argmax(-1) == y
            if not left.any():
                break
            one: Any = AutoProjectedGradientDescent(
                target, norm=np.inf if norm == "linf" else 2, eps=epsilon, eps_step=2 * epsilon, max_iter=steps,
                nb_random_init=1, batch_size=int(left.sum()), loss_type=loss, verbose=False,
            )  # fmt: skip
            attacked = one.generate(x[left].cpu().numpy(), y[left].cpu().numpy())
            found[left] = torch.as_tensor(attacked, dtype=x.dtype, device=x.device)
    finally:
        np.random.set_state(before)
    return found


def _foolbox() -> Any:
    with warnings.catch_warnings():
        # Its import of a scipy function by an old name.
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    return foolbox


def _attack_class(name: str, norm: str) -> Callable[..., Any]:
    attacks = _foolbox().attacks
    classes = {
        ("fgsm", "linf"): attacks.LinfFastGradientAttack,
        ("fgsm", "l2"): attacks.L2FastGradientAttack,
        ("bim", "linf"): attacks.LinfBasicIterativeAttack,
        ("bim", "l2"): attacks.L2BasicIterativeAttack,
        ("pgd", "linf"): attacks.LinfProjectedGradientDescentAttack,
        ("pgd", "l2"): attacks.L2ProjectedGradientDescentAttack,
        ("mim", "linf"): attacks.LinfMomentumIterativeFastGradientMethod,
        ("mim", "l2"): attacks.L2MomentumIterativeFastGradientMethod,
    }
    if (name, norm) not in classes:
        known = [" ".join(each) for each in (*classes, ("autoattack", "linf"), ("autoattack", "l2"))]
        raise ScorecraftError(f"attack: no '{name}' in the norm '{norm}': {nearest(f'{name} {norm}', known)}")
    return classes[name, norm]


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Keep an attack's backward passes out of the model's gradients."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with evaluating(model):
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
