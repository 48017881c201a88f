"""A base session that shapes the features, then sessions of a few images that must not spoil them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.detect.fewshot_incremental.config import FSCILConfig
from scorecraft.detect.fewshot_incremental.encoder import shift_and_noise
from scorecraft.detect.fewshot_incremental.etf import simplex_etf
from scorecraft.detect.fewshot_incremental.losses import dr_loss, nt_xent_loss, supcon_loss, unit
from scorecraft.detect.fewshot_incremental.prototypes import PrototypeClassifier
from scorecraft.detect.fewshot_incremental.pseudo_classes import (
    make_pseudo_classes,
    pseudo_count,
    pseudo_pairs,
    rotation_batch,
)
from scorecraft.detect.fewshot_incremental.report import FSCILReport, SessionAccuracy, session_accuracy
from scorecraft.detect.fewshot_incremental.subnet import select_subnet, tuned_weights
from scorecraft.errors import ScorecraftError

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass
class _Heads:
    """What stands beside the encoder: vertices of real classes, learned directions of the others, rotation, pairs.

    Pseudo-classes never have a vertex: there are more of them than features where there are many real classes.
    """

    vertices: Tensor
    learned: Tensor
    rotation: Tensor
    pairs: Tensor


@implements("fewshot-incremental")
class FSCILTrainer:
    """Learns base classes, then a few classes a session, with the tricks that its settings turn on.

    The loss of the base session is ``lambda_ce CE(cosines / tau) + lambda_supcon SupCon + lambda_ssl Rotation`` over
    two distorted views of each image and over pseudo-classes, each part where its trick is on. Two views are seen with
    any tricks, so that the baseline sees as many images. After a session only prototypes are kept, no images.

    Source: A Bag of Tricks for Few-Shot Class-Incremental Learning, 2024, arXiv 2403.14392; eight tricks as in its
    first version. Formulas and weights are those of the papers that the tricks are from; this paper has no code.
    """

    def __init__(
        self,
        make_encoder: Callable[[float], nn.Module],
        config: FSCILConfig | None = None,
        augment: Augment = shift_and_noise,
    ) -> None:
        """Keep what is needed; nothing is trained yet.

        Args:
            make_encoder: makes the encoder (inputs to features) for a factor of its size: 1, or the settings'
                ``encoder_factor`` where "larger-encoder" is on.
            config: the settings; the baseline where not given.
            augment: distorts a batch.
        """
        self.config: FSCILConfig = config or FSCILConfig()
        self.augment: Augment = augment
        self.classifier: PrototypeClassifier = PrototypeClassifier(self.config.tau)
        self.base_classes: tuple[int, ...] = ()
        self.sessions: list[tuple[int, ...]] = []
        self.subnet: dict[str, Bool[Tensor, " ..."]] | None = None
        self.steps_taken: list[int] = []
        """Steps of fine-tuning of each session."""
        self._random: torch.Generator = torch.Generator().manual_seed(self.config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed)
            self.encoder: nn.Module = make_encoder(
                self.config.encoder_factor if self.config.has("larger-encoder") else 1.0
            )
        self._etf: Tensor | None = None
        self._rows: list[SessionAccuracy] = []

    def fit_base(self, x: Float32[Tensor, " row *shape"], y: Int64[Tensor, " row"]) -> FSCILTrainer:
        """Train the encoder on the base classes and take them in; return the trainer.

        Args:
            x: inputs; square images for rotations.
            y: labels, any whole numbers.

        Raises `ScorecraftError` for no rows or one class alone, a second base session, or more classes than vertices.
        """
        if self.sessions:
            raise ScorecraftError("fit_base: the base classes are learned already; use learn_session")
        labels = y.unique()
        if len(labels) < 2:
            raise ScorecraftError(f"fit_base: expected images of at least 2 classes, got {len(labels)}")
        place = torch.searchsorted(labels, y)
        if self.config.has("pre-training"):
            self._pretrain(x)
        self._train_base(x, place, len(labels))
        self.base_classes = tuple(labels.tolist())
        self._take_in(x, y)
        if self.config.has("subnet"):
            config = self.config
            self.subnet = select_subnet(
                self.encoder, x, place, self.classifier.prototypes, config.subnet_ratio, config.subnet_criterion,
                tuned=config.tuned, tau=config.tau, batch_size=config.batch_size,
            )  # fmt: skip
        return self

    def learn_session(self, x: Float32[Tensor, " row *shape"], y: Int64[Tensor, " row"]) -> FSCILTrainer:
        """Take in the classes of a session, after fine-tuning where it is on; return the trainer.

        Args:
            x: inputs.
            y: labels of new classes.

        Raises `ScorecraftError` before `fit_base`, for no rows, a class seen before, fewer images of a class than
        ``shots``, or more classes than ``etf_classes``.
        """
        if not self.sessions:
            raise ScorecraftError("learn_session: no base classes yet; call fit_base first")
        if not len(y):
            raise ScorecraftError("learn_session: no rows; a class needs at least one image")
        labels, counts = y.unique(return_counts=True)
        seen = sorted(set(labels.tolist()) & set(self.classifier.classes))
        if seen:
            raise ScorecraftError(f"learn_session: class {seen[0]} was in an earlier session; a class comes once")
        if int(counts.min()) < self.config.shots:
            few = int(counts.argmin())
            raise ScorecraftError(
                f"learn_session: class {int(labels[few])} has {int(counts[few])} images, expected {self.config.shots} "
                "(shots of the settings)"
            )
        self._check_vertices(len(self.classifier.classes) + len(labels))
        self.steps_taken.append(self._tune(x, torch.searchsorted(labels, y), len(labels)) if self.config.tunes else 0)
        self._take_in(x, y)
        return self

    def features(self, x: Float32[Tensor, " row *shape"]) -> Float32[Tensor, "row feature"]:
        """Return the unit features of inputs, without a gradient."""
        self.encoder.eval()
        with torch.no_grad():
            return unit(self.encoder(x))

    def predict(self, x: Float32[Tensor, " row *shape"]) -> Int64[Tensor, " row"]:
        """Return the label of each input among the classes seen so far."""
        return self.classifier.predict(self.features(x))

    def evaluate(
        self, x: Float32[Tensor, " row *shape"], y: Int64[Tensor, " row"], upto: int | None = None
    ) -> SessionAccuracy:
        """Return the accuracies on classes seen, and keep them for the report where ``upto`` is not given.

        Args:
            x: test inputs.
            y: labels; rows of classes not seen are left out.
            upto: looks at test rows of the classes up to this session alone, 0 being the base.

        Raises `ScorecraftError` before `fit_base`, or for a session that was not learned.
        """
        last = len(self.sessions) - 1
        if not self.sessions or (upto is not None and not 0 <= upto <= last):
            raise ScorecraftError(f"evaluate: sessions learned so far: {len(self.sessions)}; asked for {upto}")
        asked = [label for session in self.sessions[: (last if upto is None else upto) + 1] for label in session]
        rows = torch.isin(y, torch.tensor(asked))
        found = session_accuracy(y[rows], self.predict(x[rows]), self.base_classes, last)
        if upto is None:
            self._rows.append(found)
        return found

    def report(self) -> FSCILReport:
        """Return what `evaluate` found so far; raises `ScorecraftError` where it was not called."""
        return FSCILReport(tuple(self._rows))

    def _pretrain(self, x: Tensor) -> None:
        config = self.config
        self.encoder.train()
        optimizer = torch.optim.Adam(self.encoder.parameters(), lr=config.lr)
        for _ in range(config.pretrain_epochs):
            for rows in torch.randperm(len(x), generator=self._random).split(config.batch_size):
                views = torch.cat([self.augment(x[rows], self._random) for _ in range(2)])
                first, second = unit(self.encoder(views)).chunk(2)
                optimizer.zero_grad()
                nt_xent_loss(first, second, config.tau).backward()
                optimizer.step()

    def _train_base(self, x: Tensor, y: Tensor, classes: int) -> None:
        config = self.config
        heads = self._heads(x, classes)
        self.encoder.train()
        optimizer = torch.optim.Adam([*self.encoder.parameters(), heads.learned, heads.rotation], lr=config.lr)
        for _ in range(config.epochs):
            for rows in torch.randperm(len(x), generator=self._random).split(config.batch_size):
                optimizer.zero_grad()
                self._base_loss(x[rows], y[rows], classes, heads).backward()
                optimizer.step()

    def _heads(self, x: Tensor, classes: int) -> _Heads:
        config = self.config
        self.encoder.eval()
        with torch.no_grad():
            width = self.encoder(x[:1]).shape[1]
        made = pseudo_count(classes, config.pseudo) if config.has("pseudo-classes") else 0
        if config.has("etf"):
            self._check_vertices(classes)
            self._etf = simplex_etf(config.etf_classes, width, self._random)
        vertices = torch.empty(0, width) if self._etf is None else self._etf[:classes]
        learned = torch.randn(classes + made - len(vertices), width, generator=self._random).requires_grad_()
        rotation = (width**-0.5 * torch.randn(4, width, generator=self._random)).requires_grad_()
        return _Heads(vertices, learned, rotation, pseudo_pairs(classes, self._random))

    def _base_loss(self, x: Tensor, y: Tensor, classes: int, heads: _Heads) -> Tensor:
        config = self.config
        seen, labels = torch.cat([self.augment(x, self._random) for _ in range(2)]), y.repeat(2)
        views = seen
        if config.has("pseudo-classes"):
            made, numbers = make_pseudo_classes(
                views, labels, classes, config.pseudo, generator=self._random, pairs=heads.pairs
            )
            seen, labels = torch.cat((seen, made)), torch.cat((labels, numbers))
        turned, turns = rotation_batch(views, self._random) if config.has("rotation") else (views[:0], labels[:0])
        # One pass for all, so that batch normalisation sees one batch.
        raw, raw_turned = self.encoder(torch.cat((seen, turned))).split((len(seen), len(turned)))
        z = unit(raw)
        loss = config.lambda_ce * self._classification(z, labels, heads)
        if config.has("supcon"):
            loss = loss + config.lambda_supcon * supcon_loss(z, labels, config.tau)
        if config.has("rotation"):
            loss = loss + config.lambda_ssl * F.cross_entropy(raw_turned @ heads.rotation.T, turns)
        return loss

    def _classification(self, z: Tensor, y: Tensor, heads: _Heads) -> Tensor:
        logits = z @ torch.cat((heads.vertices, unit(heads.learned))).T / self.config.tau
        if self.config.classification == "cross-entropy" or not len(heads.vertices):
            return F.cross_entropy(logits, y)
        # Without a vertex there is nothing to regress to.
        real = y < len(heads.vertices)
        loss = real.float().mean() * dr_loss(z[real], heads.vertices, y[real])
        return loss if real.all() else loss + F.cross_entropy(logits[~real], y[~real], reduction="sum") / len(y)

    def _tune(self, x: Tensor, place: Tensor, new: int) -> int:
        """Move the encoder towards its few shots, old prototypes being fixed negatives; return the steps taken.

        By plain gradient descent: Adam's first steps move every weight equally far, however little it matters to the
        shots, and one such step can undo the base session.
        """
        config, old = self.config, self.classifier.prototypes
        weights = tuned_weights(self.encoder, config.tuned)
        optimizer = torch.optim.SGD(weights.values(), lr=config.inc_lr)
        # Running statistics stay as they are.
        self.encoder.eval()
        for step in range(config.inc_steps):
            z = unit(self.encoder(x))
            logits = z @ torch.cat((old, self._targets(z.detach(), place, new))).T / config.tau
            if config.early_stop and step and bool((logits.argmax(1) == place + len(old)).all()):
                return step
            slopes = torch.autograd.grad(F.cross_entropy(logits, place + len(old)), list(weights.values()))
            for (name, weight), slope in zip(weights.items(), slopes, strict=True):
                weight.grad = slope if self.subnet is None else slope * self.subnet[name]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return config.inc_steps

    def _targets(self, z: Tensor, place: Tensor, new: int) -> Tensor:
        if self.config.prototypes == "vertex":
            assert self._etf is not None
            taken = len(self.classifier.classes)
            return self._etf[taken : taken + new]
        return unit(torch.stack([z[place == number].mean(0) for number in range(new)]))

    def _take_in(self, x: Tensor, y: Tensor) -> None:
        labels = y.unique().tolist()
        if self.config.prototypes == "vertex":
            assert self._etf is not None
            for label in labels:
                self.classifier.add_direction(label, self._etf[len(self.classifier.classes)])
        else:
            self.classifier.add(self.features(x), y)
        self.sessions.append(tuple(labels))

    def _check_vertices(self, classes: int) -> None:
        if self.config.has("etf") and classes > self.config.etf_classes:
            raise ScorecraftError(
                f"{classes} classes need as many vertices, and etf_classes is {self.config.etf_classes}; "
                "set etf_classes to the number of all classes, base and future"
            )
