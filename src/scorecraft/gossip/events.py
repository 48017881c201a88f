"""What happens in a gossip network: plain tuples, the acting peer first."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, TypeAlias

Peer: TypeAlias = Hashable
Topic: TypeAlias = str


class Payload(NamedTuple):
    """A message that is forwarded: its identifier, topic and origin, and whether it is valid."""

    identifier: int
    topic: Topic
    origin: Peer
    valid: bool = True


# (peer, "SND" | "RCV", other, message), (peer, "JOIN" | "LEAVE", topic), (peer, "HBM", seconds),
# (peer, "APP", payload).
# A message is (kind, content): CONNECT1 and CONNECT2 with topics; SUB, UNSUB, GRAFT and PRUNE with a topic; IHAVE and
# IWANT with identifiers; PAYLOAD with a payload.
Event: TypeAlias = tuple[Any, ...]
Message: TypeAlias = tuple[Any, ...]
