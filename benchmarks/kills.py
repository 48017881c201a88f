"""Does a run that is killed again and again end where an uninterrupted one does, bit for bit?

A training process is killed with SIGKILL at random moments, wherever it is then: importing, sampling, updating,
writing a checkpoint. Each time it is resumed, until the run is done; then weights and metrics are compared with
those of a run that nobody killed. Runs follow one another until so many kills have happened. The recipe has what
could go wrong: a reward with a memory, one that draws random numbers, several updates a step, a KL penalty, and groups
that are sampled again.

    python benchmarks/kills.py [--kills 200]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import record

from scorecraft.lm.compiling import compile_loops

TIMES = ("seconds", "sampling_seconds", "tokens_per_second")
REWARD = '''\
from scorecraft.parts import register
from scorecraft.rewards.reward import Reward
from scorecraft.scores import Scores
import torch

@register("reward", "novelty")
class Novelty(Reward):
    """Pays for texts that were not seen before in this run: a reward with a memory."""

    def model_post_init(self, context):
        object.__setattr__(self, "_seen", {})

    def __call__(self, rollouts, context):
        values = []
        for text in rollouts.texts:
            self._seen[text] = self._seen.get(text, 0) + 1
            values.append(1.0 / self._seen[text])
        return Scores.of(torch.tensor(values))

    def state(self):
        return {"seen": dict(self._seen)}

    def restore(self, state):
        self._seen.clear()
        self._seen.update(state.get("seen", {}))
'''
RECIPE = """\
policy: {policy}
sampling: {{single-turn: {{group_size: 4, max_new_tokens: 12, filter_groups: resample}}}}
reward:
  novelty: {{}}
  noisy-verifier: {{false_positive: 0.3, false_negative: 0.2}}
optimizer: {{adamw: {{lr: 1.0e-3}}}}
prompts_per_step: 4
steps: 24
epochs: 2
minibatches: 2
kl: {{coefficient: 0.05}}
evaluate: {{every: 8, problems: 8}}
checkpoint: {{every: 2, keep: 2}}
save_rollouts: {{every: 2, max_rows: 8}}
"""
TRAIN = """\
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[3])
import novelty
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.train import train
from scorecraft.runs.store import RunStore
from pathlib import Path
recipe, run = Recipe.from_yaml(Path(sys.argv[1])), Path(sys.argv[2])
train(recipe, run, resume=(run / "recipe.yaml").is_file())
"""


def prepare(folder: Path) -> list[str]:
    """Write policy, reward and recipe; return the command that trains, without the run's folder."""
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

    Policy(tunnel_model(layers=1, width=32, heads=2), tunnel_tokenizer(), "small").save(folder / "policy")
    (folder / "novelty.py").write_text(REWARD)
    (folder / "recipe.yaml").write_text(RECIPE.format(policy=folder / "policy"))
    return [sys.executable, "-c", TRAIN, str(folder / "recipe.yaml")]


def outcome(run: Path) -> dict[str, Any]:
    """Return everything that must be equal: the digests of the final state, metrics, evaluations and rollouts."""
    import hashlib

    from scorecraft.runs.store import RunStore

    store = RunStore.open(run)
    found = store.load_checkpoint()
    if found is None:
        raise RuntimeError(f"{run}: no checkpoint at the end")
    step, folder = found
    files = ("policy/model.safetensors", "state.safetensors", "state.json")
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in store.read_metrics()]
    return {
        "step": step,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
        "metrics": rows,
        "evaluations": store.read_evaluations(),
        "rollouts": store.read_rollouts().to_pylist(),
    }


def run_killed(command: list[str], run: Path, folder: Path, longest: float, most: int, chance: random.Random) -> int:
    """Train to the end, killing at random moments of at most ``longest`` seconds; return the number of kills."""
    kills = 0
    while True:
        process = subprocess.Popen([*command, str(run), str(folder)], stderr=subprocess.PIPE, text=True)
        try:
            if kills >= most:
                process.wait()
            else:
                process.wait(chance.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        if process.returncode != 0:
            raise RuntimeError(f"the run could not go on after {kills} kills:\n{process.stderr.read()[-3000:]}")
        return kills


def main() -> None:
    """Kill, resume and compare until the number is reached; record what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance, kills, runs, unequal = random.Random(arguments.seed), 0, 0, []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        command = prepare(folder)
        # Else the first run takes far longer than the others, and hardly one of those would live until it is killed.
        compile_loops("cpu", "float32")
        start = time.perf_counter()
        subprocess.run([*command, str(folder / "whole"), str(folder)], check=True)
        whole_seconds = time.perf_counter() - start
        whole = outcome(folder / "whole")
        while kills < arguments.kills:
            run = folder / f"killed-{runs}"
            new = run_killed(command, run, folder, whole_seconds, arguments.kills - kills, chance)
            kills, runs = kills + new, runs + 1
            result = outcome(run)
            different = [name for name in whole if json.dumps(result[name]) != json.dumps(whole[name])]
            if different:
                unequal.append({"run": runs, "different": different})
            print(f"{kills} kills, {runs} runs, {len(unequal)} unequal", flush=True)
    record("kills", {"kills": kills, "runs": runs, "unequal": unequal, "whole_run_seconds": whole_seconds})
    sys.exit(bool(unequal))


if __name__ == "__main__":
    main()
