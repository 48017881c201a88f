"""`scorecraft rank-traces`: which teacher's traces, and which trace of each prompt, suit a student."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import clean, errors, output, plain
from scorecraft.cli.training import INTERRUPTED
from scorecraft.errors import ScorecraftError, ScorecraftWarning

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.distill.trace_file import ScoredTraces
    from scorecraft.distill.trace_selection import TeacherScore, TraceRecord


def rank_traces(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines: messages, or a prompt and a response, on each line.")
    ],
    student: Annotated[
        str, typer.Option("--student", metavar="MODEL", help="tunnel-tiny, smollm2-135m, a folder, or a hub name.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Records. Default: FILE.rank-surprisal.jsonl")
    ] = None,
    select: Annotated[
        Path | None, typer.Option("--select", metavar="FILE", help="Write the lowest-ratio row of each prompt here.")
    ] = None,
    per_teacher: Annotated[
        int | None,
        typer.Option("--per-teacher", metavar="N", min=1, help="Score N random rows of each teacher; 200 will do."),
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the prompt is.")] = None,
    response_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the response is.")] = None,
    teacher_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where it is said who wrote it.")] = None,
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="What is equal for traces of one prompt (default: the prompt).")
    ] = None,
    id_column: Annotated[str | None, typer.Option(metavar="NAME", help="Where the name of a trace is.")] = None,
    rank_clip: Annotated[int, typer.Option(metavar="N", min=1, help="The largest rank that counts.")] = 100,
    max_length: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of a trace that are kept.")] = 32768,
    tokens_per_batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Tokens that go through the student at a time.")
    ] = 2048,
    chat: Annotated[
        str, typer.Option("--chat", metavar="auto|always|never", help="Whether to render the chat template.")
    ] = "auto",
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="Where the student computes.")] = "cpu",
    dtype: Annotated[str, typer.Option("--dtype", metavar="NAME", help="float32, bfloat16 or float16.")] = "float32",
    shown: Annotated[int, typer.Option("--shown", metavar="N", min=0, help="Traces to show.")] = 5,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Rank traces by how well they suit a student: the Rank-Surprisal Ratio, low where there is something to learn.

    One forward pass of the student before training. Teachers are compared by their traces, and the best trace of each
    prompt can be written to a file to train on. Give right traces that others wrote: the student's own text scores well
    even where it is wrong. A stopped command goes on where it was when it is given again.

    \b
    scorecraft rank-traces traces.jsonl --student smollm2-135m
    scorecraft rank-traces traces.jsonl --student my-model/ --per-teacher 200
    scorecraft rank-traces traces.jsonl --student my-model/ --select best.jsonl
    """
    from scorecraft.distill.trace_encoding import TraceColumns
    from scorecraft.distill.trace_file import rows_per_teacher, write_rows
    from scorecraft.distill.trace_scoring import ScoringSettings
    from scorecraft.distill.trace_selection import rank_teachers, select_traces
    from scorecraft.runs.files import json_text

    if chat not in ("auto", "always", "never"):
        raise ScorecraftError(f"--chat: expected 'auto', 'always' or 'never', got '{chat}'")
    out = out or file.with_name(f"{file.stem}.rank-surprisal.jsonl")
    for path in (out, select):
        if path is not None and path.resolve() == file.resolve():
            raise ScorecraftError(f"{path}: this is the file of traces itself; choose another name")
    columns = TraceColumns(prompt_column, response_column, teacher_column, group_column, id_column)
    rows = rows_per_teacher(file, per_teacher, columns=columns) if per_teacher is not None else None
    settings = ScoringSettings(rank_clip, max_length, tokens_per_batch, chat=chat)  # pyright: ignore[reportArgumentType]
    try:
        found = _scored(file, out, (student, device, dtype), settings, columns, rows, show=not (quiet or json))
    except KeyboardInterrupt:
        errors().print("stopped; the same command goes on where this one was")
        raise typer.Exit(INTERRUPTED) from None
    if not found.records:
        raise ScorecraftError(
            f"{file}: no trace could be scored; row {found.dropped[0].row}: {found.dropped[0].reason}"
        )
    teachers = rank_teachers(found.records, None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ScorecraftWarning)
        chosen = select_traces(found.records)
    told = [str(one.message) for one in said if issubclass(one.category, ScorecraftWarning)]
    if select is not None:
        write_rows(file, {record.row for record in chosen}, select)
    if json:
        print(json_text(_as_data(found, teachers, chosen, out, select, told), indent=1))
        return
    console = output()
    _print_teachers(console, teachers)
    _print_traces(console, found.records, shown)
    _print_end(console, found, chosen, out, select, told)


def _scored(
    file: Path, out: Path, model: tuple[str, str, str], settings: Any, columns: Any, rows: Any, *, show: bool
) -> ScoredTraces:
    from scorecraft.cli.display import phase_bar
    from scorecraft.distill.trace_file import score_trace_file
    from scorecraft.distill.trace_scoring import TraceScorer
    from scorecraft.lm.policy import resolve_policy
    from scorecraft.tasks.chain_arithmetic import ChainArithmetic

    student, device, dtype = model
    with phase_bar(show=show) as progress:
        policy = resolve_policy(
            student, {}, ChainArithmetic.model_validate({}), device=device, dtype=dtype, progress=progress
        )
        scorer = TraceScorer(policy.model, policy.tokenizer, settings, name=policy.name)
        return score_trace_file(
            file, out, scorer, columns=columns, rows=rows,
            progress=lambda done, total: progress("traces", done, total),
        )  # fmt: skip


def _as_data(
    found: ScoredTraces, teachers: list[TeacherScore], chosen: list[TraceRecord], out: Path, select: Path | None,
    told: list[str],
) -> dict[str, Any]:  # fmt: skip
    return {
        "records": str(out),
        "selected": None if select is None else str(select),
        "student": found.records[0].student,
        "scored": len(found.records),
        "prompts": len(chosen),
        "dropped": [{"row": one.row, "reason": one.reason} for one in found.dropped],
        "teachers": [teacher._asdict() for teacher in teachers],
        "chosen": [record.row for record in chosen],
        "warnings": told,
    }


def _print_teachers(console: Console, teachers: list[TeacherScore]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("teacher", "ratio [95 %]", "mean rank", "surprisal, nats", "tokens", "traces"):
        table.add_column(name, justify="left" if name == "teacher" else "right", no_wrap=name != "teacher")
    for row in teachers:
        table.add_row(
            plain(row.teacher or "(not said)"), f"{row.rsr:.3f} [{row.low:.3f}, {row.high:.3f}]",
            f"{row.average_rank:.2f}", f"{row.average_surprisal:.3f}", f"{row.average_tokens:.0f}", f"{row.traces:,}",
        )  # fmt: skip
    console.print(table)


def _print_traces(console: Console, records: list[TraceRecord], shown: int) -> None:
    from rich.table import Table

    if not shown:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("row", "trace", "teacher", "ratio", "mean rank", "surprisal, nats", "tokens"):
        table.add_column(plain(name, "dim"), justify="left" if name in ("trace", "teacher") else "right")
    for record in sorted(records, key=lambda record: record.rsr)[:shown]:
        table.add_row(
            str(record.row), plain(record.id), plain(record.teacher), f"{record.rsr:.3f}", f"{record.average_rank:.2f}",
            f"{record.average_surprisal:.3f}", str(record.tokens),
        )  # fmt: skip
    console.print("\nlowest ratios")
    console.print(table)


def _print_end(
    console: Console, found: ScoredTraces, chosen: list[TraceRecord], out: Path, select: Path | None, told: list[str]
) -> None:
    records, dropped = found.records, found.dropped
    console.print(
        f"\n{len(records):,} traces of {len(chosen):,} prompts; a low ratio suits {clean(records[0].student)} better",
        soft_wrap=True,
    )
    cut, certain = sum(one.truncated for one in records), sum(one.degenerate for one in records)
    if cut:
        told = [*told, f"{cut:,} traces were cut off at the longest that is kept"]
    if certain:
        told = [*told, f"the student is certain of {certain:,} traces; there is nothing in them to learn"]
    if dropped:
        told = [*told, f"{len(dropped):,} rows have no score; row {dropped[0].row}: {dropped[0].reason}"]
    for text in told:
        console.print(plain(f"warning: {text}", "yellow"), soft_wrap=True)
    console.print(clean(f"records: {out}"), soft_wrap=True)
    if select is not None:
        console.print(clean(f"to train on: {select}"), soft_wrap=True)
