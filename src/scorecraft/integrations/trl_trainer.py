"""A recipe in TRL: its `GRPOTrainer`, with the recipe's rewards, credit, advantage and objective.

    from scorecraft.integrations.trl_trainer import RecipeTrainer, grpo_config
    RecipeTrainer("recipe.yaml", model, args=grpo_config("recipe.yaml", "out"), train_dataset=data).train()

TRL samples, computes log-probabilities, optimizes, shards and saves; everything between completions and the loss of a
token is the recipe's. The same rollouts give the same loss and gradient as scorecraft's own engine. Where TRL takes
several optimizer steps on one batch of rollouts, the loss is averaged over the whole batch, not over each step's part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportPrivateImportUsage]

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.integrations.composition import load_composition
from scorecraft.integrations.trl import RewardFunction
from scorecraft.lm.generate import left_pad
from scorecraft.lm.policy import Policy
from scorecraft.objectives.interfaces import Advantages, LossInputs
from scorecraft.objectives.kl import kl_penalty
from scorecraft.recipes.recipe import Recipe
from scorecraft.rollouts import Rollouts
from scorecraft.sampling.steps import steps_of_rollouts
from scorecraft.scores import RewardTable
from scorecraft.tasks.seeding import stable_hash

# What TRL's forward pass may be given beside the tokens.
_OF_IMAGES = (
    "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles",
    "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
)  # fmt: skip


def grpo_config(source: Recipe | Path | str, output_dir: str, **more: Any) -> GRPOConfig:
    """Return TRL's configuration with the recipe's sizes, sampling, optimizer and seed.

    Args:
        source: a recipe, a YAML file, or the name of a ready recipe.
        output_dir: where TRL writes.
        more: any option of `trl.GRPOConfig`; wins over the recipe.

    Raises `ScorecraftError` for a penalty on the reward, which TRL has no place for.
    """
    recipe = load_composition(source).recipe
    sampling, kl = recipe.sampling, recipe.kl
    if kl is not None and kl.place != "loss":
        raise ScorecraftError("kl: TRL adds the penalty to the loss; set 'place: loss', or leave kl out")
    rollouts = recipe.prompts_per_step * sampling.group_size
    found: dict[str, Any] = {
        "learning_rate": recipe.optimizer.lr, "max_steps": recipe.steps, "seed": recipe.seed,
        "num_generations": sampling.group_size, "temperature": sampling.temperature, "top_p": sampling.top_p,
        "top_k": sampling.top_k, "max_completion_length": sampling.max_new_tokens,
        "per_device_train_batch_size": rollouts // recipe.minibatches,
        "steps_per_generation": recipe.minibatches, "gradient_accumulation_steps": 1, "num_iterations": recipe.epochs,
        "beta": kl.coefficient if kl else 0.0, "loss_type": "dapo", "lr_scheduler_type": "constant",
        "bf16": recipe.dtype == "bfloat16",
    }  # fmt: skip
    return GRPOConfig(output_dir=output_dir, **{**found, **more})


class RecipeTrainer(GRPOTrainer):
    """TRL's trainer with a recipe between the completions and the loss; all its other options are TRL's.

    recipe: a recipe, a YAML file, or the name of a ready recipe. answer, gold, metadata: the data set's columns, see
    `scorecraft.integrations.trl`.
    """

    def __init__(
        self,
        recipe: Recipe | Path | str,
        model: Any,
        args: GRPOConfig | None = None,
        *,
        answer: str | None = "answer",
        gold: str = "gold",
        metadata: str = "metadata",
        overrides: Sequence[str] = (),
        **options: Any,
    ) -> None:
        if "reward_funcs" in options:
            raise ScorecraftError("RecipeTrainer takes its rewards from the recipe; leave reward_funcs out")
        self.composition = load_composition(recipe, overrides=overrides)
        self.recipe = self.composition.recipe
        self._columns = {"answer": answer, "gold": gold, "metadata": metadata}
        self._drawn: Any = None
        self._scored: tuple[Rollouts, RewardTable, slice] | None = None
        # TRL wants a function for its logs; this trainer scores by itself.
        function = RewardFunction(self.composition, **self._columns)  # pyright: ignore[reportArgumentType]
        super().__init__(model=model, reward_funcs=[function], args=args, **options)

    @property
    def policy(self) -> Policy:
        """The model being trained, as parts of the recipe ask it."""
        model = self.accelerator.unwrap_model(self.model)
        training = model.training
        found = Policy(model, self.processing_class, "the model in TRL")  # pyright: ignore[reportArgumentType]
        model.train(training)  # a policy of our own engine has no dropout and is always in evaluation mode
        return found

    @property
    def _options(self) -> GRPOConfig:
        assert isinstance(self.args, GRPOConfig)
        return self.args

    @property
    def _training(self) -> bool:
        assert self.model is not None
        return self.model.training

    def _generate(self, prompts: list[Any]) -> Any:
        self._drawn = super()._generate(prompts)
        return self._drawn

    def _calculate_rewards(
        self, inputs: list[Any], prompts: list[Any], completions: list[Any], completion_ids_list: list[list[int]]
    ) -> Tensor:
        """Score the rollouts of all workers by the recipe; TRL gets the totals."""
        names = [key for key in inputs[0] if key not in ("prompt", "completion", "completion_ids")]
        table = {
            "prompts": prompts, "completions": completions, "completion_ids": completion_ids_list,
            "prompt_ids": self._drawn[0], "tool_mask": self._drawn[2] or [None] * len(prompts),
            **{name: [example[name] for example in inputs] for name in names},
        }  # fmt: skip
        table, own = self._of_all_workers(table)
        rollouts = self._rollouts(table)
        rewards = self.composition.score(rollouts, step=self.state.global_step, steps=max(self.state.max_steps, 1))
        self._scored = rollouts, rewards, own
        for name, scores in rewards.parts.items():
            known = scores.values[~scores.values.isnan()]
            if len(known):
                self._log_metric(f"reward/{name}", float(known.mean()))
        totals = torch.where(rewards.valid, rewards.total, torch.full_like(rewards.total, math.nan))
        return totals[:, None].to(self.accelerator.device)

    def _rollouts(self, table: dict[str, list[Any]]) -> Rollouts:
        """Return TRL's lists as rollouts with everything that the recipe's parts look at."""
        prompt_ids, tool_masks = table.pop("prompt_ids"), table.pop("tool_mask")
        size = self.num_generations if self._training else self.num_generations_eval
        reader = RewardFunction(self.composition, **self._columns, group_size=size)  # pyright: ignore[reportArgumentType]
        bare, policy = reader.rollouts(table), self.policy
        firsts = [bare.group.tolist().index(group) for group in range(len(bare.problems))]
        prompts, lengths = left_pad([prompt_ids[row] for row in firsts], policy.pad_id)
        rows = [ids[:n] for ids, n in zip(bare.tokens.tolist(), bare.lengths.tolist(), strict=True)]
        # TRL's texts of conversations need not be what the tokens decode to.
        steps = steps_of_rollouts(
            policy, self.recipe.task, bare.problem_of, rows, bare.texts, bare.mask.shape[1], decoded=False
        )
        mask = bare.mask.clone()
        for row, tool_mask in enumerate(tool_masks):
            if tool_mask is not None:
                mask[row, : len(tool_mask)] = torch.tensor(tool_mask, dtype=torch.bool)
        self.composition.policy = policy
        truncated = torch.tensor([not ids or ids[-1] not in policy.eos_ids for ids in rows], dtype=torch.bool)
        rollouts = replace(
            bare, mask=mask, steps=torch.where(mask, steps, -1), prompt_tokens=prompts, prompt_lengths=lengths,
            turns=_turns(mask, bare.real), truncated=truncated, temperature=float(self._options.temperature),
        )  # fmt: skip
        if not any(part.asks_policy for part in (*self.recipe.reward.values(), self.recipe.credit)):
            return rollouts
        scored = policy.score_tokens(prompt_ids, rows, temperature=rollouts.temperature)
        return replace(rollouts, logprobs=torch.where(mask, scored, torch.zeros_like(scored)))

    def _of_all_workers(self, table: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], slice]:
        """Return the columns of all workers one below the other, and which rows are this one's."""
        count, rank = len(table["prompts"]), self.accelerator.process_index
        if self.accelerator.num_processes == 1:
            return table, slice(0, count)
        everyone: list[Any] = [None] * self.accelerator.num_processes
        torch.distributed.all_gather_object(everyone, table)
        parts: list[dict[str, list[Any]]] = list(filter(None, everyone))
        start = sum(len(part["prompts"]) for part in parts[:rank])
        return {name: [v for part in parts for v in part[name]] for name in table}, slice(start, start + count)

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        """Let TRL sample, and put in the recipe's token advantages and the weight of every token's loss."""
        output = super()._generate_and_score_completions(inputs)
        assert self._scored is not None
        rollouts, rewards, own = self._scored
        advantages = self.advantages(rollouts, rewards)
        kept = advantages.values * advantages.keep[:, None]
        weights = self.recipe.objective.weights(rollouts.mask, advantages.keep)
        width, device = output["completion_ids"].shape[1], output["completion_ids"].device
        output["advantages"], output["loss_weights"] = (
            torch.nn.functional.pad(table[own], (0, width - table.shape[1])).to(device) for table in (kept, weights)
        )
        # TRL's table of completions shows what was trained on: the mean over a completion's tokens.
        shown = kept.sum(1) / rollouts.mask.sum(1).clamp(min=1)
        logged = self._logs["advantages"]
        for _ in range(min(len(shown), len(logged))):
            logged.pop()
        logged.extend(shown.tolist())
        return output

    def advantages(self, rollouts: Rollouts, rewards: RewardTable) -> Advantages:
        """Return the token advantages by the recipe's credit and advantage.

        Args:
            rollouts: of all workers.
            rewards: theirs.
        """
        step = self.state.global_step
        seed = stable_hash("trl", self.args.seed, step) % 2**63
        context = Context(
            self.recipe.task, torch.Generator().manual_seed(seed), step, max(self.state.max_steps, 1),
            policy=self.policy, load_policy=self.composition.load_policy,
        )  # fmt: skip
        returns = self.recipe.credit(rollouts, rewards, context)
        return self.recipe.advantage(returns, rollouts, rewards, context)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """Return the recipe's loss on one micro-batch, so that all of them add up to the batch's."""
        completion_ids, completion_mask = inputs["completion_ids"], inputs["completion_mask"]
        mask = completion_mask if "tool_mask" not in inputs else completion_mask * inputs["tool_mask"]
        mask, objective = mask.bool(), self.recipe.objective
        logprobs, entropies, auxiliary = self._get_per_token_logps_and_entropies(
            model,
            torch.cat((inputs["prompt_ids"], completion_ids), dim=1),
            torch.cat((inputs["prompt_mask"], completion_mask), dim=1),
            completion_ids.size(1), compute_entropy=True, compute_aux_loss=self.aux_loss_enabled,
            **{name: inputs.get(name) for name in _OF_IMAGES},
        )  # fmt: skip
        old = inputs.get("old_per_token_logps")
        reference = inputs.get("ref_per_token_logps")
        found = objective(
            LossInputs(
                logprobs, logprobs.detach() if old is None else old, inputs["advantages"], mask, reference,
                entropies if objective.needs_entropy else None,
            )
        )  # fmt: skip
        values = found.values
        if "importance_sampling_ratio" in inputs:
            values = values * inputs["importance_sampling_ratio"]
        if reference is not None:
            penalty = kl_penalty(logprobs, reference, self.recipe.kl.estimator if self.recipe.kl else "k3")
            values = values + self.beta * penalty
            self._measure("kl", penalty, mask)
        for name, metric in found.metrics.items():
            self._measure(name, metric, mask)
        self._measure("entropy", entropies, mask)
        training = self._training
        # Workers' gradients are averaged, and one batch of rollouts may serve several optimizer steps.
        share = (
            (self._options.steps_per_generation or 1) / self.current_gradient_accumulation_steps if training else 1.0
        )
        loss = (values * inputs["loss_weights"]).sum() * self.accelerator.num_processes * share
        if auxiliary is None:
            return loss
        return loss + self.router_aux_loss_coef * auxiliary / (
            self.current_gradient_accumulation_steps if training else 1
        )

    def _measure(self, name: str, values: Tensor | None, mask: Tensor) -> None:
        if values is None:
            return
        mean = (values.detach() * mask).sum() / mask.sum().clamp(min=1)
        self._metrics["train" if self._training else "eval"][name].append(
            self.accelerator.gather(mean).nanmean().item()  # pyright: ignore[reportAttributeAccessIssue]
        )


def _turns(mask: Tensor, real: Tensor) -> Tensor:
    """Return the turn of every token: where the policy goes on after what others wrote, the next one begins."""
    if mask.shape[1] == 0:
        return mask.long()
    resumes = torch.cat((torch.zeros_like(mask[:, :1]), mask[:, 1:] & ~mask[:, :-1]), dim=1)
    number = resumes.cumsum(1)
    return torch.where(real, number, torch.full_like(number, -1))
