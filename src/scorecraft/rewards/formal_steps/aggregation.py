"""`StateLSTM`: reads the states of a solution's steps and returns how likely its answer is right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps.records import StepState
from scorecraft.rewards.formal_steps.scoring import Step, rule_score, states_of

STATES = len(StepState)


@implements("formal-steps")
class StateLSTM(nn.Module):
    """A two-layer LSTM over one-hot states; its last output goes through a linear layer to one logit.

    Source: Safe, 2025, arXiv 2506.04592.
    """

    def __init__(self, hidden: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(STATES, hidden, num_layers=layers, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(
        self, states: Int64[Tensor, "trace step"] | Float32[Tensor, "trace step 4"], lengths: Int64[Tensor, " trace"]
    ) -> Float32[Tensor, " trace"]:
        """Return the logit of every trace; minus infinity for one without a step.

        Args:
            states: right-padded, as numbers 0 to 3 (padding: any of them) or one-hot.
            lengths: steps of each trace.
        """
        if states.shape[1] == 0:
            return torch.full(lengths.shape, -torch.inf)
        one_hot = states if states.is_floating_point() else functional.one_hot(states, STATES).float()
        out, _ = self.lstm(one_hot)
        last = out[torch.arange(len(out)), (lengths - 1).clamp(min=0)]
        return self.head(last)[:, 0].masked_fill(lengths == 0, -torch.inf)


def pad_states(traces: Sequence[Sequence[Step]]) -> tuple[Int64[Tensor, "trace step"], Int64[Tensor, " trace"]]:
    """Return the states of traces as a right-padded table, and their lengths."""
    rows = [states_of(trace) for trace in traces]
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    table = torch.zeros(len(rows), int(lengths.max()) if rows else 0, dtype=torch.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = torch.tensor([int(state) for state in row], dtype=torch.int64)
    return table, lengths


@implements("formal-steps")
def class_weights(labels: Bool[Tensor, " trace"]) -> Float32[Tensor, " trace"]:
    """Return ``0.5 / p`` for right and ``0.5 / (1 - p)`` for wrong traces, with p the share of right ones.

    Raises `ScorecraftError` where all labels are alike.

    Source: Safe, 2025, arXiv 2506.04592.
    """
    share = float(labels.float().mean()) if len(labels) else 0.0
    if not 0 < share < 1:
        raise ScorecraftError("fit_aggregator: expected both right and wrong solutions, got only one kind")
    return torch.where(labels, torch.tensor(0.5 / share), torch.tensor(0.5 / (1 - share)))


@dataclass(frozen=True)
class FittedAggregator:
    """A trained `StateLSTM` and how it came about.

    epoch: the one that was kept. balanced_accuracy: of the validation part, after each epoch. held_out: the problems of
    the validation part.
    """

    model: StateLSTM
    epoch: int
    balanced_accuracy: tuple[float, ...]
    held_out: frozenset[Hashable]

    def __call__(self, traces: Sequence[Sequence[Step]]) -> Float32[Tensor, " trace"]:
        """Return the probability that each trace is right; 0 for one without a step."""
        table, lengths = pad_states(traces)
        with torch.no_grad():
            return self.model(table, lengths).sigmoid()


@implements("formal-steps")
def fit_aggregator(
    traces: Sequence[Sequence[Step]],
    labels: Sequence[bool],
    problems: Sequence[Hashable],
    *,
    seed: int = 0,
    epochs: int = 200,
    learning_rate: float = 1e-4,
    batch: int = 32,
    validation: float = 0.2,
    hidden: int = 64,
) -> FittedAggregator:
    """Train a `StateLSTM` to tell right from wrong solutions.

    Weighted cross-entropy (`class_weights`), Adam, a step every ``batch`` traces; it stops after 5 epochs in a row with
    a training accuracy above .9 that exceeds the validation accuracy by more than .2, and keeps the epoch with the best
    balanced accuracy, decided at probability 1/2. Whole problems are held out. Traces without a step are left out.

    Args:
        traces: the states of each solution's steps.
        labels: whether its answer is right.
        problems: which problem it answers.
        seed: of the split, the weights and the order.
        epochs: at most.
        learning_rate: of Adam.
        batch: traces to a step.
        validation: share of the problems that is held out.
        hidden: size of the network.

    Raises `ScorecraftError` for columns of different lengths, fewer than two problems, or a training part whose labels
    are all alike.

    Source: Safe, 2025, arXiv 2506.04592; the published code splits a flat list and compares logits with 1/2.
    """
    if len({len(traces), len(labels), len(problems)}) != 1:
        raise ScorecraftError("fit_aggregator: expected one trace, label and problem for each solution")
    distinct = list(dict.fromkeys(problems))
    if len(distinct) < 2 or not 0 < validation < 1:
        raise ScorecraftError("fit_aggregator: expected two problems or more, and a share in (0, 1) to hold out")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(distinct), generator=generator).tolist()
    held_out = frozenset(distinct[place] for place in order[: max(1, round(validation * len(distinct)))])
    train, test = (
        _Part.of(
            [(traces[i], labels[i]) for i in range(len(traces)) if len(traces[i]) and (problems[i] in held_out) == held]
        )
        for held in (False, True)
    )
    weights = class_weights(train.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = StateLSTM(hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    best, kept, history, overfit = -1.0, 0, [], 0
    held_state = {name: value.clone() for name, value in model.state_dict().items()}
    for epoch in range(epochs):
        _train_epoch(model, optimizer, train, weights, batch, generator)
        train_right, test_right = train.accuracies(model), test.accuracies(model)
        history.append(test_right[1])
        if test_right[1] > best:
            best, kept = test_right[1], epoch
            held_state = {name: value.clone() for name, value in model.state_dict().items()}
        overfit = overfit + 1 if train_right[0] > 0.9 and train_right[0] - test_right[0] > 0.2 else 0
        if overfit == 5:
            break
    model.load_state_dict(held_state)
    return FittedAggregator(model.eval(), kept, tuple(history), held_out)


@dataclass(frozen=True)
class _Part:
    """Traces with labels, and the distinct traces among them, which are what has to be looked at to score all."""

    table: Int64[Tensor, "trace step"]
    lengths: Int64[Tensor, " trace"]
    labels: Bool[Tensor, " trace"]
    distinct: Int64[Tensor, "distinct step"]
    distinct_lengths: Int64[Tensor, " distinct"]
    which: Int64[Tensor, " trace"]

    @classmethod
    def of(cls, rows: Sequence[tuple[Sequence[Step], bool]]) -> _Part:
        table, lengths = pad_states([trace for trace, _ in rows])
        keys = torch.cat((table, lengths[:, None]), dim=1)
        distinct, which = keys.unique(dim=0, return_inverse=True) if len(keys) else (keys, lengths)
        labels = torch.tensor([bool(label) for _, label in rows], dtype=torch.bool)
        return cls(table, lengths, labels, distinct[:, :-1], distinct[:, -1], which)

    def accuracies(self, model: StateLSTM) -> tuple[float, float]:
        """Return accuracy and balanced accuracy at probability 1/2; a kind of label that is absent counts as right."""
        if not len(self.labels):
            return 0.0, 0.0
        with torch.no_grad():
            said = model(self.distinct, self.distinct_lengths)[self.which] > 0
        right = said == self.labels
        return float(right.float().mean()), (_share(right[self.labels]) + _share(right[~self.labels])) / 2


def _share(right: Bool[Tensor, " trace"]) -> float:
    return float(right.float().mean()) if len(right) else 1.0


def _train_epoch(
    model: StateLSTM,
    optimizer: torch.optim.Optimizer,
    part: _Part,
    weights: Float[Tensor, " trace"],
    batch: int,
    generator: torch.Generator,
) -> None:
    for rows in torch.randperm(len(part.labels), generator=generator).split(batch):
        lengths = part.lengths[rows]
        logits = model(part.table[rows, : int(lengths.max())], lengths)
        loss = functional.binary_cross_entropy_with_logits(logits, part.labels[rows].float(), weights[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@implements("formal-steps")
def retrospective_score(steps: Sequence[Step], aggregator: FittedAggregator | None = None) -> float:
    """Return how likely a solution is right by the states of its steps: a number in [0, 1], 0 without steps.

    Args:
        steps: records or states.
        aggregator: from `fit_aggregator`; None for `rule_score`, which needs no training.
    """
    return rule_score(steps) if aggregator is None else float(aggregator([steps])[0])
