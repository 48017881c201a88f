"""Files of peer-score parameters: JSON, and struct literals in the sources of Go and Rust clients."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.gossip.client_formulas import lighthouse, prysm
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.literals import Literal as Struct
from scorecraft.gossip.literals import constants, struct_literals, value_of
from scorecraft.gossip.parameters import PeerScoreConfig, RouterParameters, TopicParameters, exact

Format: TypeAlias = Literal["auto", "json", "go-libp2p", "lotus", "lighthouse", "prysm"]
KNOWN = ("ethereum-paper", "filecoin", "filecoin-paper", "lighthouse", "prysm", "prysm-mesh-scored", "two-topics")
_TOPIC = tuple(field.name for field in fields(TopicParameters))
_WHOLE = tuple(field.name for field in fields(PeerScoreConfig) if field.name not in {"topics", "router"})
_ROUTER = tuple(field.name for field in fields(RouterParameters))
# Fields of the clients that are not part of the score as it is modelled.
_IGNORED = {
    "skip_atomic_validation", "app_specific_score", "ip_colocation_factor_whitelist", "seen_msg_ttl", "topics",
    "slow_peer_weight", "slow_peer_threshold", "slow_peer_decay",
}  # fmt: skip


def known_config(name: str, *, subnets: int = 12, validators: int = 500_000) -> PeerScoreConfig:
    """Return a configuration by its name.

    Args:
        name: "ethereum-paper", "filecoin" (with the beacon's topic) or "filecoin-paper" (without), "lighthouse",
            "prysm", "prysm-mesh-scored" (its switch on), "two-topics".
        subnets: of "ethereum-paper".
        validators: of Lighthouse and Prysm.

    Raises `ScorecraftError` for another name.
    """
    makers = {
        "ethereum-paper": lambda: ethereum(subnets), "filecoin": lambda: filecoin(drand=True),
        "filecoin-paper": filecoin, "lighthouse": lambda: lighthouse(validators), "prysm": lambda: prysm(validators),
        "prysm-mesh-scored": lambda: prysm(validators, mesh_scored=True), "two-topics": two_topics,
    }  # fmt: skip
    if name not in makers:
        raise ScorecraftError(f"no configuration '{name}': {nearest(name, makers)}")
    return makers[name]()


@implements("gossipsub-resilience")
def load_params(path_or_dict: str | Path | Mapping[str, Any], format: Format = "auto") -> PeerScoreConfig:
    """Return a configuration from a file or from values.

    JSON has the names of `PeerScoreConfig`, with ``topics`` by name and ``router``; numbers are taken as their decimal
    digits say. In Go (go-libp2p, Lotus) and Rust sources the literals of PeerScoreParams, TopicScoreParams and
    PeerScoreThresholds are read. Lighthouse and Prysm compute their parameters: values for their formulas are
    ``{"validators": ..., "current_slot": ...}`` and ``{"validators": ..., "mesh_scored": ...}``.

    Args:
        path_or_dict: a file, or values.
        format: see above; "auto" goes by the file's ending and content.

    Raises `ScorecraftError` for a file that cannot be read, names that are not known, numbers that are none, an
    expression that is not literal (with its line), and parameters that make no sense (with topic and name).

    Source: go-libp2p-pubsub, score_params.go; rust-libp2p, peer_score/params.rs.
    """
    if format not in get_args(Format):
        raise ScorecraftError(f"no format '{format}': {nearest(format, get_args(Format))}")
    if isinstance(path_or_dict, Mapping):
        return _of_values(path_or_dict, format)
    path = Path(path_or_dict)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScorecraftError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not text.strip():
        raise ScorecraftError(f"{path}: the file is empty; 'scorecraft gossip params' prints parameters to start from")
    try:
        if format == "json" or path.suffix == ".json" or (format == "auto" and text.lstrip().startswith("{")):
            return _of_values(_json(text), format)
        return _of_source(text)
    except ScorecraftError as error:
        raise ScorecraftError(f"{path}: {error}") from error


def as_values(config: PeerScoreConfig) -> dict[str, Any]:
    """Return a configuration as values that `load_params` reads back, without loss.

    Args:
        config: the parameters.
    """
    return {
        **{name: _written(getattr(config, name)) for name in _WHOLE},
        "router": {name: _written(getattr(config.router, name)) for name in _ROUTER},
        "topics": {
            topic: {name: _written(getattr(own, name)) for name in _TOPIC} for topic, own in config.topics.items()
        },
    }


def _written(value: Any) -> int | float | str:
    """Return a number that reads back as the same fraction: plain where its digits end, else as 'a/b'."""
    exactly = exact(value)
    if exactly.denominator == 1:
        return int(exactly)
    return float(exactly) if exact(float(exactly)) == exactly else str(exactly)


def _json(text: str) -> Mapping[str, Any]:
    try:
        # Numbers keep their digits.
        value = json.loads(text, parse_float=Fraction, parse_constant=lambda name: name)
    except ValueError as error:
        raise ScorecraftError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ScorecraftError("expected an object with 'topics'")
    return value


def _of_values(values: Mapping[str, Any], format: Format) -> PeerScoreConfig:
    if format in {"lighthouse", "prysm"} or ("topics" not in values and "validators" in values):
        chosen = values.get("client", format)
        if chosen not in {"lighthouse", "prysm"}:
            raise ScorecraftError(f"client is {chosen!r}; expected 'lighthouse' or 'prysm'")
        allowed = {"lighthouse": ("validators", "current_slot"), "prysm": ("validators", "mesh_scored")}[chosen]
        given = {name: value for name, value in values.items() if name != "client"}
        for name in given:
            if name not in allowed:
                raise ScorecraftError(f"no value '{name}' for {chosen}: {nearest(name, allowed)}")
        return (lighthouse if chosen == "lighthouse" else prysm)(**given)
    if not isinstance(values.get("topics"), Mapping):
        raise ScorecraftError("'topics' is missing; expected an object with the parameters of each topic")
    topics = {
        name: TopicParameters(**_numbers(own, _TOPIC, f"topic '{name}'")) for name, own in values["topics"].items()
    }
    router = RouterParameters(**_numbers(values.get("router", {}), _ROUTER, "router"))
    whole = {name: value for name, value in values.items() if name not in {"topics", "router"}}
    return PeerScoreConfig(topics=topics, router=router, **_numbers(whole, _WHOLE, "the parameters")).check()


def _numbers(values: Any, known: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ScorecraftError(f"{where}: expected an object with numbers by name")
    found = {}
    for name, value in values.items():
        if name not in known:
            raise ScorecraftError(f"{where}: no parameter '{name}'; {nearest(name, known)}")
        number = exact(value, f"{where}: {name}")
        found[name] = int(number) if number.denominator == 1 else number
    return found


def _of_source(text: str) -> PeerScoreConfig:
    structs, named = struct_literals(text), constants(text)
    whole = next((one for one in structs if one.kind.endswith("PeerScoreParams")), None)
    limits = next((one for one in structs if one.kind.endswith("PeerScoreThresholds")), None)
    topics: dict[str, Struct] = {}
    if whole is not None:
        inner = whole.inner.get("Topics") or whole.inner.get("topics")
        topics = dict(inner.inner) if inner is not None else {}
    for one in () if topics else structs:
        if one.kind.endswith("TopicScoreParams"):
            # A map of topics holds them, and no fields of its own.
            topics |= one.inner if one.inner and not one.fields else {one.name or f"topic at line {one.line}": one}
    if not topics:
        raise ScorecraftError(
            "no literal of TopicScoreParams was found; expected Go or Rust source that sets the parameters, or JSON. "
            "For parameters that Lighthouse or Prysm compute, give 'lighthouse' or 'prysm' instead of the file"
        )
    values: dict[str, Any] = {}
    for struct in (whole, limits):
        if struct is not None:
            values |= _fields(struct, _WHOLE, named)
    # What Go leaves out is zero.
    zero = dict.fromkeys((name for name in _TOPIC if name.endswith("_weight")), 0)
    read = {_topic_name(name): TopicParameters(**(zero | _fields(own, _TOPIC, named))) for name, own in topics.items()}
    return PeerScoreConfig(topics=read, **values).check()


def _fields(struct: Struct, known: tuple[str, ...], named: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for name, (expression, line) in struct.fields.items():
        plain = _snake(name)
        if plain in _IGNORED:
            continue
        if plain not in known:
            raise ScorecraftError(f"line {line}: no parameter '{name}'; {nearest(plain, known)}")
        number = value_of(expression, line, named)
        found[plain] = int(number) if number.denominator == 1 else number
    return found


def _snake(name: str) -> str:
    """Return a Go name as Rust and JSON write it: ``IPColocationFactorWeight`` as ``ip_colocation_factor_weight``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return parted.lower()


def _topic_name(key: str) -> str:
    """Return a topic's name without what a source wraps it in: ``build.BlocksTopic(nn)`` as ``BlocksTopic``."""
    match = re.match(r"(?:[\w]+\.)*(\w+)\(.*\)$", key)
    return match.group(1) if match else key
