"""`scorecraft gossip`: is a peer score safe, how is it cheated, and what would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import output, plain
from scorecraft.errors import ScorecraftError, require

if TYPE_CHECKING:
    from rich.console import Console

    from scorecraft.gossip.attack import AttackPlan
    from scorecraft.gossip.attack_simulation import NetworkAttack
    from scorecraft.gossip.parameters import PeerScoreConfig
    from scorecraft.gossip.properties import Verdict, Witness
    from scorecraft.gossip.repair import Repair

UNSAFE = 1
app = typer.Typer(
    help="Audit GossipSub peer scores: check, attack and fix the parameters that peers are scored with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Params = Annotated[
    str, typer.Argument(metavar="PARAMS", help="A file (JSON, Go, Rust), or a name that 'gossip params' lists.")
]
Subnets = Annotated[int, typer.Option(metavar="N", min=1, help="Subnets of 'ethereum-paper'.")]
Validators = Annotated[int, typer.Option(metavar="N", min=1, help="Active validators of 'lighthouse' and 'prysm'.")]


class SemanticsName(StrEnum):
    """Whose reading of the score."""

    SPEC = "spec"
    ACL2S = "acl2s"


class BackendName(StrEnum):
    """How a property is checked."""

    CLOSED_FORM = "closed_form"
    SMT = "smt"
    GRID = "grid"
    HYPOTHESIS = "hypothesis"


class Aim(StrEnum):
    """What must not pay any more."""

    OFFENCES = "offences"
    SILENCE = "silence"


Reading = Annotated[
    SemanticsName,
    typer.Option("--semantics", help="The specification's score, or that of the published ACL2s model."),
]


def read_params(params: str, subnets: int, validators: int) -> PeerScoreConfig:
    """Return the parameters of a file or by a name; raises `ScorecraftError` where there is neither.

    Args:
        params: path or name.
        subnets: of the paper's Ethereum.
        validators: of Lighthouse and Prysm.
    """
    from scorecraft.errors import nearest
    from scorecraft.gossip.parameter_files import KNOWN, known_config, load_params

    if params in KNOWN:
        return known_config(params, subnets=subnets, validators=validators)
    if not Path(params).exists() and not Path(params).suffix:
        raise ScorecraftError(f"'{params}' is neither a file nor a known name; {nearest(params, KNOWN)}")
    return load_params(params)


@app.command("params", short_help="List known parameters, or print some to start from.")
def params(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print these as JSON.")] = None,
    subnets: Subnets = 12,
    validators: Validators = 500_000,
) -> None:
    """List the parameters that are known by name, or print some as JSON, to be changed and checked.

    \b
    scorecraft gossip params
    scorecraft gossip params filecoin > mine.json
    """
    from scorecraft.gossip.parameter_files import KNOWN, as_values, known_config
    from scorecraft.runs.files import json_text

    if name is None:
        for known in KNOWN:
            print(known)
        return
    print(json_text(as_values(known_config(name, subnets=subnets, validators=validators)), indent=1))


@app.command("check", short_help="See whether a peer score can be cheated.")
def check(
    params: Params,
    backend: Annotated[
        list[BackendName] | None, typer.Option("--backend", help="How to check; several times for several ways.")
    ] = None,
    semantics: Reading = SemanticsName.SPEC,
    subnets: Subnets = 12,
    validators: Validators = 500_000,
    quiet: Annotated[bool, typer.Option("--quiet", help="Draw no progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Check five properties of a peer score, for all counters that a peer can have; the exit code is 1 if one fails.

    Topic scores are added, so a peer may misbehave in one topic and be paid for it by the others. Each failure comes
    with a witness: what the peer does, where, and the score it keeps, replayed in exact arithmetic.

    \b
    scorecraft gossip check filecoin
    scorecraft gossip check ethereum-paper --subnets 3 --backend smt
    scorecraft gossip check pubsub.go
    scorecraft gossip check mine.json --backend closed_form --backend smt --json
    """
    from scorecraft.cli.display import phase_bar
    from scorecraft.gossip.attack import max_silent_topics
    from scorecraft.gossip.properties import PROPERTIES, check_property

    config = read_params(params, subnets, validators)
    backends = [one.value for one in backend or [BackendName.CLOSED_FORM]]
    verdicts: list[Verdict] = []
    with phase_bar(show=not (quiet or json)) as progress:
        steps = [(prop, one) for prop in PROPERTIES for one in backends]
        for done, (prop, one) in enumerate(steps):
            progress(f"{prop} by {one}", done, len(steps))
            verdicts.append(check_property(config, prop, one, semantics=semantics.value))  # pyright: ignore[reportArgumentType]
    silent = max_silent_topics(config, semantics=semantics.value)
    if json:
        from scorecraft.runs.files import json_text

        print(json_text({"params": params, "topics": len(config.topics), "silent_topics": silent,
                         "verdicts": [as_data(one) for one in verdicts]}, indent=1))  # fmt: skip
    else:
        _print_verdicts(output(), params, config, verdicts, silent)
    if any(one.holds is False for one in verdicts):
        raise typer.Exit(UNSAFE)


@app.command("attack", short_help="Write the attack that a peer score does not see.")
def attack(
    params: Params,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", metavar="NAME", help="Attack this topic; may be repeated.")
    ] = None,
    topics: Annotated[
        int | None, typer.Option("--topics", metavar="N", min=1, help="Attack so many; default: as many as go unseen.")
    ] = None,
    beat: Annotated[float, typer.Option(metavar="SECONDS", help="Between heartbeats of the victim.")] = 18.0,
    messages: Annotated[int, typer.Option(metavar="N", min=0, help="A beat, in each topic that is served.")] = 20,
    sent: Annotated[
        int, typer.Option(metavar="N", min=0, help="A beat, in each topic attacked: 0 stops it, more throttles it.")
    ] = 0,
    beats: Annotated[int, typer.Option(metavar="N", min=1, help="Heartbeats.")] = 50,
    semantics: Reading = SemanticsName.SPEC,
    subnets: Subnets = 12,
    validators: Validators = 500_000,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write a page with pictures here.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="Write the events here, a JSON list a line.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", metavar="N", min=10, help="Play it in a random network of so many peers.")
    ] = None,
    edges: Annotated[
        Path | None, typer.Option("--edges", metavar="FILE", help="Play it in this network: two node numbers a line.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Draw no progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Write an attack by silence: nothing, or little, in some topics, and good service in all others.

    The victim's counters are replayed exactly, heartbeat after heartbeat. With --nodes or --edges it is also played in
    a simulated network, in which all neighbours of node 0 take part, for six heartbeats. This is for those who set the
    parameters: it shows what their score does not see, and talks to no real network.

    \b
    scorecraft gossip attack ethereum-paper --topics 3 --page attack.html
    scorecraft gossip attack ethereum-paper --subnets 3 --topic SUB1 --sent 1 --semantics acl2s
    scorecraft gossip attack mine.json --events events.jsonl
    scorecraft gossip attack ethereum-paper --topics 3 --nodes 500
    """
    from scorecraft.gossip.attack import max_silent_topics, synthesise_attack
    from scorecraft.gossip.parameters import exact

    config = read_params(params, subnets, validators)
    chosen: int | list[str] = list(topic) if topic else topics or max(
        1, min(max_silent_topics(config, semantics=semantics.value), len(config.topics) - 1)
    )  # fmt: skip
    plan = synthesise_attack(
        config, chosen, exact(beat, "beat"), messages, beats=beats, sent=sent, semantics=semantics.value
    )
    network = _in_network(config, plan, nodes, edges, beat, show=not (quiet or json))
    if page is not None:
        from scorecraft.report.gossip_page import page as page_of

        _write(page, page_of(plan, params, beat))
    if events is not None:
        from scorecraft.runs.files import json_text

        _write(events, "".join(json_text(_plain(event)) + "\n" for event in plan.events))
    if json:
        from scorecraft.runs.files import json_text

        played = {} if network is None else {
            "network": {"events": network.events, "positive": network.positive, "below_zero": network.below}
        }  # fmt: skip
        print(json_text(plan_data(plan) | played, indent=1))
        return
    _print_plan(output(), plan, page, events)
    if network is not None:
        output().print(plain(
            f"in the network: {network.scores.shape[1]} neighbours, {network.events:,} events; from the third "
            f"heartbeat on {network.positive:.0%} of their scores are above zero, and {network.below:.0%} of them were "
            "ever below"
        ))  # fmt: skip


@app.command("fix", short_help="Find the nearest safe weights, and prove them.")
def fix(
    params: Params,
    against: Annotated[
        Aim, typer.Option("--against", help="Every smallest offence must cost enough, or silence in a topic alone.")
    ] = Aim.OFFENCES,
    semantics: Reading = SemanticsName.SPEC,
    subnets: Subnets = 12,
    validators: Validators = 500_000,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the new parameters here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Write everything as one JSON object.")] = False,
) -> None:
    """Find the nearest weights under which nothing bad is paid for by other topics, and prove them with z3.

    All good weights may shrink by one factor and bad ones grow; of all ways, the one with the least change on a
    logarithmic scale is taken. What weights alone cannot mend is said.

    \b
    scorecraft gossip fix ethereum-paper --subnets 3 --out safe.json
    scorecraft gossip fix filecoin --against offences
    """
    from scorecraft.gossip.parameter_files import as_values
    from scorecraft.gossip.repair import repair
    from scorecraft.runs.files import json_text

    config = read_params(params, subnets, validators)
    found = repair(config, against.value, semantics=semantics.value)
    if out is not None:
        _write(out, json_text(as_values(found.config), indent=1) + "\n")
    if json:
        changes = [
            {"topic": one.topic, "name": one.name, "before": float(one.before), "after": float(one.after)}
            for one in found.changes
        ]
        print(json_text({"changes": changes, "proofs": [as_data(one) for one in found.proofs],
                         "open": list(found.open), "params": as_values(found.config)}, indent=1))  # fmt: skip
        return
    _print_repair(output(), found, out)


def _in_network(
    config: PeerScoreConfig, plan: AttackPlan, nodes: int | None, edges: Path | None, beat: float, *, show: bool
) -> NetworkAttack | None:
    """Return what became of the attack in a network, where one was asked for."""
    if nodes is None and edges is None:
        return None
    if nodes is not None and edges is not None:
        raise ScorecraftError("give either --nodes or --edges")
    require("numba", "gossip", "simulating a network")
    from scorecraft.cli.display import phase_bar
    from scorecraft.compiling import compiling_told
    from scorecraft.gossip.attack_simulation import simulate_attack
    from scorecraft.gossip.topologies import random_graph, read_edges

    if edges is not None:
        graph = read_edges(edges)
    else:
        people = nodes or 0
        graph = random_graph(people, min(7, (people - 1) // 2) * people)
    with phase_bar(show=show) as progress, compiling_told(lambda said: progress(said, 0, 1)):
        progress("network", 0, 1)
        return simulate_attack(config, graph, plan.attacked, beat_s=beat)


def as_data(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as data.

    Args:
        verdict: of a check.
    """
    witness = verdict.witness
    return {
        "property": verdict.prop, "backend": verdict.backend, "holds": verdict.holds,
        "margin": None if verdict.margin is None else float(verdict.margin), "seconds": verdict.seconds,
        "trivial": verdict.trivial, "note": verdict.said,
        "witness": None if witness is None else {
            "topic": witness.topic, "said": witness.said, "topic_score": float(witness.topic_score),
            "score": float(witness.score),
            "counters": {
                name: {key: str(value) for key, value in own._asdict().items()}
                for name, own in witness.topics.items()
            },
        },
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Return an event with numbers that JSON knows."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Fraction) else value


def plan_data(plan: AttackPlan) -> dict[str, Any]:
    """Return an attack as data, without its events.

    Args:
        plan: the attack.
    """
    return {
        "attacked": list(plan.attacked),
        "sustained": plan.sustained,
        "violations": plan.violations,
        "heartbeats": [
            {
                "seconds": float(beat.seconds), "score": float(beat.score),
                "topics": {name: float(value) for name, value in beat.topics.items()},
            }
            for beat in plan.predicted_scores
        ],
    }  # fmt: skip


def in_words(prop: str, witness: Witness) -> str:
    """Return a counterexample in plain words.

    Args:
        prop: the property it breaks.
        witness: the counterexample.
    """
    own, score = f"{float(witness.topic_score):.4g}", f"{float(witness.score):.4g}"
    if prop == "P1":
        return f"{witness.said} in {witness.topic}, which costs it {own} there; the other topics lift it to {score}"
    if prop == "silent":
        return f"{witness.said} in {witness.topic}, and has {own} points there"
    return f"in {witness.topic} {witness.said} ({score})"


def _print_verdicts(
    console: Console, params: str, config: PeerScoreConfig, verdicts: Sequence[Verdict], silent: int
) -> None:
    from scorecraft.gossip.properties import PROPERTIES

    bad = any(one.holds is False for one in verdicts)
    console.print(plain(f"{params}: {len(config.topics)} topics; {'NOT SAFE' if bad else 'safe'}"))
    for one in verdicts:
        mark = {True: "holds", False: "FAILS", None: "unknown"}[one.holds]
        style = {True: "green", False: "red", None: "yellow"}[one.holds]
        margin = "" if one.margin is None or one.prop in {"P3", "P4"} else f", by {abs(float(one.margin)):.4g} points"
        console.print(plain(f"\n{one.prop}  {mark}{margin}  [{one.backend}, {one.seconds:.2f} s]", style=style))
        console.print(plain(f"  {PROPERTIES[one.prop]}"))
        if one.witness is not None:
            console.print(plain(f"  {in_words(one.prop, one.witness)}"))
        if one.said:
            console.print(plain(f"  {one.said}", style="dim"))
    told = "in none" if silent == 0 else f"in up to {silent} of {len(config.topics)}"
    console.print(plain(f"\ntopics in which a peer can be silent and keep a positive score: {told}"))
    if silent:
        console.print(plain("'scorecraft gossip attack' shows how, 'scorecraft gossip fix' what would mend it"))


def _print_plan(console: Console, plan: AttackPlan, page: Path | None, events: Path | None) -> None:
    from scorecraft.report.gossip_page import rows, verdict

    console.print(plain(f"attacked: {', '.join(plan.attacked)}"))
    console.print(plain(verdict(plan)))
    titles, lines = rows(plan)
    _table(console, titles, lines)
    if len(plan.predicted_scores) > len(lines):
        console.print(plain(f"... {len(plan.predicted_scores) - len(lines)} more heartbeats", style="dim"))
    for name, file in (("page", page), ("events", events)):
        if file is not None:
            console.print(plain(f"{name}: {file}"))


def _print_repair(console: Console, found: Repair, out: Path | None) -> None:
    if not found.changes:
        console.print("no weight has to change")
    groups: dict[tuple[str, float, float], list[str]] = {}
    for one in found.changes:
        groups.setdefault((one.name, float(one.before), float(one.after)), []).append(one.topic or "all together")
    _table(
        console, ("topics", "parameter", "before", "after"),
        [
            (f"{names[0]} and {len(names) - 1} more" if len(names) > 2 else ", ".join(names), name, f"{a:g}", f"{b:g}")
            for (name, a, b), names in groups.items()
        ],
    )  # fmt: skip
    proved = ", ".join(one.prop for one in found.proofs if one.holds)
    console.print(plain(f"proved by z3: {proved or 'nothing'}"))
    for one in found.proofs:
        if one.holds is not True:
            console.print(plain(f"{one.prop}: {'fails' if one.holds is False else 'not known'}", style="yellow"))
    for one in found.open[:3]:
        console.print(plain(one, style="yellow"))
    if len(found.open) > 3:
        console.print(plain(f"... and {len(found.open) - 3} topics more", style="yellow"))
    if out is not None:
        console.print(plain(f"parameters: {out}"))


def _write(path: Path, text: str) -> None:
    from scorecraft.runs.files import replace_text

    if not path.parent.is_dir():
        raise ScorecraftError(f"{path}: there is no folder '{path.parent}'; make it, or choose another place")
    replace_text(path, text)


def _table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(plain(title), overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    console.print(table)
