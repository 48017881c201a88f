"""Does the drop in perplexity that the query brings rank answers as the paper says, and does training on it shorten?

Answers of known kinds (concise and right, padded, said twice, wrong in the last line, to another question, the last
line alone, the query first) are scored by a policy that itself pads half of its steps, and by a pretrained model on
word problems. Then that policy is trained by GRPO without standard deviations on correctness, with the reward beside
it, with a length reward beside it, and on the reward alone. Nothing is tuned: all arms share the learning rate.
"""

from __future__ import annotations

import functools
import itertools
import math
import shutil
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scorecraft.catalog.papers import find
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.problem import Problem
from scorecraft.recipes.evaluate import evaluate, load_policy_and_task
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.train import train
from scorecraft.rewards.self_aligned import (
    copied_share,
    entropy_min_reward,
    sar_token_scores,
    self_aligned_reward,
    standalone_logprobs,
    standalone_prompt,
)
from scorecraft.runs.store import RunStore
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

# A policy that is mostly right and says half of its steps again; at smoke scale the one that comes with the package.
TASKS: dict[Scale, ChainArithmetic] = {
    "smoke": ChainArithmetic.model_validate({}),
    "full": ChainArithmetic.model_validate({"operations": (2, 3), "largest": 10, "spare_steps": 0.5}),
}
OPTIONS: dict[Scale, dict[str, Any]] = {"smoke": {}, "full": {"competence": 0.7}}
CHAINS = {"smoke": 4, "full": 60}  # problems of one seed
WORD_PROBLEMS = {"smoke": 2, "full": 8}
STEPS, HELD_OUT = {"smoke": 2, "full": 90}, {"smoke": 8, "full": 1024}
BLOCK = 5  # steps that are averaged into a point of a curve

NAMES = ("Tom", "Maria", "Ahmed", "Lucy", "Chen", "Olga", "Ravi", "Emma", "Diego", "Nora")
THINGS = ("apples", "marbles", "stamps", "pencils", "shells", "coins", "stickers", "cards")
VERBS = (("buys", "more", 1), ("finds", "more", 1), ("gives away", "of them", -1), ("loses", "of them", -1))
RARE = "zyzzyva quixotic gossamer kerfuffle obelisk"

Answers = Mapping[str, str]


@functools.lru_cache(maxsize=2)
def policy_of(name: str, scale: Scale) -> Policy:
    """Return a policy, loaded once in each process; at smoke scale always the tunnel's own."""
    if scale == "smoke" or name == "tunnel-tiny":
        return resolve_policy("tunnel-tiny", OPTIONS[scale], TASKS[scale])
    return resolve_policy(name, {}, TASKS[scale])


def chain_answers(problem: Problem, other: Problem) -> Answers:
    """Return answers of every kind to a chain; ``problem.gold`` is the concise one."""
    *steps, last = problem.gold.split("\n")
    end = int(last[1:])
    padded = [line for step in steps for line in (step, "{0}+0={0}".format(step.partition("=")[2]))]
    return {
        "concise": problem.gold,
        "redundant": "\n".join([*padded, last]),
        "duplicated": "\n".join([*(line for step in steps for line in (step, step)), last]),
        "wrong-end": "\n".join([*steps, f"#{end + 7}"]),
        "unrelated": other.gold,
        "answer-only": last,
        "query-echo": problem.prompt + problem.gold,
    }


def word_problem(random: Random) -> tuple[str, Answers]:
    """Return a word problem of three or four numbers and answers of every kind to it."""
    name, thing = random.choice(NAMES), random.choice(THINGS)
    total = start = random.randint(20, 60)
    told, steps, entities = f"{name} has {start} {thing}.", [], [name, thing, str(start)]
    for _ in range(random.randint(2, 3)):
        verb, rest, sign = random.choice(VERBS)
        number = random.randint(2, 9)
        told += f" {name} {verb} {number} {rest}."
        result = total + sign * number
        steps.append(f"{name} {verb} {number}, so there are {total} {'+' if sign > 0 else '-'} {number} = {result}.")
        total = result
        entities.append(str(number))
    question = f"{told} How many {thing} does {name} have now?"
    body, end = " ".join(steps), f" The answer is {total}."
    padding = " Let us think about this carefully. It is important to read the problem again and to check every step."
    check = f" Let me double check the result. Yes, we checked it and the number is {total}. It is correct."
    return question, {
        "concise": body + end,
        "redundant": padding[1:] + " " + body + padding + check + end,
        "duplicated": f"{body} {body}{end}",
        "wrong-end": f"{body} The answer is {total + 7}.",
        "answer-only": end[1:],
        "bare-number": str(total),
        "query-echo": f"{question} {body}{end}",
        "echo-only": question,
        "entity-spam": f"{body}{end} " + " ".join(entities * 2),
        "rare-words": f"{body} {RARE}.{end}",
    }


def questions(world: str, seed: int, scale: Scale) -> list[tuple[str, Answers]]:
    """Return the questions of a seed with their answers; the one to another question is added to the word problems."""
    if world == "chains":
        count = CHAINS[scale]
        plain = TASKS[scale].model_copy(update={"spare_steps": 0.0})
        problems = plain.problems("test", seed * count, count + 1)
        return [(p.prompt, chain_answers(p, other)) for p, other in itertools.pairwise(problems)]
    random = Random(f"word problems/{seed}")
    drawn = [word_problem(random) for _ in range(WORD_PROBLEMS[scale] + 1)]
    return [
        (question, {**answers, "unrelated": other["concise"]})
        for (question, answers), (_, other) in itertools.pairwise(drawn)
    ]


def score(policy: Policy, asked: Sequence[tuple[str, Answers]], kind: str, reward: str = "sar") -> dict[str, Tensor]:
    """Return a reward of the answers of one kind as "value", and for "sar" the share of copied tokens as "copied"."""
    end = int(policy.tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
    rows = [[*policy.encode(answers[kind]), end] for _, answers in asked]
    lengths = torch.tensor([len(row) for row in rows])
    if reward == "length":
        return {"value": -lengths.float()}
    given = policy.score_tokens([policy.encode_prompt(question) for question, _ in asked], rows)
    mask = torch.arange(given.shape[1]) < lengths[:, None]
    if reward == "confidence":
        return {"value": entropy_min_reward(given, mask)}
    alone = standalone_logprobs(policy, rows, prompt=standalone_prompt(policy))
    tokens = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    query = [policy.encode(question) for question, _ in asked]
    copied = copied_share(sar_token_scores(given, alone, mask), tokens, mask, query)
    return {"value": self_aligned_reward(given, alone, mask), "copied": copied}


KINDS = ("concise", "redundant", "duplicated", "wrong-end", "unrelated", "answer-only", "query-echo")


def rank(trial: Trial) -> Results:
    """Return how often one reward puts the concise answer before each other kind, and by how much on average."""
    policy = policy_of(trial.settings["policy"], trial.scale)
    asked = questions(trial.settings["world"], trial.seed, trial.scale)
    values = {}
    for done, kind in enumerate(KINDS):
        values[kind] = score(policy, asked, kind, trial.settings["reward"])["value"]
        trial.progress(done + 1, len(KINDS))
    found = {f"beats_{kind}": _share(values["concise"] > values[kind]) for kind in KINDS[1:]}
    found["partial"] = _share(values["wrong-end"] > values["unrelated"])
    found["gap"] = float((values["concise"] - values["redundant"]).mean())
    return {name.replace("-", "_"): value for name, value in found.items()}


def attack(trial: Trial) -> Results:
    """Return what a way of gaming the reward gains over the concise answer, and where the reward comes from."""
    policy = policy_of(trial.settings["policy"], trial.scale)
    asked = questions("words", trial.seed, trial.scale)
    honest, gamed = score(policy, asked, "concise"), score(policy, asked, trial.settings["kind"])
    return {
        "sar": float(gamed["value"].mean()),
        "inflation": float((gamed["value"] - honest["value"]).mean()),
        "wins": _share(gamed["value"] > honest["value"]),
        "copied": float(gamed["copied"].mean()),
    }


def _share(values: Tensor) -> float:
    return float(values.double().mean())


def recipe_of(trial: Trial) -> Recipe:
    """Return the recipe of one training run: the same for all arms but for the weights of the rewards."""
    return Recipe.model_validate(
        {
            "policy": {"tunnel-tiny": OPTIONS[trial.scale]},
            "task": TASKS[trial.scale],
            "sampling": {"single-turn": {"group_size": 8, "max_new_tokens": 80}},
            # Weight 0 only logs a reward, so that every arm is measured alike.
            "reward": {"correct": {"weight": 0.0}, "self-aligned": {"weight": 0.0}, **trial.settings["reward"]},
            "advantage": "group-mean",
            "optimizer": {"adamw": {"lr": trial.settings["lr"], "schedule": "linear"}},
            "steps": STEPS[trial.scale],
            "prompts_per_step": 8,
            "evaluate": None,
            "checkpoint": {"every": STEPS[trial.scale], "keep": 1},
            "save_rollouts": {"every": STEPS[trial.scale]},
            "seed": trial.seed,
        }
    )


def run_training(trial: Trial) -> Results:
    """Train one policy and measure it on held-out problems."""
    steps, recipe = STEPS[trial.scale], recipe_of(trial)
    folder = trial.folder / "run"
    trial.progress(0, steps)
    train(recipe, folder, resume=folder.exists())
    rows = RunStore.open(folder).read_metrics()
    policy, task, sampling = load_policy_and_task(str(folder))
    held_out = evaluate(policy, task, sampling, problems=HELD_OUT[trial.scale], seed=trial.seed)
    shutil.rmtree(folder)
    columns = {name: [float(row[name]) for row in rows] for name in ("accuracy", "length", "reward/self-aligned")}
    return {
        "accuracy": held_out["accuracy"],
        "length": held_out["length"],
        "log_length": math.log(held_out["length"]),
        "sar": float(np.mean(columns["reward/self-aligned"][-2 * BLOCK :])),
        "accuracy_course": _blocks(columns["accuracy"]),
        "length_course": _blocks(columns["length"]),
        "sar_course": _blocks(columns["reward/self-aligned"]),
    }


def _blocks(values: Sequence[float]) -> list[float]:
    """Return the means of blocks of steps."""
    return [float(np.mean(values[start : start + BLOCK])) for start in range(0, len(values), BLOCK)]


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(5))}
REWARDS = {"sar": "self-aligned reward", "confidence": "confidence, -log ppl(a|q)", "length": "shorter is better"}
RANK_METRICS = (
    Metric("beats_redundant", "concise beats redundant", percent=True),
    Metric("beats_duplicated", "concise beats said twice", percent=True),
    Metric("beats_answer_only", "concise beats the last line alone", percent=True),
    Metric("beats_query_echo", "concise beats query first", percent=True),
    Metric("beats_wrong_end", "concise beats wrong last line", percent=True),
    Metric("beats_unrelated", "concise beats unrelated", percent=True),
    Metric("partial", "partly right beats unrelated", percent=True),
    Metric("gap", "mean gap, concise - redundant"),
)
RANK_CHECKS = (
    Check("concise beats redundant in 90 %", "beats_redundant", "sar", "above", margin=0.9),
    Check("concise beats its last line alone in 90 %", "beats_answer_only", "sar", "above", margin=0.9),
    Check("partly right beats unrelated in 90 %", "partial", "sar", "above", margin=0.9),
    Check("a length reward prefers the last line alone", "beats_answer_only", "length", "below", margin=0.1),
)


def _rank_arms(policy: str, world: str) -> tuple[Arm, ...]:
    return tuple(
        Arm(name, label, {"reward": name, "policy": policy, "world": world}) for name, label in REWARDS.items()
    )


CHAIN_RANKS = Experiment(
    name="chains",
    title="Kinds of answers, in the wind tunnel",
    question="Which kinds of answers does the reward of a policy that pads put behind the concise one?",
    run=rank,
    arms=_rank_arms("tunnel-tiny", "chains"),
    metrics=RANK_METRICS,
    checks=RANK_CHECKS,
    seeds=SEEDS,
    limits="60 chains a seed, single characters as tokens. The policy was taught to pad, so padding is no surprise.",
)
WORD_RANKS = Experiment(
    name="words",
    title="Kinds of answers, SmolLM2-135M on word problems",
    question="Does a pretrained model rank the same kinds of answers alike?",
    run=rank,
    arms=_rank_arms("smollm2-135m", "words"),
    metrics=RANK_METRICS,
    checks=(
        *RANK_CHECKS,
        Check("concise is above redundant by 0.2", "gap", "sar", "above", margin=0.2),
    ),
    seeds=SEEDS,
    limits="Eight templated problems a seed; written answers. The last line is a sentence; the bare number is below.",
)
GAMING = Experiment(
    name="gaming",
    title="How it can be gamed, SmolLM2-135M",
    question="What is gained over the concise answer by echoing the query, naming its entities, or rare words?",
    run=attack,
    arms=tuple(
        Arm(kind, label, {"kind": kind, "policy": "smollm2-135m"})
        for kind, label in (
            ("query-echo", "query first, then the solution"),
            ("echo-only", "the query and nothing else"),
            ("entity-spam", "names and numbers of the query at the end"),
            ("rare-words", "rare words in between"),
            ("bare-number", "the number and nothing else"),
            ("wrong-end", "wrong number in the last line"),
        )
    ),
    metrics=(
        Metric("sar", "self-aligned reward"),
        Metric("inflation", "gain over concise"),
        Metric("wins", "beats concise", percent=True),
        Metric("copied", "share of token scores in copied tokens", percent=True),
    ),
    checks=(Check("echoing the query first gains nothing", "inflation", "query-echo", "below", margin=0.0),),
    seeds=SEEDS,
    decides=False,
    limits="An audit: the paper makes no claim about these.",
)
RIGHT = {"correct": {"weight": 1.0}}
TRAINING = Experiment(
    name="training",
    title="Training in the wind tunnel",
    question="Does the reward beside correctness shorten at equal accuracy, and what does it do alone?",
    run=run_training,
    arms=tuple(
        Arm(name, label, {"reward": reward, "lr": 1e-4})
        for name, label, reward in (
            ("correctness", "correctness", RIGHT),
            ("sar", "correctness + 0.2 self-aligned", {**RIGHT, "self-aligned": {"weight": 0.2}}),
            ("sar-1", "correctness + 1.0 self-aligned", {**RIGHT, "self-aligned": {"weight": 1.0}}),
            ("o1-pruner", "correctness + 0.2 O1-pruner", {**RIGHT, "o1-pruner": {"weight": 0.2}}),
            ("alone", "self-aligned alone", {"self-aligned": {"weight": 1.0}}),
        )
    ),
    metrics=(
        Metric("accuracy", "held-out accuracy", higher_is_better=True, percent=True),
        Metric("length", "tokens", higher_is_better=False),
        Metric("log_length", "log of tokens", higher_is_better=False),
        Metric("sar", "self-aligned reward at the end"),
    ),
    checks=(
        Check("a weight of 0.2 shortens by 15 %", "log_length", "sar", "below", "correctness", -math.log(0.85)),
        Check("and keeps accuracy within 2 points", "accuracy", "sar", "within", "correctness", 0.02),
        Check("alone, it loses accuracy", "accuracy", "alone", "below", "correctness", 0.1),
    ),
    seeds=SEEDS,
    curves=(
        Curve("accuracy_course", "accuracy", f"step / {BLOCK}"),
        Curve("length_course", "tokens", f"step / {BLOCK}"),
        Curve("sar_course", "self-aligned reward", f"step / {BLOCK}"),
    ),
    limits="5,760 completions, the paper's runs have 384,000; a million parameters, chains of two or three operations.",
)
STUDY = Study(
    "self-aligned-reward",
    find("self-aligned-reward").claim,
    (CHAIN_RANKS, WORD_RANKS, TRAINING, GAMING),
    limits="The paper's 4 % of accuracy and 30 % of length on seven benchmarks, by models of 1 to 4 billion.",
)
