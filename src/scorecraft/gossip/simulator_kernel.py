"""The compiled part of the network simulator: `scorecraft.gossip.transition` on arrays.

Arrays are handed over one by one and indexed where they are used: compiled code counts references to every array that
it takes out of a record or slices, which here would take most of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scorecraft.gossip.batch_scores import topic_points
from scorecraft.gossip.heartbeat import OPPORTUNITY, TO_DROP, TO_GRAFT
from scorecraft.gossip.simulator import columns

_FCAP, _DCAP, _THR, _ACTIVATION, _WINDOW, _FDECAY, _DDECAY, _IDECAY, _BDECAY = columns()
_MT, _F, _D, _I, _B = range(5)
_GRAYLIST, _POOR, _BACKOFF, _TTL, _INTERVAL, _ZERO, _HDECAY = range(7)
_SIZE, _LOW, _HIGH, _BEST, _TICKS, _BETTER = range(6)
_SND_PAYLOAD, _RCV_PAYLOAD, _SND_GRAFT, _RCV_GRAFT, _SND_PRUNE, _RCV_PRUNE, _APP, _HBM = range(8)
_NEVER = -1.0
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# Nothing is allocated in these, so references need not be counted: that alone makes a run three times as fast.
_OPTIONS: dict[str, Any] = {"cache": True, "_nrt": False}
bare = njit(**_OPTIONS)


@njit(cache=True, inline="always")
def _mix(state: Any, key: Any) -> Any:
    state = state + _GOLDEN * (np.uint64(key) + np.uint64(1))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@bare
def _lot(seed: Any, node: Any, topic: Any, about: Any, other: Any) -> Any:
    return _mix(_mix(_mix(_mix(seed, node), topic), about), other)


@bare
def _send(queue: Any, end: Any, kind: Any, edge: Any, item: Any) -> Any:
    """Put what is sent along an edge at the end of the line, to be sent and to arrive at once; return the new end."""
    at = end & (len(queue) - 1)
    queue[at, 0], queue[at, 1], queue[at, 2] = kind, edge, item
    return end + 1


@njit(cache=True)
def _roomier(queue: Any, begin: Any, end: Any) -> Any:
    """Return a line twice as long, with the same events from its start."""
    longer = np.empty((2 * len(queue), 3), dtype=np.int32)
    mask = len(queue) - 1
    for at in range(end - begin):
        longer[at] = queue[(begin + at) & mask]
    return longer


@bare
def _forward(
    queue: Any, end: Any, start: Any, neighbour: Any, mesh: Any, mute: Any, node: Any, topic: Any, message: Any,
    source: Any, origin: Any,
) -> Any:  # fmt: skip
    if mute[node, topic]:
        return end
    for edge in range(start[node], start[node + 1]):
        if mesh[topic, edge]:
            other = neighbour[edge]
            if other != source and other != origin:  # noqa: PLR1714 - compiled code has no sets
                end = _send(queue, end, _SND_PAYLOAD, edge, message)
    return end


@bare
def _leave(topics: Any, mesh: Any, backoff: Any, counters: Any, edge: Any, topic: Any, wait: Any) -> None:
    """Take a neighbour out of a mesh: add its squared deficit to its failures, and forget its time there."""
    missing = topics[topic, _THR] - counters[edge, topic, _D]
    if counters[edge, topic, _MT] > topics[topic, _ACTIVATION] and missing > 0:
        counters[edge, topic, _B] += missing * missing
    counters[edge, topic, _MT] = 0.0
    mesh[topic, edge] = 0
    backoff[edge, topic] = wait


@bare
def _order(values: Any, begin: Any, end: Any) -> None:
    """Put a few values in order, by insertion."""
    for i in range(begin + 1, end):
        value, at = values[i], i
        while at > begin and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value


@bare
def _select(pool: Any, lots: Any, begin: Any, size: Any, wanted: Any) -> Any:
    """Bring the ``wanted`` smallest lots to the front, and these into the order of their edges; return how many.

    Pool and lots count from ``begin``.
    """
    taken = max(min(wanted, size), 0)
    if taken < size:
        for i in range(begin, begin + taken):
            least = i
            for j in range(i + 1, begin + size):
                if lots[j] < lots[least]:
                    least = j
            pool[i], pool[least] = pool[least], pool[i]
            lots[i], lots[least] = lots[least], lots[i]
        _order(pool, begin, begin + taken)
    return taken


@bare
def _keep(
    start: Any, neighbour: Any, mesh: Any, score: Any, sizes: Any, node: Any, topic: Any, seed: Any, kept: Any,
    lots: Any,
) -> Any:  # fmt: skip
    """Write who stays in a mesh to the front of ``kept``, in order; return how many."""
    size = 0
    for edge in range(start[node], start[node + 1]):
        if mesh[topic, edge] and score[edge] >= 0:
            kept[size] = edge
            size += 1
    if size <= sizes[_HIGH]:
        return size
    for i in range(size):
        lots[i] = _lot(seed, node, topic, TO_DROP, neighbour[kept[i]])
    best = min(sizes[_BEST], sizes[_SIZE])
    for i in range(best):
        place = i
        for j in range(i + 1, size):
            mine, other = score[kept[j]], score[kept[place]]
            if mine > other or (mine == other and lots[j] < lots[place]):
                place = j
        kept[i], kept[place] = kept[place], kept[i]
        lots[i], lots[place] = lots[place], lots[i]
    rest = _select(kept, lots, best, size - best, sizes[_SIZE] - best)
    _order(kept, 0, best + rest)
    return best + rest


@bare
def _graft(
    start: Any, neighbour: Any, mesh: Any, backoff: Any, score: Any, sizes: Any, node: Any, topic: Any, size: Any,
    seed: Any, taken: Any, lots: Any,
) -> Any:  # fmt: skip
    """Write who is taken into a mesh that is too small to the front of ``taken``, in order; return how many."""
    count = 0
    if size >= sizes[_LOW]:
        return count
    for edge in range(start[node], start[node + 1]):
        if not mesh[topic, edge] and score[edge] >= 0 and backoff[edge, topic] <= 0:
            taken[count] = edge
            lots[count] = _lot(seed, node, topic, TO_GRAFT, neighbour[edge])
            count += 1
    return _select(taken, lots, 0, count, sizes[_SIZE] - size)


@bare
def _better(
    start: Any, neighbour: Any, mesh: Any, backoff: Any, score: Any, most: Any, poor: Any, node: Any, topic: Any,
    size: Any, count: Any, seed: Any, kept: Any, taken: Any, lots: Any, spare: Any,
) -> Any:  # fmt: skip
    """Take in those above the median of a mesh, where that is poor; return how many."""
    for i in range(size):
        spare[i] = score[kept[i]]
    for i in range(count):
        spare[size + i] = score[taken[i]]
    _order(spare, 0, size + count)
    middle = spare[(size + count) // 2]
    if middle >= poor:
        return 0
    more = 0
    for edge in range(start[node], start[node + 1]):
        able = not mesh[topic, edge] and score[edge] > middle and score[edge] >= 0 and backoff[edge, topic] <= 0
        for i in range(count):
            able = able and taken[i] != edge
        if able:
            taken[count + more] = edge
            lots[count + more] = _lot(seed, node, topic, OPPORTUNITY, neighbour[edge])
            more += 1
    more = _select(taken, lots, count, more, most)
    _order(taken, 0, count + more)
    return more


@bare
def _scored(start: Any, topics: Any, whole: Any, counters: Any, behaviour: Any, score: Any, node: Any) -> Any:
    """Score all neighbours; return how many are negative in a topic and positive overall."""
    broken = 0
    for edge in range(start[node], start[node + 1]):
        total, negative = 0.0, False
        for topic in range(len(topics)):
            points = topic_points(
                topics, topic, False, True, counters[edge, topic, 0], counters[edge, topic, 1],
                counters[edge, topic, 2], counters[edge, topic, 3], counters[edge, topic, 4],
            )  # fmt: skip
            total += points
            negative |= points < 0
        if whole[0] > 0:
            total = min(total, whole[0])
        beyond = max(0.0, behaviour[edge] - whole[4])
        total += whole[3] * beyond * beyond
        score[edge] = total
        broken += total > 0 and negative
    return broken


@bare
def _fade(start: Any, topics: Any, counters: Any, behaviour: Any, limits: Any, node: Any, ticks: Any) -> None:
    first, end, zero = start[node], start[node + 1], limits[_ZERO]
    for topic in range(len(topics)):
        f, d = topics[topic, _FDECAY] ** ticks, topics[topic, _DDECAY] ** ticks
        i, b = topics[topic, _IDECAY] ** ticks, topics[topic, _BDECAY] ** ticks
        for edge in range(first, end):
            for k, factor in ((_F, f), (_D, d), (_I, i), (_B, b)):
                value = counters[edge, topic, k] * factor
                counters[edge, topic, k] = value if value >= zero else 0.0
    factor = limits[_HDECAY] ** ticks
    for edge in range(first, end):
        left = behaviour[edge] * factor
        behaviour[edge] = left if left >= zero else 0.0


@bare
def _tended(
    queue: Any, end: Any, start: Any, neighbour: Any, topics: Any, limits: Any, sizes: Any, mesh: Any, backoff: Any,
    counters: Any, score: Any, due: Any, node: Any, topic: Any, seconds: Any, seed: Any, kept: Any, taken: Any,
    lots: Any, spare: Any,
) -> Any:  # fmt: skip
    """See to one mesh: who leaves is told so first, then who comes; then time in the mesh is counted."""
    first, last = start[node], start[node + 1]
    size = _keep(start, neighbour, mesh, score, sizes, node, topic, seed, kept, lots)
    count = _graft(start, neighbour, mesh, backoff, score, sizes, node, topic, size, seed, taken, lots)
    if due and size + count > 1:
        count += _better(
            start, neighbour, mesh, backoff, score, sizes[_BETTER], limits[_POOR], node, topic, size, count, seed, kept,
            taken, lots, spare,
        )  # fmt: skip
    at = 0
    for edge in range(first, last):
        if at < size and kept[at] == edge:
            at += 1
        elif mesh[topic, edge]:
            _leave(topics, mesh, backoff, counters, edge, topic, limits[_BACKOFF])
            end = _send(queue, end, _SND_PRUNE, edge, topic)
    for i in range(count):
        mesh[topic, taken[i]] = 1
        end = _send(queue, end, _SND_GRAFT, taken[i], topic)
    for edge in range(first, last):
        if mesh[topic, edge]:
            counters[edge, topic, _MT] += seconds
    return end


@bare
def _heartbeat(
    queue: Any, end: Any, start: Any, neighbour: Any, topics: Any, limits: Any, sizes: Any, mesh: Any, backoff: Any,
    counters: Any, behaviour: Any, score: Any, clock: Any, heartbeats: Any, node: Any, seconds: Any, seed: Any,
    kept: Any, taken: Any, lots: Any, spare: Any,
) -> Any:  # fmt: skip
    due = (heartbeats[node] + 1) % sizes[_TICKS] == 0
    for edge in range(start[node], start[node + 1]):
        for topic in range(len(topics)):
            backoff[edge, topic] = max(backoff[edge, topic] - seconds, 0.0)
    for topic in range(len(topics)):
        end = _tended(
            queue, end, start, neighbour, topics, limits, sizes, mesh, backoff, counters, score, due, node,
            topic, seconds, seed, kept, taken, lots, spare,
        )  # fmt: skip
    heartbeats[node] += 1
    before = np.floor(clock[node] / limits[_INTERVAL])
    clock[node] += seconds
    ticks = int(np.floor(clock[node] / limits[_INTERVAL]) - before)
    if ticks > 0:
        _fade(start, topics, counters, behaviour, limits, node, ticks)
    return end


@bare
def _counted(
    topics: Any, mesh: Any, counters: Any, repeated: Any, edge: Any, topic: Any, message: Any, valid: Any, first: Any,
    age: Any,
) -> Any:  # fmt: skip
    """Count a message that arrived along an edge; return whether it is to be forwarded."""
    if not valid:
        counters[edge, topic, _I] += 1
        return False
    bit = np.uint8(1 << (edge & 7))
    in_mesh = mesh[topic, edge] != 0
    if not first:
        again = (repeated[message, edge >> 3] & bit) != 0
        if not in_mesh or again or age > topics[topic, _WINDOW]:
            return False
    repeated[message, edge >> 3] |= bit
    if in_mesh:
        counters[edge, topic, _D] = min(counters[edge, topic, _D] + 1, topics[topic, _DCAP])
    if first:
        counters[edge, topic, _F] = min(counters[edge, topic, _F] + 1, topics[topic, _FCAP])
    return first


@bare
def _grafted(queue: Any, end: Any, mesh: Any, backoff: Any, behaviour: Any, score: Any, edge: Any, topic: Any) -> Any:
    """Take a neighbour into the mesh that asks for it, or refuse."""
    if mesh[topic, edge]:
        return end
    if backoff[edge, topic] > 0:
        behaviour[edge] += 1.0
    elif score[edge] >= 0:
        mesh[topic, edge] = 1
        return end
    return _send(queue, end, _SND_PRUNE, edge, topic)


@bare
def _arrived(
    queue: Any, end: Any, kind: Any, node: Any, edge: Any, item: Any, start: Any, neighbour: Any, topics: Any,
    limits: Any, mesh: Any, backoff: Any, counters: Any, behaviour: Any, score: Any, clock: Any, seen: Any,
    repeated: Any, topic_of: Any, origin_of: Any, valid_of: Any, mute: Any,
) -> Any:  # fmt: skip
    """Play what has arrived, but nothing of a neighbour that is graylisted; return the end of the line."""
    if score[edge] < limits[_GRAYLIST]:
        return end
    if kind == _RCV_PAYLOAD:
        topic, since = topic_of[item], seen[item, node]
        age = clock[node] - since
        known = since != _NEVER and age <= limits[_TTL]
        first = not known and origin_of[item] != node
        if _counted(
            topics, mesh, counters, repeated, edge, topic, item, valid_of[item], first, age if known else 0.0
        ):  # fmt: skip
            seen[item, node] = clock[node]
            end = _forward(
                queue, end, start, neighbour, mesh, mute, node, topic, item, neighbour[edge], origin_of[item]
            )
    elif kind == _RCV_GRAFT:
        end = _grafted(queue, end, mesh, backoff, behaviour, score, edge, item)
    elif mesh[item, edge]:
        _leave(topics, mesh, backoff, counters, edge, item, limits[_BACKOFF])
    return end


@bare
def _sent(topics: Any, limits: Any, mesh: Any, backoff: Any, counters: Any, kind: Any, edge: Any, item: Any) -> None:
    """Play what is sent, for its sender: a graft or prune changes its mesh, where the heartbeat has not yet."""
    if kind == _SND_GRAFT:
        mesh[item, edge] = 1
    elif kind == _SND_PRUNE and mesh[item, edge]:
        _leave(topics, mesh, backoff, counters, edge, item, limits[_BACKOFF])


@bare
def _saved(scores: Any, score: Any, start: Any, beat: Any, node: Any) -> None:
    if beat < len(scores):
        for edge in range(start[node], start[node + 1]):
            scores[beat, node, edge - start[node]] = score[edge]


@njit(cache=True)
def _longer(trace: Any) -> Any:
    """Return a trace with twice the room, and the same events."""
    longer = np.empty((2 * len(trace), 4), dtype=np.int32)
    longer[: len(trace)] = trace
    return longer


@bare
def _noted(keep: Any, trace: Any, steps: Any, kind: Any, node: Any, other: Any, item: Any) -> None:
    if keep:
        trace[steps, 0], trace[steps, 1], trace[steps, 2], trace[steps, 3] = kind, node, other, item


@njit(cache=True)
def simulate(
    owner: Any, neighbour: Any, start: Any, reverse: Any, topics: Any, whole: Any, limits: Any, sizes: Any, mesh: Any,
    counters: Any, behaviour: Any, mute: Any, topic_of: Any, origin_of: Any, valid_of: Any, kinds: Any, nodes: Any,
    along: Any, items: Any, seconds: Any, seed: Any, scores: Any, violations: Any, keep_trace: Any, max_steps: Any,
) -> Any:  # fmt: skip
    """Play a schedule; return steps, whether it was cut, and the trace. See `scorecraft.gossip.simulator.Sim.run`.

    Args:
        owner: node of each directed edge, in order.
        neighbour: its neighbour.
        start: first edge of each node, and their number.
        reverse: the edge in the other direction.
        topics: parameters, see `scorecraft.gossip.batch_scores.config_arrays`.
        whole: of all topics together, see there.
        limits: thresholds and times, in the order of this file's names.
        sizes: of meshes, in the order of this file's names.
        mesh: ``[topic, edge]``, filled.
        counters: ``[edge, topic, 5]``, filled.
        behaviour: H of each edge, filled.
        mute: ``[node, topic]``, who forwards and publishes nothing there.
        topic_of: topic of each message.
        origin_of: where it comes from.
        valid_of: whether it is valid.
        kinds: of the schedule's events.
        nodes: whose they are; -1 for everybody's heartbeat.
        along: directed edge of what arrives.
        items: message.
        seconds: of heartbeats.
        seed: of all random choices.
        scores: ``[heartbeat, node, neighbour]``, filled as far as it goes.
        violations: pairs at each heartbeat, added to.
        keep_trace: whether to keep all events.
        max_steps: after which to stop.
    """
    people, steps, begin, end = len(start) - 1, 0, 0, 0
    backoff, score = np.zeros((len(owner), len(topics))), np.zeros(len(owner))
    clock, heartbeats = np.zeros(people), np.zeros(people, dtype=np.int64)
    seen = np.full((len(topic_of), people), _NEVER)
    repeated = np.zeros((len(topic_of), len(owner) // 8 + 1), dtype=np.uint8)
    widest = 1
    for node in range(people):
        widest = max(widest, start[node + 1] - start[node])
    kept, taken = np.empty(widest, dtype=np.int64), np.empty(widest, dtype=np.int64)
    lots, spare = np.empty(widest, dtype=np.uint64), np.empty(widest)
    # No event brings about more than two of each neighbour and topic, and these twice.
    most = 4 * widest * len(topics) + 4
    queue = np.empty((1 << 12, 3), dtype=np.int32)
    trace = np.empty((1024 if keep_trace else 0, 4), dtype=np.int32)
    for at in range(len(kinds)):
        everybody = nodes[at] < 0
        for turn in range(people if everybody else 1):
            node = turn if everybody else nodes[at]
            place = end & (len(queue) - 1)
            queue[place, 0], queue[place, 1], queue[place, 2] = kinds[at], along[at], items[at]
            end += 1
            while begin < end:
                if steps == max_steps:
                    return steps, True, trace[:steps]
                if keep_trace and len(trace) < steps + 2:
                    trace = _longer(trace)
                while len(queue) - (end - begin) < most:
                    queue = _roomier(queue, begin, end)
                    begin, end = 0, end - begin
                place = begin & (len(queue) - 1)
                kind, edge, item = queue[place, 0], queue[place, 1], queue[place, 2]
                begin += 1
                if kind < _APP and not kind & 1:
                    _noted(keep_trace, trace, steps, kind, owner[edge], neighbour[edge], item)
                    steps += 1
                    _sent(topics, limits, mesh, backoff, counters, kind, edge, item)
                    # It arrives at once, as an event of its own.
                    kind, edge = kind + 1, reverse[edge]
                    if steps == max_steps:
                        return steps, True, trace[:steps]
                node = owner[edge] if edge >= 0 else node
                _noted(keep_trace, trace, steps, kind, node, neighbour[edge] if edge >= 0 else -1, item)
                now = seed + np.uint64(steps)
                steps += 1
                if kind < _APP:
                    end = _arrived(
                        queue, end, kind, node, edge, item, start, neighbour, topics, limits, mesh, backoff, counters,
                        behaviour, score, clock, seen, repeated, topic_of, origin_of, valid_of, mute,
                    )  # fmt: skip
                elif kind == _HBM:
                    beat = heartbeats[node]
                    violations[beat] += _scored(start, topics, whole, counters, behaviour, score, node)
                    _saved(scores, score, start, beat, node)
                    end = _heartbeat(
                        queue, end, start, neighbour, topics, limits, sizes, mesh, backoff, counters,
                        behaviour, score, clock, heartbeats, node, seconds[at], now, kept, taken, lots, spare,
                    )  # fmt: skip
                elif seen[item, node] == _NEVER or clock[node] - seen[item, node] > limits[_TTL]:
                    seen[item, node] = clock[node]
                    end = _forward(
                        queue, end, start, neighbour, mesh, mute, node, topic_of[item], item, node, origin_of[item]
                    )
    return steps, False, trace[:steps]
