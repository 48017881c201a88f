"""The training loop: the path of the data, on one screen.

prompts -> rollouts -> rewards -> token returns -> token advantages -> loss -> optimizer step -> run store.

Whatever a method needs beyond this comes in through its part and the `Context`; there are no flags here.
"""

from __future__ import annotations

import copy
import functools
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from scorecraft.catalog.bibtex import bibtex
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm import distributed
from scorecraft.lm.compiling import compile_loops
from scorecraft.lm.optimizer import Optimizer
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.lm.update import UpdateSettings, reference_logprobs, update
from scorecraft.recipes.cite import citations
from scorecraft.recipes.collect import check_first_prompts, collect, penalize, verdicts
from scorecraft.recipes.display import QuietDisplay, TrainingDisplay, TrainingSummary
from scorecraft.recipes.evaluate import evaluate
from scorecraft.recipes.lint import lint
from scorecraft.recipes.measure import rollout_columns, step_metrics
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.room import shortcomings
from scorecraft.recipes.state import restore_state, save_state
from scorecraft.report.page import write_report
from scorecraft.runs.store import RunStore
from scorecraft.runs.trackers import Trackers
from scorecraft.runs.versions import environment


def train(
    recipe: Recipe, directory: Path | str, *, resume: bool = False, display: TrainingDisplay | None = None
) -> TrainingSummary:
    """Carry out a recipe; everything it does is kept under ``directory``.

    Raises `ScorecraftError` for a user's mistake and `TrainingStopped` for a loss or reward that is not finite;
    the run's last checkpoint is then intact.
    """
    with distributed.workers(recipe.device), display or QuietDisplay() as shown:
        leads = distributed.rank() == 0
        if leads:
            compile_loops(recipe.device, recipe.dtype, shown.phase)
        distributed.wait()
        # Mistakes in data, prompts or policy are told before there is a directory.
        first = None if resume else _first_policy(recipe, shown)
        if first:
            check_first_prompts(first, recipe)
            for text in (*map(str, lint(recipe)), *shortcomings(first, recipe)):
                shown.message(text, "warning")
        # The first worker writes the run; the others wait until it is there, and only read.
        store = _open_store(recipe, Path(directory), resume) if leads else RunStore(Path(directory))
        with store.lock() if leads else nullcontext():
            distributed.wait()
            return _Training(recipe, store, shown, first).run()


class _Training:
    """The state of one run while it runs."""

    def __init__(self, recipe: Recipe, store: RunStore, display: TrainingDisplay, first: Policy | None) -> None:
        self.recipe, self.store, self.display = recipe, store, display
        self.began = time.monotonic()
        self.warned = False
        found = None if first else store.load_checkpoint()
        if found:
            self.policy = Policy.load(
                found[1] / "policy", name=recipe.policy.name, device=recipe.device, dtype=recipe.dtype
            )
        else:
            self.policy = first or _first_policy(recipe, display)
        self.reference = self._reference(resumed=bool(found))
        self.optimizer = Optimizer(recipe.optimizer, self.policy.model, recipe.steps)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step, self.position = 0, 0
        self.load_policy = functools.cache(lambda name: _other_policy(name, recipe, display))
        if found:
            self.step = found[0]
            self.position = restore_state(found[1], self.optimizer, self.generator, recipe)
        leads = distributed.rank() == 0
        if leads:
            store.truncate_after(self.step)
        self.trackers = Trackers(
            recipe.trackers if leads else (), store.directory, recipe.resolved(), self.step,
            lambda text: display.message(text, "warning"),
        )  # fmt: skip

    def run(self) -> TrainingSummary:
        """Train to the last step; return what came out."""
        recipe = self.recipe
        self.display.start(recipe, self.store.directory, self.step, recipe.steps)
        try:
            return self._run()
        finally:
            self.trackers.finish()

    def _run(self) -> TrainingSummary:
        recipe = self.recipe
        if self.step == 0 and not self.store.read_evaluations():
            self._evaluate()
        metrics: dict[str, float] = {}
        while self.step < recipe.steps:
            metrics = self._one_step()
            self.display.step(metrics)
            self._warn_if_idle(metrics)
            if distributed.rank() == 0:
                self.store.append_metrics(metrics)
                self.trackers.log(metrics, self.step)
            last = self.step == recipe.steps
            if last or (recipe.evaluate and self.step % recipe.evaluate.every == 0):
                self._evaluate()
            if last or self.step % recipe.checkpoint.every == 0:
                self._checkpoint()
        return self._summarize(metrics)

    def _warn_if_idle(self, metrics: dict[str, float]) -> None:
        """Say once, at the first such step, that a step taught nothing, and why."""
        if self.warned or metrics["zero_advantage_groups"] < 1:
            return
        self.warned = True
        shares = {name.removeprefix("zero/"): share for name, share in metrics.items() if name.startswith("zero/")}
        reason = max(shares, key=lambda name: shares[name])
        advice = {
            "same-reward": "all rewards within a group are equal: take a group_size of 2 or more, another reward, or "
            "problems that are neither too easy nor too hard",
            "abstained": "no rollout got a valid reward: see the outcomes/ metrics",
        }.get(reason, f"the reason for most rollouts is '{reason}'")
        self.display.message(f"step {self.step} taught nothing: {advice}", "warning")

    def _one_step(self) -> dict[str, float]:
        recipe, began = self.recipe, time.monotonic()
        context = self._context()
        batch = collect(recipe, self.position, context)
        rollouts, reference = batch.rollouts, None
        if self.reference is not None:
            reference = reference_logprobs(self.reference, rollouts, recipe.tokens_per_microbatch)
            batch = replace(batch, rewards=penalize(batch.rewards, rollouts, reference, recipe))
        sampled = time.monotonic()
        returns = recipe.credit(rollouts, batch.rewards, context)
        advantages = recipe.advantage(returns, rollouts, batch.rewards, context)
        truth = verdicts(rollouts, context)
        settings = self._update_settings()
        in_loss = reference if settings.kl_coefficient else None
        updated = update(
            self.policy, self.optimizer, rollouts, advantages, recipe.objective, settings, context, in_loss
        )
        self.position, self.step = batch.position, self.step + 1
        if self.step in (1, recipe.steps) or self.step % recipe.save_rollouts.every == 0:
            self._save_rollouts(batch, truth, returns, advantages, context)
        metrics: dict[str, float] = {"step": self.step, **step_metrics(batch, truth, advantages), **updated}
        if "clipped_low" in metrics:
            metrics["clip_fraction"] = metrics["clipped_low"] + metrics["clipped_high"]
        seconds = time.monotonic() - began
        metrics |= {"seconds": seconds, "sampling_seconds": sampled - began}
        metrics["tokens_per_second"] = metrics["tokens"] / seconds
        return metrics

    def _context(self) -> Context:
        recipe = self.recipe
        return Context(
            recipe.task, self.generator, self.step, recipe.steps, self.policy, self.reference,
            distributed.rank(), distributed.world_size(), distributed.gather, self.load_policy,
        )  # fmt: skip

    def _update_settings(self) -> UpdateSettings:
        recipe, kl = self.recipe, self.recipe.kl
        settings = UpdateSettings(recipe.epochs, recipe.minibatches, recipe.tokens_per_microbatch)
        if kl is None or kl.place != "loss":
            return settings
        return replace(settings, kl_coefficient=kl.coefficient, kl_estimator=kl.estimator)

    def _reference(self, *, resumed: bool) -> Policy | None:
        if self.recipe.kl is None:
            return None
        start = _first_policy(self.recipe, self.display) if resumed else self.policy
        frozen = copy.deepcopy(start.model).requires_grad_(False)
        return Policy(frozen, self.policy.tokenizer, f"{self.policy.name} (reference)")

    def _evaluate(self) -> None:
        settings = self.recipe.evaluate
        if settings is None or distributed.rank() != 0:
            return
        result = evaluate(
            self.policy, self.recipe.task, self.recipe.sampling,
            problems=settings.problems, samples=settings.samples, k=settings.k, temperature=settings.temperature,
            seed=self.recipe.seed, progress=lambda done, total: self.display.phase("evaluation", done, total),
        )  # fmt: skip
        self.store.append_evaluation({"step": self.step, **result})
        self.trackers.log(result, self.step, "held-out/")
        self.display.evaluation(self.step, result)

    def _save_rollouts(self, batch, truth, returns, advantages, context) -> None:  # noqa: ANN001 - as in _one_step
        if distributed.rank() != 0:
            return
        columns = rollout_columns(batch, truth, returns, advantages, context)
        most = self.recipe.save_rollouts.max_rows
        rows = torch.arange(min(most, len(batch.rollouts)))
        rollouts = batch.rollouts.select(rows)
        self.store.save_rollouts(self.step, rollouts, {name: column[:most] for name, column in columns.items()})
        used = torch.unique(torch.cat((rollouts.tokens.flatten(), rollouts.prompt_tokens.flatten()))).tolist()
        self.store.save_token_texts({token: self.policy.token_text(token) for token in used})

    def _checkpoint(self) -> None:
        if distributed.rank() != 0:
            return
        self.store.save_checkpoint(
            self.step,
            lambda folder: save_state(folder, self.policy, self.optimizer, self.generator, self.position, self.recipe),
            keep=self.recipe.checkpoint.keep,
        )

    def _summarize(self, metrics: dict[str, float]) -> TrainingSummary:
        evaluations = self.store.read_evaluations()
        rows = self.store.read_metrics()
        page = self.store.directory / "report.html"
        if distributed.rank() == 0:
            page = write_report([self.store.directory])
        summary = TrainingSummary(
            directory=self.store.directory,
            steps=self.step,
            seconds=time.monotonic() - self.began,
            before=evaluations[0] if evaluations else {},
            after=evaluations[-1] if len(evaluations) > 1 else {},
            final=metrics or (rows[-1] if rows else {}),
            report=page,
        )
        self.display.finish(summary)
        return summary


def _first_policy(recipe: Recipe, display: TrainingDisplay) -> Policy:
    return resolve_policy(
        recipe.policy.name, recipe.policy.options, recipe.task, device=recipe.device, dtype=recipe.dtype,
        progress=display.phase,
    )  # fmt: skip


def _other_policy(name: str, recipe: Recipe, display: TrainingDisplay) -> Policy:
    """Return a policy that a part asked for, beside the one that is trained."""
    return resolve_policy(name, {}, recipe.task, device=recipe.device, dtype=recipe.dtype, progress=display.phase)


def _open_store(recipe: Recipe, directory: Path, resume: bool) -> RunStore:
    if not resume:
        papers = "\n".join(bibtex(paper) for paper in citations(recipe))
        return RunStore.create(directory, recipe.to_yaml(), environment(), citations=papers)
    store = RunStore.open(directory)
    stored = Recipe.from_yaml(store.recipe_yaml)
    if stored.hash != recipe.hash:
        raise ScorecraftError(
            f"{directory}: this run was started with another recipe, and a run is one recipe; resume without a recipe "
            "and overrides, or start a new run"
        )
    return store
