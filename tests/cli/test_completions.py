from __future__ import annotations

import io
import math

import torch
from rich.console import Console

from scorecraft.cli.completions import FORCED, completion, print_completions, shade, verdict
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

TEXT = "1+2=4\n#4"
TASK = ChainArithmetic(operations=(1, 1))


def rollouts(text=TEXT, forced=()):
    ids = torch.tensor([[ord(character) for character in text]])
    mask = torch.tensor([[position not in forced for position in range(len(text))]])
    logprobs = torch.full(ids.shape, math.log(0.5)) * mask
    return Rollouts(
        tokens=ids,
        mask=mask,
        logprobs=logprobs,
        entropies=torch.zeros(ids.shape),
        steps=torch.zeros_like(ids),
        turns=torch.zeros_like(ids),
        lengths=torch.tensor([len(text)]),
        group=torch.tensor([0]),
        truncated=torch.tensor([True]),
        texts=(text,),
        notes=({},),
        prompt_tokens=torch.zeros((1, 1), dtype=torch.int64),
        prompt_lengths=torch.tensor([1]),
        problems=(Problem("1+2=?\n", "3", metadata=TASK.problem("train", 0).metadata),),
    )


def test_tokens_are_shaded_by_probability():
    assert [shade(p) for p in (1.0, 0.9, 0.89, 0.3, 0.29, 0.1, 0.0)] == [
        "", "", "green", "yellow", "dark_orange", "dark_orange", "bold red",
    ]  # fmt: skip


def test_forced_text_has_its_own_style_and_guillemets_without_colour():
    drawn = rollouts(forced=(0, 1, 7))
    coloured = completion(drawn, 0, chr, coloured=True)
    assert coloured.plain == TEXT
    assert [span.style for span in coloured.spans[:3]] == [FORCED, FORCED, "yellow"]
    assert completion(drawn, 0, chr, coloured=False).plain == "«1+»2=4\n#«4»"


def test_what_the_model_wrote_is_neither_markup_nor_escape():
    text = completion(rollouts("[red]x\x1b[2J[/red]"), 0, chr, coloured=True)
    assert text.plain == "[red]x[2J[/red]"


def test_the_verdict_names_the_answer_and_labels_the_steps():
    problem = TASK.problem("train", 0)
    right = verdict(TASK, problem, problem.gold).plain.splitlines()
    assert right[0] == f"✓ scored, score 1, answer read: {problem.answer}"
    assert all(line.startswith("  ✓ correct") for line in right[1:])
    assert len(right) == 3
    wrong = verdict(TASK, problem, "#999999").plain.splitlines()
    assert wrong[0] == f"✗ scored, score 0, answer read: 999999, expected {problem.answer}"
    assert verdict(TASK, problem, "hm").plain.splitlines() == [
        f"✗ unparsed, score 0, no answer found, expected {problem.answer}",
        "  ? off-topic  hm",
    ]


def test_completions_are_printed_under_their_prompt():
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)
    print_completions(console, rollouts(), chr, None)
    assert console.file.getvalue() == f"\n1+2=?\n{TEXT}\ncut off by max_new_tokens\n"
