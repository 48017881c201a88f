"""What do the results say that the README repeats? Writes the part of README.md between its two markers.

python benchmarks/readme_figures.py            write it
python benchmarks/readme_figures.py --check    exit with 1 where it is not what the results say
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from measuring import RESULTS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
SIZES = {
    "tiny": "`tunnel-tiny`, 128 completions of 48 tokens",
    "vocabulary": "the same with SmolLM2's vocabulary of 49,152",
    "smollm2": "`smollm2-135m`, 16 completions of 48 tokens",
}


def result(name: str) -> dict[str, Any]:
    """Return a committed result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def figures() -> str:
    """Return the README's figures as Markdown."""
    trained, against, peak = (result(name) for name in ("default_training", "against_trl", "against_matmul_peak"))
    seeds = list(trained["seeds"].values())
    machine = against["environment"]["machine"]
    lines = [
        f"Measured on {machine['cores']} cores ({machine['processor']}), without a GPU; the files are in "
        "[benchmarks/results](benchmarks/results), the commands in each benchmark's first lines.",
        "",
        f"- The default training takes {span([s['seconds'] for s in seeds], '{:.0f}')} s and raises held-out accuracy "
        f"by {span([100 * s['gain'] for s in seeds], '{:.0f}')} points (seeds {', '.join(trained['seeds'])}).",
        f"- Of this machine's matrix-product rate, training reaches {peak['training']['share']:.0%} and generation "
        f"{peak['generation']['share']:.0%}.",
        f"- {survival()}",
        f"- {rewards()}",
        f"- {credit()}",
        f"- {metrics()}",
        f"- {decisions()}",
        "",
        f"| one GRPO step, against TRL {against['environment']['packages']['trl']} | times as fast | of its memory |",
        "|---|---|---|",
    ]
    for name, label in SIZES.items():
        found = against["settings"][name]
        lines.append(f"| {label} | {found['speed_ratio']:.2f} | {found['memory_ratio']:.0%} |")
    return "\n".join(lines)


def survival() -> str:
    """Return what killing, keeping and looking at runs costs."""
    kills, cost, page = result("kills"), result("checkpoint_cost"), result("report_speed")
    reading = result("reading_rollouts")
    equal = kills["runs"] - len(kills["unequal"])
    numbers = reading["seconds"]["all steps, numbers"]
    return (
        f"Of {kills['runs']} runs that were killed {kills['kills']} times in all, {equal} ended with the same bits as "
        f"one that was not. Checkpoints take {cost['share']:.1%} of the default training. A page with "
        f"{page['rollouts']:,} rollouts is written in {page['write_seconds']:.1f} s and has {page['megabytes']:.1f} "
        f"MB; the numbers of {reading['rollouts']:,} kept rollouts are read in {numbers:.1f} s."
    )


def rewards() -> str:
    """Return how fast answers are judged and files are scored."""
    verify, scored = result("verify_against_math_verify"), result("score_throughput")
    steps, whole = result("formal_steps"), scored["whole"]
    return (
        f"Answers are verified {verify['speedup']:.0f} times as fast as by math-verify, with the same verdict on "
        f"{verify['ordinary']['agreement']:.1%} of {verify['ordinary']['answers']:,} ordinary ones; a file of "
        f"{whole['rows']:,} completions is scored at {whole['rows_per_second']:,.0f} a second in "
        f"{whole['peak_megabytes']:.0f} MB; written steps are proved or refuted at {steps['claims_per_second']:,.0f} "
        "a second."
    )


def credit() -> str:
    """Return what credit, advantages, matching and continuations cost."""
    parts, matching = result("credit_and_advantages"), result("turn_matching")
    each = [*parts["credit_milliseconds"].values(), *parts["advantage_milliseconds"].values()]
    ratios = [found["ratio"] for found in parts["against_verl"].values()]
    forced = result("continuation_rollouts")["cases"]["forced answers"]
    return (
        f"Credit and advantages of {parts['batch']['rollouts']:,} completions of {parts['batch']['tokens']:,} tokens "
        f"take {span(each, '{:.0f}')} ms of processor time, each, and {span(ratios, '{:.0f}')} times less than verl's "
        f"where it has the same; tool calls are matched {matching['speedup']:.0f} times as fast as in a loop. Answers "
        f"forced after every step need {forced['times_fewer_tokens']:.0f} times fewer forward tokens than computed "
        "one by one."
    )


def metrics() -> str:
    """Return what metrics of probabilities, detectors and trace scores cost."""
    errors, detectors, traces = result("calibration_metrics"), result("detector_scores"), result("rank_surprisal")
    eps, against = result("expected_perturbation_score"), traces["against"]["sorting"]
    whole, drawn = errors["errors"], errors["bootstrap"]["bootstrap_speedup"]
    peers = span([found["ratio"] for found in whole["peers"].values()], "{:.0f}")
    return (
        f"The calibration error of {errors['rows']:,} predictions takes {whole['seconds']:.2f} s, {peers} times less "
        f"than other libraries take; its interval is resampled {drawn:,.0f} times as fast as "
        f"in a loop. A detector takes {detectors['ours_of_pytorch_ood']:.0%} of pytorch-ood's time. Traces are scored "
        f"{against['times_as_fast']:.1f} times as fast as in a loop that sorts the vocabulary, in "
        f"{against['memory']:.0%} of its memory; perturbed samples {eps['convolutions']['times_as_fast']:.1f} to "
        f"{eps['perceptron']['times_as_fast']:.0f} times as fast as one by one."
    )


def decisions() -> str:
    """Return what rankings, peer scores, allocations and exact games cost."""
    swiss, gossip, matching = result("swiss_tournaments"), result("gossip_simulation"), result("online_matching")
    hats = result("levine_hats")
    return (
        f"100,000 Swiss tournaments of 24 models take {swiss['seconds_T0']:.2f} s, {swiss['ratio_T0']:.0f} times less "
        f"than a loop; {gossip['scores_per_second'] / 1e6:.0f} million peer scores a second; "
        f"{gossip['goerli_events']:,.0f} events among 1,355 peers take {gossip['goerli_seconds']:.2f} s, the pure "
        f"model {gossip['ratio_floats']:.0f} times as long, or {gossip['ratio_exact']:.0f} on exact numbers. "
        f"Allocations are simulated {matching['ratio']:.0f} times as fast as in a loop. Searching for blocks of five "
        f"hats takes {hats['block_5_seconds']:.2f} s."
    )


def span(values: list[float], form: str) -> str:
    """Return the least and the most of some values."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def with_figures(text: str) -> str:
    """Return the README's text with its figures renewed."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures()}\n{END}{after}"


def main() -> None:
    """Write the figures, or check them."""
    text = README.read_text(encoding="utf-8")
    new = with_figures(text)
    if "--check" not in sys.argv[1:]:
        README.write_text(new, encoding="utf-8")
    elif new != text:
        sys.exit("README.md does not say what the results say; run: python benchmarks/readme_figures.py")


if __name__ == "__main__":
    main()
