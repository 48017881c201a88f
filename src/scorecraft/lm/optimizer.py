"""Optimizers as recipe parts, with the learning rate's schedule and the clipping of the gradient."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from scorecraft.errors import TrainingStopped
from scorecraft.lm import distributed
from scorecraft.parts import Part, register


class OptimizerPart(Part):
    """What all optimizers share: ``lr``, its warm-up and schedule, and the largest gradient norm."""

    lr: float = Field(3e-4, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    max_gradient_norm: float | None = Field(1.0, gt=0)

    @abstractmethod
    def make(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """Return the torch optimizer for these parameters."""

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (from 0): linear warm-up, then the schedule down to 0 after the last."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.lr
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        left = 1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
        return self.lr * max(0.0, left)


@register("optimizer", "adamw")
class AdamW(OptimizerPart):
    """AdamW (decoupled weight decay)."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("adamw",)

    def make(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """Return AdamW, its update fused into one sweep over the weights."""
        return torch.optim.AdamW(
            parameters, lr=self.lr, betas=self.betas, eps=self.epsilon, weight_decay=self.weight_decay, fused=True
        )


@register("optimizer", "sgd")
class StochasticGradientDescent(OptimizerPart):
    """Plain stochastic gradient descent with momentum."""

    momentum: float = Field(0.0, ge=0, lt=1)

    def make(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """Return SGD."""
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, fused=True)


class Optimizer:
    """A part's optimizer over a model: float32 master weights where the model's are shorter, schedule, clipping."""

    def __init__(self, part: OptimizerPart, model: Any, steps: int) -> None:
        self.part, self.steps = part, steps
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.masters = [p if p.dtype == torch.float32 else p.detach().float() for p in self.parameters]
        self.inner = part.make(self.masters)

    def step(self, step: int) -> dict[str, float]:
        """Sum the gradients of all workers, clip, update the weights and clear; return what happened.

        Raises `TrainingStopped` before anything is changed if the gradient is not finite.
        """
        distributed.sum_gradients(self.parameters)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        if not math.isfinite(norm):
            raise TrainingStopped(f"the gradient of step {step + 1} has norm {norm}; lower the learning rate")
        limit = self.part.max_gradient_norm
        if limit is not None and norm > limit:
            for gradient in gradients:
                gradient.mul_(limit / (norm + 1e-6))
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master is not parameter and parameter.grad is not None:
                master.grad = parameter.grad.float()
        rate = self.part.learning_rate(step, self.steps)
        for settings in self.inner.param_groups:
            settings["lr"] = rate
        self.inner.step()
        with torch.no_grad():
            for master, parameter in zip(self.masters, self.parameters, strict=True):
                if master is not parameter:
                    parameter.copy_(master)
        self.clear()
        return {"gradient_norm": norm, "learning_rate": rate}

    def clear(self) -> None:
        """Forget the gradients; their memory is kept for the next step."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.zero_()

    def state(self) -> dict[str, Tensor]:
        """Return everything an exact resume needs, as named tensors."""
        state: dict[str, Tensor] = {}
        for index, master in enumerate(self.masters):
            if master is not self.parameters[index]:
                state[f"master.{index}"] = master
            for name, value in self.inner.state.get(master, {}).items():
                if isinstance(value, Tensor):
                    state[f"{name}.{index}"] = value.contiguous()
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned."""
        for key, value in state.items():
            name, index = key.rsplit(".", 1)
            master = self.masters[int(index)]
            if name == "master":
                master.copy_(value)
            else:
                self.inner.state[master][name] = value.clone()
