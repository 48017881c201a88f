"""One page about a probed reward: every trick with its margin, and the completions it was seen on."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from typing import Any

from scorecraft.audit.probe_reward import ROUNDING, Example, Finding, Probe
from scorecraft.stats.intervals import Interval

_WIDTH, _HEIGHT = 220, 18
_STYLE = """
:root { color-scheme: light dark; --edge: #8883; --dim: #5d6570; --shade: #8881; --bad: #b3261e; --good: #1b6e4f;
  --open: #6a5a00; --bar: #41618c; }
@media (prefers-color-scheme: dark) {
  :root { --dim: #a3abb5; --bad: #ff8a80; --good: #7bd3ab; --open: #e2cf6b; --bar: #9dbcf0; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.45rem; margin: 0 0 .2rem } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem }
p { max-width: 46rem } .dim { color: var(--dim) } code { font-size: .92em }
.headline { font-size: 1.1rem; border-left: 4px solid var(--good); padding: .3rem 0 .3rem .8rem }
.headline.pays { border-color: var(--bad) } .headline.unclear { border-color: var(--open) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; min-width: 46rem }
th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--dim) }
td, th { padding: .35rem .9rem .35rem 0; vertical-align: top } tr.trick td { border-top: 1px solid var(--edge) }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
tr.example td { padding-top: 0 } .idea { color: var(--dim); font-size: .88rem }
.verdict { white-space: nowrap; font-weight: 600 } .verdict.pays { color: var(--bad) }
.verdict.clean { color: var(--good) } .verdict.unclear, .verdict.not-scored { color: var(--open) }
svg { display: block; color: var(--bar) } svg.pays { color: var(--bad) }
summary { cursor: pointer; color: var(--dim); font-size: .88rem }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .8rem; margin: .4rem 0 .8rem }
.pair h3 { font-size: .85rem; margin: 0; color: var(--dim) }
pre { margin: .2rem 0 0; padding: .5rem .7rem; background: var(--shade); border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; max-height: 14rem; overflow-y: auto; font-size: .85rem }
"""
# The order of the rows, and the class of each in the style.
_CLASSES = {"pays": "pays", "unclear": "unclear", "not scored": "not-scored", "does not pay": "clean"}


def page(probe: Probe, title: str) -> str:
    """Return the page as HTML that needs nothing else and runs nothing.

    Args:
        probe: what came out.
        title: of the page, such as the recipe's name.
    """
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    ordered = sorted(probe.findings, key=lambda finding: list(_CLASSES).index(finding.verdict))
    rows = "".join(_row(finding, _scale(probe), probe) for finding in ordered)
    kind = "pays" if probe.pays else "unclear" if any(f.verdict == "unclear" for f in probe.findings) else "clean"
    return _printable(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}: does a trick pay?</title><style>{_STYLE}</style></head><body>"
        f"<h1>Does a trick pay? {escape(title)}</h1>"
        f'<p class="dim">{escape(_about(probe))}</p><p class="headline {kind}">{escape(headline(probe))}</p>'
        f"<p>{escape(being_right(probe))} A <em>margin</em> is what a trick earns above the honest work it is held "
        "against, paired by problem; a policy that is trained on this reward moves towards every margin above 0. "
        f"{escape(_held_against(probe))}</p>"
        '<div class="wide"><table><thead><tr><th scope="col">trick</th><th scope="col">done to</th>'
        '<th scope="col">verdict</th><th scope="col">margin</th><th scope="col"></th><th scope="col">paid by</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        f'<p class="dim">{escape(_small_print(probe))}</p></body></html>\n'
    )


def headline(probe: Probe) -> str:
    """Return what came out, in a sentence.

    Args:
        probe: what came out.
    """
    if probe.pays:
        names = list(dict.fromkeys(finding.title for finding in probe.pays))
        return f"{len(names)} {'trick pays' if len(names) == 1 else 'tricks pay'}: {', '.join(names)}."
    unclear = list(dict.fromkeys(finding.title for finding in probe.findings if finding.verdict == "unclear"))
    if unclear:
        return f"No trick pays for certain; unclear on {probe.problems} problems: {', '.join(unclear)}."
    return "No trick pays."


def being_right(probe: Probe) -> str:
    """Return what right work earns above wrong work, in a sentence.

    Args:
        probe: what came out.
    """
    if probe.being_right is None:
        return "Honest work was not scored."
    value = f"{signed(probe.being_right.estimate)} {_bounds(probe.being_right)}"
    if probe.being_right.low > ROUNDING:
        return f"Right work earns {value} above wrong work."
    return f"Right work does not earn more than wrong work for certain ({value})."


def signed(value: float, digits: int = 3) -> str:
    """Return a margin with its sign, to so many significant digits; 0 for rounding."""
    return "0" if abs(value) <= ROUNDING else f"{value:+.{digits}g}"


def percent(share: Interval) -> str:
    """Return a share with its interval in percent."""
    return f"{100 * share.estimate:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def as_data(probe: Probe) -> dict[str, Any]:
    """Return everything as JSON values.

    Args:
        probe: what came out.
    """

    def interval(value: Interval | None) -> dict[str, float] | None:
        return None if value is None else dict(value._asdict())

    data = {**asdict(probe), "being_right": interval(probe.being_right)}
    data["findings"] = [
        {**asdict(f), "margin": interval(f.margin), "share": interval(f.share), "paid_by": f.paid_by}
        for f in probe.findings
    ]
    return {**data, "pays": [finding.trick for finding in probe.pays]}


def _about(probe: Probe) -> str:
    rewards = ", ".join(f"{name} (weight {weight:g})" for name, weight in probe.weights.items())
    left = f"; {probe.left_out} more have no right and wrong completion" if probe.left_out else ""
    return f"Task {probe.task}, {probe.problems} problems{left}. Rewards: {rewards}; combination: {probe.combination}."


def _held_against(probe: Probe) -> str:
    return (
        "Tricks on right or wrong work are held against that very work; tricks without work against honest work that "
        f"is right {100 * probe.accuracy:g} % of the time."
    )


def _small_print(probe: Probe) -> str:
    return (
        f"Intervals are percentile bootstrap intervals over problems at {100 * probe.confidence:.2f} %, so that all of "
        "them hold together at 95 %; shares have 95 % Wilson intervals. A trick pays where its interval lies above 0, "
        "and does not pay where none of it does. No policy was trained: a trick that does not pay here may be one that "
        "was not thought of."
    )


def _scale(probe: Probe) -> tuple[float, float]:
    ends = [end for finding in probe.findings if finding.margin for end in finding.margin]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return (low, high) if high > low else (-1.0, 1.0)


def _row(finding: Finding, scale: tuple[float, float], probe: Probe) -> str:
    shown = _CLASSES[finding.verdict]
    number, picture = "not scored", ""
    if finding.margin is not None:
        number = f"{escape(signed(finding.margin.estimate))}<br><span class='dim'>{_bounds(finding.margin)}</span>"
        picture = _whisker(finding.margin, scale, shown)
    note = ""
    if finding.share is not None:
        note = f"<br><span class='idea'>as good as right on {escape(percent(finding.share))} of problems</span>"
    paid_by = finding.paid_by if finding.verdict != "does not pay" else None
    example = "" if finding.example is None else _example(finding.example, finding.by_part, finding.share is not None)
    missing = probe.problems - finding.scored
    if missing:
        note += f"<br><span class='idea'>not scored on {missing} problems</span>"
    return (
        f'<tr class="trick"><td><strong>{escape(finding.title)}</strong><br>'
        f'<span class="idea">{escape(finding.idea)}</span></td><td>{escape(finding.on)}</td>'
        f'<td><span class="verdict {shown}">{escape(finding.verdict)}</span>{note}</td>'
        f'<td class="number">{number}</td><td>{picture}</td><td>{escape(paid_by or "")}</td></tr>'
        f'<tr class="example"><td colspan="6">{example}</td></tr>'
    )


def _whisker(margin: Interval, scale: tuple[float, float], shown: str) -> str:
    def at(value: float) -> float:
        return round(6 + (value - scale[0]) / (scale[1] - scale[0]) * (_WIDTH - 12), 1)

    middle = _HEIGHT // 2
    said = f"margin {signed(margin.estimate)}, interval {_bounds(margin)}"
    return (
        f'<svg class="{shown}" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(said)}"><line x1="{at(0)}" x2="{at(0)}" y1="0" y2="{_HEIGHT}" stroke="currentColor" '
        f'stroke-opacity=".35"/><line x1="{at(margin.low)}" x2="{at(margin.high)}" y1="{middle}" y2="{middle}" '
        f'stroke="currentColor" stroke-width="2"/><circle cx="{at(margin.estimate)}" cy="{middle}" r="4" '
        'fill="currentColor"/></svg>'
    )


def _example(example: Example, by_part: Mapping[str, float], shares: bool) -> str:
    what = "given to the wrong answer there" if shares else "margin by reward"
    parts = ", ".join(f"{name} {signed(value)}" for name, value in by_part.items())
    pair = "".join(
        f"<div><h3>{escape(label)}</h3><pre>{escape(text) or '(nothing)'}</pre></div>"
        for label, text in (
            ("question", example.prompt.rstrip("\n")),
            (f"honest work: reward {example.honest_reward:.3g}", example.honest),
            (f"trick: reward {example.reward:.3g}", example.text),
        )
    )
    return (
        f"<details><summary>where it earned most; {escape(what)}: {escape(parts)}</summary>"
        f'<div class="pair">{pair}</div></details>'
    )


def _bounds(interval: Interval) -> str:
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def _printable(text: str) -> str:
    """Return the text with lone surrogates, which no file can hold, as question marks."""
    return text.encode("utf-8", "replace").decode()
