"""`scorecraft explain`: which tokens each credit method would reinforce, on rollouts that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import errors, output, plain
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.explaining.explain import Explanation
    from scorecraft.recipes.recipe import Recipe

# Colours of less and more, from faint to full.
_LESS, _MORE = ("#5a2a1f", "#8f3a1f", "#c8501e"), ("#163a5c", "#1d5a92", "#2379c4")


def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet or JSON Lines, a folder of such, or a run.")],
    credit: Annotated[
        list[str] | None,
        typer.Option("--credit", metavar="NAME", help="A credit method, or YAML with options; may be repeated."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="Gives the rewards and the task (default: below).")
    ] = None,
    row: Annotated[int, typer.Option("--row", min=1, help="Which rollout to print.")] = 1,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Read at most so many rollouts.")] = 512,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", metavar="FOLDER", help="Cuts completions (default: a token is a character)."),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option("--steps", metavar="HOW", help="line, sentence, tool-call, ... (default: as the task)."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="NAME", help="For methods that ask the policy: a built-in one or a folder."),
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the prompt is.")] = None,
    completion_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the completion is.")] = None,
    answer_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the true answer is.")] = None,
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="What is equal for completions of one prompt.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: FILE.explained")] = None,
    json: Annotated[bool, typer.Option("--json", help="Write the returns of every step as JSON, and no page.")] = False,
) -> None:
    """Show which tokens each credit method would reinforce, on rollouts of scorecraft, TRL, verl or lists of messages.

    Prints one rollout and writes a page on all of them, where any two methods stand side by side with their
    difference. A run's own recipe gives its rewards; for other files the answer is checked (correct) and every written
    step is (steps, or formal-steps where the task has no step checker), unless a recipe is given.

    \b
    scorecraft explain runs/default --credit min-form-credit --credit outcome
    scorecraft explain completions.parquet --credit 'reward-to-go: {form: mean}' --credit outcome
    scorecraft explain rollouts.jsonl --recipe mine.yaml --row 3
    """
    from scorecraft.explaining.credits import credits_of
    from scorecraft.explaining.explain import explain as explained
    from scorecraft.explaining.explain import write_page
    from scorecraft.rescoring.rows import Columns
    from scorecraft.runs.files import json_text

    credits = credits_of(credit or ["outcome", "min-form"])
    loaded = _recipe(recipe, file)
    columns = Columns(prompt_column, completion_column, answer_column, group_column)
    asked = None
    if policy is not None:
        from scorecraft.lm.policy import resolve_policy

        asked = resolve_policy(policy, {}, loaded.task)
    found = explained(
        file,
        credits,
        loaded,
        columns=columns,
        tokenizer=_tokenizer(tokenizer),
        policy=asked,
        steps=steps,
        rows=rows,
    )
    if row > len(found.rollouts):
        raise ScorecraftError(f"--row {row}: there are {len(found.rollouts)} rollouts")
    if json:
        print(json_text([_as_data(found, place) for place in range(len(found.rollouts))], indent=1))
        return
    console = output()
    for text in found.unreadable[:5]:
        errors().print(plain(f"not read: {text}", "yellow"), soft_wrap=True)
    _print(console, found, row - 1)
    page = write_page(found, loaded, out or file.with_name(f"{file.name}.explained"), file.name)
    console.print(plain(f"\npage: {page}"), soft_wrap=True)


def _recipe(name: str | None, file: Path) -> Recipe:
    """Return the recipe whose rewards are used: the one given, the run's own, or correct answers and right steps."""
    from scorecraft.recipes import ready
    from scorecraft.recipes.recipe import Recipe

    if name is not None:
        source = ready.find(name)
        if "task" not in source.data:
            source.data["task"] = "jsonl"
        return Recipe.from_source(source)
    if (file / "recipe.yaml").is_file():
        own = ready.find(str(file / "recipe.yaml"))
        recipe = Recipe.from_source(own)
        if "steps" not in recipe.reward and _checks_steps(recipe.task):
            own.data["reward"] = {**_as_mapping(own.data.get("reward")), "steps": {"weight": 0}}
            recipe = Recipe.from_source(own)
        return recipe
    return Recipe(task="jsonl", reward={"correct": {}, "formal-steps": {"weight": 0}})


def _as_mapping(reward: Any) -> dict[str, Any]:
    return {"correct": {}} if reward is None else {reward: {}} if isinstance(reward, str) else dict(reward)


def _checks_steps(task: Any) -> bool:
    from scorecraft.tasks.task import Task

    return type(task).check_steps is not Task.check_steps


def _tokenizer(name: str | None) -> Any:
    if name is None:
        return None
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ScorecraftError(f"--tokenizer: '{name}' is no tokenizer ({str(error).splitlines()[0]})") from None
    if not getattr(found, "is_fast", False):
        raise ScorecraftError(f"--tokenizer: '{name}' does not say where in the text its tokens stand; take a fast one")
    return found


def _as_data(found: Explanation, row: int) -> dict[str, Any]:
    rollouts, rewards = found.rollouts, found.rewards
    return {
        "row": row + 1,
        "prompt": rollouts.problem_of[row].prompt,
        "completion": rollouts.texts[row],
        "reward": float(rewards.total[row]) if rewards.valid[row] else None,
        "steps": [{"text": text, **means} for text, means in found.steps(row)],
    }


def _print(console: Console, found: Explanation, row: int) -> None:
    from rich.table import Table
    from rich.text import Text

    rollouts, rewards = found.rollouts, found.rewards
    total = f"{float(rewards.total[row]):g}" if rewards.valid[row] else "none"
    console.print(plain(f"rollout {row + 1} of {len(rollouts)}, reward {total}", "bold"))
    full = max((float(table.abs().max()) for table in found.returns.values() if table.numel()), default=0.0) or 1.0
    for name, table in found.returns.items():
        text = Text()
        for token, value in zip(
            rollouts.tokens[row, : rollouts.lengths[row]].tolist(), table[row].tolist(), strict=False
        ):
            text.append_text(plain(found.token_texts.get(token, "?"), _style(value / full)))
        console.print(plain(f"\n{name}", "bold"))
        console.print(text, soft_wrap=True)
    steps = found.steps(row)
    if not steps:
        console.print("\nno step was found in it")
        return
    names = list(found.returns)
    grid = Table(box=None, pad_edge=False)
    grid.add_column("step", overflow="ellipsis", no_wrap=True, max_width=48)
    for name in names:
        grid.add_column(plain(name), justify="right")
    if len(names) == 2:
        grid.add_column("difference", justify="right")
    for text, means in steps:
        difference = [f"{means[names[0]] - means[names[1]]:+.3g}"] if len(names) == 2 else []
        grid.add_row(plain(" ".join(text.split())), *(f"{means[name]:+.3g}" for name in names), *difference)
    console.print()
    console.print(grid)


def _style(share: float) -> str:
    """Return the colours of a token by its return, as a share of the largest."""
    if abs(share) < 0.05:
        return ""
    shades = _MORE if share > 0 else _LESS
    return f"white on {shades[min(2, int(abs(share) * 3))]}"
