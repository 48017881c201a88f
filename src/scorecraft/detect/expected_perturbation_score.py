"""The expected perturbation score: the score of a diffusion model, averaged over noise levels and perturbations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scorecraft.catalog import implements
from scorecraft.detect.layers import evaluating
from scorecraft.errors import ScorecraftError, ScorecraftWarning

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
"""The score ``grad log p_t`` of ``x_t [row, ...]`` at the times ``t [row]``, in the shape of ``x_t``."""

Schedule = Callable[[Tensor], tuple[Tensor, Tensor]]
Predicted = Literal["noise", "data", "velocity"]
# How far beyond [-1, 1] samples may be before a warning.
RANGE_TOLERANCE = 1e-3
# Of the perturbed samples that a processor scores in a call.
CACHED_NUMBERS = 2**17


def vp_marginal(
    t: Float[Tensor, "*times"], beta_min: float = 0.1, beta_max: float = 20.0
) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"]]:
    """Return mean coefficient m and standard deviation s of the variance-preserving diffusion ``x_t = m x + s z``.

    ``log m = -t^2 (beta_max - beta_min) / 4 - t beta_min / 2``; ``s^2 = 1 - m^2``.

    Args:
        t: times in [0, 1].
        beta_min: rate of the noise at time 0.
        beta_max: rate of the noise at time 1.

    Source: Score-Based Generative Modeling through Stochastic Differential Equations, 2021, arXiv 2011.13456, eq. 33.
    """
    log_mean = -(t**2) * (beta_max - beta_min) / 4 - t * beta_min / 2
    return log_mean.exp(), (-torch.expm1(2 * log_mean)).sqrt()


@implements("expected-perturbation-score")
def expected_perturbation_score(
    x: Float[Tensor, "row ..."],
    score_function: ScoreFunction,
    *,
    levels: int = 20,
    step: float = 1e-3,
    repeats: int = 1,
    antithetic: bool = False,
    perturb: bool = True,
    common_noise: bool = False,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "row ..."]:
    """Return the expected perturbation score ``EPS(x) = E_t E_z[grad log p_t(m_t x + s_t z)]`` of each sample.

    Estimated as ``1/T sum_k s_theta(m_k x + s_k z_k, t_k)`` with ``t_k = k step`` for k = 1..T and fresh normal z_k.
    For normal data ``N(mu, v I)`` it is ``-(x - mu) mean_k m_k / (m_k^2 v + s_k^2)``: linear in x.

    Args:
        x: samples scaled to [-1, 1].
        score_function: a function or module of ``x_t`` and ``t``; a module is put in evaluation mode meanwhile. It is
            called once for each level and batch, without gradients.
        levels: T, the number of noise levels; published are 20 for CIFAR-10 and 50 for ImageNet.
        step: between levels, in the time of the diffusion; the first level is at ``step``, never at 0.
        repeats: perturbations at each level, which are averaged; the cost is ``levels * repeats`` scores a sample.
        antithetic: whether half of an even number of repeats are the others' noise negated.
        perturb: False scores ``x`` itself at each time, an ablation.
        common_noise: whether all samples share one noise a level. With equal seeds other sets then share it too.
        batch_size: most perturbed samples in a call; the result does not depend on it. Where not given, all of them, or
            on a processor as many as hold some 100,000 numbers: convolutions over more leave its cache.
        generator: of the noise.

    Raises `ScorecraftError` for no samples; fewer than 1 level, repeat or sample in a batch; times outside (0, 1];
    repeats without perturbation; an odd number of antithetic ones; and a score of another shape or that is not
    finite, naming the level. Warns of samples beyond [-1, 1].

    Source: Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score, 2023,
    arXiv 2305.16035.
    """
    scores = perturbed_scores(
        x, score_function, levels=levels, step=step, repeats=repeats, antithetic=antithetic, perturb=perturb,
        common_noise=common_noise, batch_size=batch_size, generator=generator,
    )  # fmt: skip
    total = torch.zeros_like(x)
    for score in scores:
        total += score
    return total / levels


def perturbed_scores(
    x: Float[Tensor, "row ..."],
    score_function: ScoreFunction,
    *,
    levels: int = 20,
    step: float = 1e-3,
    repeats: int = 1,
    antithetic: bool = False,
    perturb: bool = True,
    common_noise: bool = False,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Return an iterator over the levels that yields the score of the perturbed samples, in the shape of ``x``.

    Their mean is `expected_perturbation_score`, their running mean that of fewer levels, and one of them alone the
    score at a single level. Arguments and errors are those of `expected_perturbation_score`.
    """
    _check_numbers(levels, step, repeats, batch_size)
    if repeats > 1 and not perturb:
        raise ScorecraftError("expected perturbation score: without perturbation all repeats are equal; use repeats=1")
    if antithetic and (repeats % 2 or not perturb):
        raise ScorecraftError(f"expected perturbation score: antithetic noise needs an even repeats, got {repeats}")
    if not len(x):
        raise ScorecraftError("expected perturbation score: expected at least 1 sample, got none")
    if (furthest := x.abs().max().item()) > 1 + RANGE_TOLERANCE:
        warnings.warn(
            f"expected perturbation score: samples reach {furthest:.3g} in size; diffusion models expect [-1, 1]",
            ScorecraftWarning,
            stacklevel=2,
        )

    def noise() -> Tensor:
        drawn = repeats // 2 if antithetic else repeats
        shape = (drawn, 1 if common_noise else len(x), *x.shape[1:])
        device = x.device if generator is None else generator.device
        z = torch.randn(shape, generator=generator, device=device, dtype=x.dtype).to(x.device)
        return torch.cat((z, -z)) if antithetic else z

    def at_levels() -> Iterator[Tensor]:
        for level in range(1, levels + 1):
            time = torch.tensor(level * step, dtype=x.dtype, device=x.device)
            mean, deviation = vp_marginal(time)
            perturbed = (mean * x + deviation * noise()).flatten(0, 1) if perturb else x
            scores = _score_at(score_function, perturbed, time, level, batch_size)
            yield scores.unflatten(0, (repeats, len(x))).mean(0)

    return at_levels()


def perturbation_score_norms(
    x: Float[Tensor, "row ..."],
    score_function: ScoreFunction,
    *,
    levels: int = 20,
    step: float = 1e-3,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "row level"]:
    """Return the L2 norm of the score at each level, ``||s_theta(m_k x + s_k z_k, t_k)||``: size without direction.

    Arguments and errors are those of `expected_perturbation_score`.
    """
    scores = perturbed_scores(
        x, score_function, levels=levels, step=step, batch_size=batch_size, generator=generator
    )  # fmt: skip
    return torch.stack([score.flatten(1).norm(dim=1) for score in scores], dim=1)


def score_from_denoiser(
    model: ScoreFunction,
    predicts: Predicted = "noise",
    *,
    schedule: Schedule = vp_marginal,
    time_scale: float = 999.0,
    learned_variance: bool = False,
) -> ScoreFunction:
    """Return the score function of a diffusion model that predicts the noise z, the data x or ``v = m z - s x``.

    ``-z / s`` for the noise, ``(m x - x_t) / s^2`` for the data, ``-(s x_t + m v) / s`` for the velocity.

    Args:
        model: a function or module of ``x_t`` and its own time; a module is put in evaluation mode meanwhile.
        predicts: what it returns.
        schedule: mean coefficient m and deviation s at times t.
        time_scale: the model's own time is ``time_scale * t``.
        learned_variance: whether the output has the predicted variance as a second half of its channels (axis 1).

    The function returned raises `ScorecraftError` at time 0, where s is 0, and for a prediction of another shape.

    Source: Progressive Distillation for Fast Sampling of Diffusion Models, 2022, arXiv 2202.00512, for the velocity.
    """
    if predicts not in ("noise", "data", "velocity"):
        raise ScorecraftError(f"score_from_denoiser: expected 'noise', 'data' or 'velocity', got '{predicts}'")

    def score(x_t: Tensor, t: Tensor) -> Tensor:
        if (t <= 0).any():
            raise ScorecraftError("score_from_denoiser: the score is not defined at time 0; start above it")
        with evaluating(model) if isinstance(model, nn.Module) else nullcontext():
            prediction = model(x_t, time_scale * t)
        if learned_variance:
            prediction = prediction[:, : prediction.shape[1] // 2]
        if prediction.shape != x_t.shape:
            hint = "" if learned_variance else " (a model that predicts its variance too needs learned_variance=True)"
            raise ScorecraftError(
                f"score_from_denoiser: the model gave {tuple(prediction.shape)} for {tuple(x_t.shape)}{hint}"
            )
        mean, deviation = (value.view(-1, *(1,) * (x_t.ndim - 1)) for value in schedule(t))
        if predicts == "noise":
            return -prediction / deviation
        if predicts == "data":
            return (mean * prediction - x_t) / deviation**2
        return -(deviation * x_t + mean * prediction) / deviation

    return score


def _check_numbers(levels: int, step: float, repeats: int, batch_size: int | None) -> None:
    for name, value in (("levels", levels), ("repeats", repeats), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ScorecraftError(f"expected perturbation score: {name} must be at least 1, got {value}")
    # Rounded up to what float addition may add, so that 1000 levels of 0.001 are allowed.
    if not step > 0 or levels * step > 1 + 1e-9:
        raise ScorecraftError(
            f"expected perturbation score: {levels} levels of {step:g} end at time {levels * step:g}; expected times "
            "above 0 and up to 1"
        )


def _batch_for(perturbed: Tensor) -> int:
    """Return how many samples a call takes: all of them, but on a processor no more than its cache serves well."""
    if perturbed.device.type != "cpu":
        return len(perturbed)
    return max(1, CACHED_NUMBERS // max(1, perturbed[0].numel()))


def _score_at(
    score_function: ScoreFunction, perturbed: Tensor, time: Tensor, level: int, batch_size: int | None
) -> Tensor:
    """Return the score of all perturbed samples of a level, checked."""
    size = batch_size or _batch_for(perturbed)
    module = score_function if isinstance(score_function, nn.Module) else None
    parts = []
    with torch.no_grad(), nullcontext() if module is None else evaluating(module):
        for part in perturbed.split(size):
            found = score_function(part, time.expand(len(part)))
            where = f"score at level {level} (t = {time.item():.4g})"
            if found.shape != part.shape:
                raise ScorecraftError(
                    f"{where}: has shape {tuple(found.shape)}, expected that of the samples, {tuple(part.shape)}"
                )
            if not math.isfinite(found.sum().item()) and not torch.isfinite(found).all():
                raise ScorecraftError(f"{where}: holds numbers that are not finite; check the model at this time")
            parts.append(found)
    return parts[0] if len(parts) == 1 else torch.cat(parts)
