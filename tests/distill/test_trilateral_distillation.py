"""Losses by hand; the look-ahead against finite differences; what training leaves alone; what it refuses."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from scorecraft.distill.fusion_ratios import fixed_ratio
from scorecraft.distill.trilateral_distillation import (
    DistillationBatch,
    FusionNet,
    bilevel_step,
    fused_loss,
    kd_per_sample,
)
from scorecraft.distill.trilateral_trainer import TGeoKDTrainer
from scorecraft.errors import ScorecraftError, TrainingStopped

U, V = torch.tensor([[0.2, 0.5, 0.3]]).log(), torch.tensor([[0.1, 0.7, 0.2]]).log()
LABEL = torch.tensor([1])
NONE = torch.zeros(10, dtype=torch.int64)


def batch_of(rows=12, seed=0, classes=3, width=4):
    random = torch.Generator().manual_seed(seed)
    teacher_logits = torch.randn(rows, classes, generator=random)
    y = torch.randint(classes, (rows,), generator=random)
    average = torch.full((rows, classes), 1 / classes)
    return DistillationBatch(torch.randn(rows, width, generator=random), y, teacher_logits, average)


def student_of(seed=1, classes=3, width=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 6), nn.Tanh(), nn.Linear(6, classes))


def test_losses_by_hand():
    # Softened by 1.5: (.160084, .585798, .254118) and (.240825, .443604, .315571).
    softened = (V / 1.5).softmax(1)
    assert softened[0].tolist() == pytest.approx([0.160084, 0.585798, 0.254118], abs=1e-6)
    assert (U / 1.5).softmax(1)[0].tolist() == pytest.approx([0.240825, 0.443604, 0.315571], abs=1e-6)
    assert float(kd_per_sample(U, V, 1.5)) == pytest.approx(0.04246466, abs=1e-7)
    loss, parts = fused_loss(U, V, LABEL, torch.tensor([0.6]), 1.5)
    assert float(parts.hard) == pytest.approx(0.69314718, abs=1e-6)
    assert float(parts.soft) == pytest.approx(2.25 * 0.04246466, abs=1e-6)
    assert float(loss) == pytest.approx(0.33458617, abs=1e-6)


def test_the_ends_of_the_ratio():
    assert float(fused_loss(U, V, LABEL, torch.tensor([0.0]))[0]) == pytest.approx(float(F.cross_entropy(U, LABEL)))
    alone = 16 * float(kd_per_sample(U, V))
    assert float(fused_loss(U, V, LABEL, torch.tensor([1.0]))[0]) == pytest.approx(alone)


@given(st.floats(0.05, 50), st.integers(0, 1000))
def test_divergence_is_zero_for_one_distribution_and_positive_else(tau, seed):
    random = torch.Generator().manual_seed(seed)
    own, other = torch.randn(4, 3, generator=random), torch.randn(4, 3, generator=random)
    shifted = own + 7.0
    assert kd_per_sample(own, shifted, tau).abs().max() < 1e-4
    assert (kd_per_sample(own, other, tau) > -1e-6).all()


def test_the_net_is_the_published_one():
    net = FusionNet(10)
    assert [tuple(weight.shape) for weight in net.parameters()] == [(32, 90), (32,), (16, 32), (16,), (1, 16), (1,)]
    alpha = net.ratios(torch.zeros(12, 10), batch_of(classes=10))
    assert alpha.shape == (12,)
    assert ((alpha > 0) & (alpha < 1)).all()


def test_the_fusion_gradient_is_that_of_the_looked_ahead_loss():
    student, net = student_of(), FusionNet(3)
    batch, held, inner_lr, h = batch_of(), batch_of(8, seed=5), 0.3, 0.01

    def looked_ahead(moved):
        # An ordinary gradient step in double precision with the ratios held fixed.
        alpha = moved.ratios(student(batch.x), batch).detach().double()
        own = copy.deepcopy(student).double()
        fused = (1 - alpha) * F.cross_entropy(own(batch.x.double()), batch.y, reduction="none")
        target = (batch.teacher_logits.double() / 4).softmax(1)
        fused += alpha * 16 * (target * (target.log() - (own(batch.x.double()) / 4).log_softmax(1))).sum(1)
        fused.mean().backward()
        with torch.no_grad():
            for weight in own.parameters():
                weight.sub_(inner_lr * weight.grad)
            return float(F.cross_entropy(own(held.x.double()), held.y))

    measured = []
    for step in (h, -h):
        moved = copy.deepcopy(net)
        with torch.no_grad():
            moved.layers[-1].bias += step
        measured.append(looked_ahead(moved))
    slope = (measured[0] - measured[1]) / (2 * h)
    loss = bilevel_step(student, net, torch.optim.SGD(net.parameters(), lr=1.0), batch, (held.x, held.y), inner_lr)
    assert loss == pytest.approx(sum(measured) / 2, rel=1e-4)
    assert abs(slope) > 1e-4
    assert float(net.layers[-1].bias.grad) == pytest.approx(slope, rel=1e-2)


def test_the_fusion_net_gets_a_gradient_and_the_student_none():
    student, net = student_of(), FusionNet(3)
    before = copy.deepcopy(student.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    held = batch_of(8, seed=5)
    bilevel_step(student, net, optimizer, batch_of(), (held.x, held.y))
    norms = [float(weight.grad.norm()) for weight in net.parameters()]
    assert min(norms) > 0
    assert all(weight.grad is None for weight in student.parameters())
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_running_statistics_stay_as_they_are(training):
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).train(training)
    before = copy.deepcopy(student.state_dict())
    net, held = FusionNet(3), batch_of(8, seed=5)
    bilevel_step(student, net, torch.optim.Adam(net.parameters()), batch_of(), (held.x, held.y))
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert float(student[1].num_batches_tracked) == 0


def test_frozen_and_unused_weights_are_carried_along():
    student = student_of()
    student[0].weight.requires_grad_(False)
    student.register_parameter("unused", nn.Parameter(torch.ones(1)))
    net, held = FusionNet(3), batch_of(8, seed=5)
    loss = bilevel_step(student, net, torch.optim.Adam(net.parameters()), batch_of(), (held.x, held.y))
    assert 0 < loss < 10


class HalfATeacher(nn.Module):
    """Sure and right where the fourth input is above 0; elsewhere it leans to a wrong class."""

    def forward(self, x):
        truth = F.one_hot(x[:, :3].argmax(1), 3).float()
        return torch.where(x[:, 3:] > 0, 6 * truth, truth.roll(1, 1))


def test_the_net_learns_whom_to_trust():
    # Labels are wrong where the teacher is right, and right where it is wrong; the held-out ones are all right.
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = x[:, :3].argmax(1)
    wrong = (x[:, 3] > 0) & (torch.arange(300) < 200)
    y[wrong] = (y[wrong] + 1) % 3
    torch.manual_seed(0)
    trainer = TGeoKDTrainer(student_of(), HalfATeacher(), FusionNet(3), epochs=25, batch_size=50, fusion_lr=0.01)
    trainer.fit(x, y, torch.arange(200), torch.arange(200, 300))
    ratios = trainer.history.ratios[-1]
    assert float(ratios[wrong[:200]].mean() - ratios[~wrong[:200]].mean()) > 0.4
    assert len(trainer.history.loss) == len(trainer.history.held_loss) == 25


def test_the_published_code_leaves_the_net_where_it_was():
    data, net = batch_of(40), FusionNet(3)
    before = copy.deepcopy(net.state_dict())
    trainer = TGeoKDTrainer(student_of(), student_of(9), net, epochs=3, compat="published-code")
    trainer.fit(data.x, data.y)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert (trainer.history.ratios[-1] - 0.5).abs().max() < 0.2
    assert trainer.history.held_loss == []


def test_a_rule_of_zero_is_training_on_labels():
    data, own = batch_of(40), student_of()
    trainer = TGeoKDTrainer(copy.deepcopy(own), student_of(9), fixed_ratio(0.0), epochs=3, batch_size=40, lr=0.1,
                            optimizer="sgd")  # fmt: skip
    trainer.fit(data.x, data.y, torch.arange(40))
    plain = torch.optim.SGD(own.parameters(), lr=0.1)
    for _ in range(3):
        plain.zero_grad()
        F.cross_entropy(own(data.x), data.y).backward()
        plain.step()
    for found, expected in zip(trainer.student.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
    assert trainer.score(data.x, data.y) == float((own(data.x).argmax(1) == data.y).float().mean())


def test_the_net_is_moved_every_so_many_steps(monkeypatch):
    from scorecraft.distill import trilateral_trainer

    calls = []

    def counted(*args):
        calls.append(1)
        return bilevel_step(*args)

    monkeypatch.setattr(trilateral_trainer, "bilevel_step", counted)
    data = batch_of(40)
    # 36 training rows in 4 batches, 3 epochs: 12 steps, of which 0, 5 and 10.
    TGeoKDTrainer(student_of(), student_of(9), FusionNet(3), epochs=3, batch_size=10, update_every=5).fit(
        data.x, data.y
    )
    assert len(calls) == 3


def test_the_same_seed_gives_the_same_student():
    data, found = batch_of(40), []
    for _ in range(2):
        torch.manual_seed(0)
        net = FusionNet(3)
        trainer = TGeoKDTrainer(student_of(), student_of(9), net, epochs=2, seed=3).fit(data.x, data.y)
        found.append(torch.cat([weight.detach().flatten() for weight in trainer.student.parameters()]))
    assert torch.equal(found[0], found[1])


def test_a_ratio_that_is_not_finite_names_the_feature():
    batch = batch_of()
    batch.teacher_logits[3, 1] = torch.inf
    with pytest.raises(TrainingStopped, match=r"feature 'T of class 0' of sample 3 is nan"):
        FusionNet(3).ratios(torch.zeros(12, 3), batch)
    net = FusionNet(3)
    net.layers[0].weight.data.fill_(torch.nan)
    with pytest.raises(TrainingStopped, match="own weights are not"):
        net.ratios(torch.zeros(12, 3), batch_of())


def step_with(**changes):
    student, net, held = student_of(), FusionNet(3), batch_of(8, seed=5)
    settings = {"val_batch": (held.x, held.y), **changes}
    return bilevel_step(student, net, torch.optim.Adam(net.parameters()), batch_of(), **settings)


def fit_with(y=NONE, rows=(None, None), net=None, **settings):
    return TGeoKDTrainer(student_of(), student_of(9), net or FusionNet(3), epochs=1, **settings).fit(
        torch.zeros(10, 4), y, *rows
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kd_per_sample(torch.zeros(1, 3), torch.zeros(1, 4)), "the same samples and classes"),
        (lambda: kd_per_sample(U, V, 0.0), "temperature above 0, got 0"),
        (lambda: kd_per_sample(U, V, float("nan")), "temperature above 0"),
        (lambda: fused_loss(U, V, torch.tensor([3]), torch.tensor([0.5])), "label 0 is 3"),
        (lambda: fused_loss(U, V, LABEL, torch.tensor([1.5])), "ratio of sample 0 is 1.5"),
        (lambda: fused_loss(U, V, LABEL, torch.tensor([float("nan")])), "ratio of sample 0 is nan"),
        (
            lambda: fused_loss(torch.empty(0, 3), torch.empty(0, 3), torch.empty(0, dtype=torch.int64), torch.empty(0)),
            "no samples",
        ),
        (lambda: step_with(val_batch=(torch.empty(0, 4), torch.empty(0, dtype=torch.int64))), "batch is empty"),
        (lambda: step_with(val_batch=(torch.zeros(1, 4), torch.tensor([7]))), "label 0 is 7"),
        (lambda: step_with(inner_lr=0.0), "look-ahead step above 0"),
        (lambda: fit_with(rows=(torch.arange(6), torch.arange(5, 9))), "1 rows are both trained on and held out"),
        (lambda: fit_with(rows=(torch.arange(6), torch.arange(0))), "no held-out rows"),
        (lambda: fit_with(rows=(torch.arange(10), None)), "no held-out rows"),
        (lambda: fit_with(rows=(torch.arange(0), torch.arange(5))), "no rows to train on"),
        (lambda: fit_with(y=torch.full((10,), 3)), "label 0 is 3"),
        (lambda: fit_with(net=FusionNet(4)), "is for 4 classes, the teacher has 3"),
        (lambda: fit_with(tau=0.0), "tau above 0"),
        (lambda: fit_with(inner_lr=-1.0), "inner_lr above 0"),
        (lambda: fit_with(val_fraction=1.0), "val_fraction in"),
        (lambda: fit_with(update_every=0), "at least 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_a_student_of_other_classes_than_the_teacher_is_refused():
    trainer = TGeoKDTrainer(student_of(classes=4), student_of(9), FusionNet(3), epochs=1)
    with pytest.raises(ScorecraftError, match="same samples and classes"):
        trainer.fit(torch.zeros(10, 4), torch.zeros(10, dtype=torch.int64))
