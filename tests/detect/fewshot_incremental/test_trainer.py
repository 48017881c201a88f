"""What each trick changes and what it leaves alone, on small images of a few classes."""

import copy

import pytest
import torch
from torch import nn

from scorecraft.detect.fewshot_incremental import (
    TRICKS,
    FSCILConfig,
    FSCILTrainer,
    ablation_table,
    fscil_protocol,
    mlp_encoder,
    run_ablation,
    shift_and_noise,
    simplex_etf,
    tricks_in_order,
)
from scorecraft.errors import ScorecraftError

CLASSES, SIDE = 6, 4


def images(rows, seed=0):
    centres = torch.rand(CLASSES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(99))
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat(rows)
    return centres[y] + 0.1 * torch.randn(len(y), 1, SIDE, SIDE, generator=random), y


X, Y = images(20)


def make(tricks=(), make_encoder=lambda factor: mlp_encoder(SIDE * SIDE, 16, 32, factor), **settings):
    settings = {"epochs": 3, "pretrain_epochs": 1, "etf_classes": CLASSES, "lr": 3e-3, **settings}
    return FSCILTrainer(make_encoder, FSCILConfig(tricks=frozenset(tricks), **settings))


def after_base(tricks=(), **settings):
    rows = Y < 4
    return make(tricks, **settings).fit_base(X[rows], Y[rows])


def session(*labels, shots=5):
    rows = torch.cat([(label == Y).nonzero()[:shots, 0] for label in labels])
    return X[rows], Y[rows]


def weights(trainer):
    return copy.deepcopy(trainer.encoder.state_dict())


def changed(before, trainer):
    return {name for name, value in trainer.encoder.state_dict().items() if not torch.equal(before[name], value)}


def test_the_baseline_learns_and_is_frozen_after_the_base():
    trainer = after_base(epochs=15)
    before, old = weights(trainer), trainer.classifier.prototypes.clone()
    trainer.learn_session(*session(4, 5))
    assert changed(before, trainer) == set()
    assert torch.equal(trainer.classifier.prototypes[:4], old)
    test = images(10, seed=1)
    found = trainer.evaluate(*test)
    # Chance is 1/4 and 1/6.
    assert found.base > 0.8
    assert found.novel > 0.6
    assert trainer.steps_taken == [0]
    assert trainer.base_classes == (0, 1, 2, 3)


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick not in {"fine-tuning", "subnet"}])
def test_each_trick_of_the_base_session_has_a_switch(trick):
    plain, other = weights(after_base()), after_base([trick])
    shapes = {name: value.shape for name, value in other.encoder.state_dict().items()}
    same = {name: value.shape for name, value in plain.items()} == shapes
    assert same == (trick != "larger-encoder")
    if same:
        assert changed(plain, other)
    assert other.learn_session(*session(4)).steps_taken == [0]


@pytest.mark.parametrize("settings", [{"pseudo": "rotate"}, {"classification": "dot-regression"}, {"lambda_ce": 0.0}])
def test_settings_of_tricks_matter(settings):
    tricks = ["supcon", "etf", "pseudo-classes"]
    assert changed(weights(after_base(tricks)), after_base(tricks, **settings))


def test_pseudo_classes_need_no_vertices():
    # Fifteen pairs of six classes and six vertices would not fit into eight features.
    trainer = make(["etf", "pseudo-classes"], lambda factor: mlp_encoder(SIDE * SIDE, 16, 8))
    assert len(trainer.fit_base(X, Y).classifier.classes) == 6


def test_dot_regression_brings_features_to_their_vertices():
    rows, found = Y < 4, []
    for classification in ("dot-regression", "cross-entropy"):
        trainer = after_base(["etf"], classification=classification, prototypes="vertex", epochs=60, batch_size=16,
                             lr=0.01)  # fmt: skip
        cosines = trainer.features(X[rows]) @ trainer.classifier.prototypes.T
        found.append(float(cosines[torch.arange(len(cosines)), Y[rows]].mean()))
    assert found[0] > 0.8
    # Cross entropy only asks for the vertex to be the nearest one.
    assert found[1] < found[0] - 0.1


def test_fine_tuning_changes_the_last_block_alone():
    trainer = after_base(["fine-tuning"], early_stop=False)
    before, old = weights(trainer), trainer.classifier.prototypes.clone()
    trainer.learn_session(*session(4, 5))
    assert changed(before, trainer) == {"3.weight", "3.bias"}
    assert torch.equal(trainer.classifier.prototypes[:4], old)
    assert trainer.steps_taken == [10]


def test_fine_tuning_of_the_whole_encoder():
    trainer = after_base(["fine-tuning"], tuned="encoder", early_stop=False)
    before = weights(trainer)
    trainer.learn_session(*session(4, 5))
    assert changed(before, trainer) == set(before)


def test_fine_tuning_brings_the_shots_nearer_and_stops_when_all_are_right():
    trainer = after_base(["fine-tuning"], inc_lr=0.02, inc_steps=200)
    frozen = after_base()
    trainer.learn_session(*session(4, 5))
    frozen.learn_session(*session(4, 5))
    assert 1 <= trainer.steps_taken[0] < 200
    x, y = session(4, 5)
    right = [float((each.predict(x) == y).float().mean()) for each in (trainer, frozen)]
    assert right[0] >= right[1]


@pytest.mark.parametrize("tricks", [["subnet"], ["fine-tuning", "subnet"]])
def test_a_subnet_changes_its_own_weights_and_no_other(tricks):
    trainer = after_base(tricks, early_stop=False, subnet_ratio=0.25)
    before = weights(trainer)
    trainer.learn_session(*session(4))
    trainer.learn_session(*session(5))
    assert changed(before, trainer) <= {"3.weight", "3.bias"}
    masks = trainer.subnet
    # 16 * 32 weights and 32 biases.
    assert sum(int(mask.sum()) for mask in masks.values()) == round(0.25 * 544)
    for name, mask in masks.items():
        now = trainer.encoder.state_dict()[name]
        assert torch.equal(now[~mask], before[name][~mask])
    assert any((trainer.encoder.state_dict()[name] != before[name])[mask].any() for name, mask in masks.items())


def test_running_statistics_stand_still_in_sessions():
    def make_encoder(factor):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 32))

    trainer = after_base(["fine-tuning"], make_encoder=make_encoder, tuned="encoder", early_stop=False)
    before = weights(trainer)
    trainer.learn_session(*session(4, 5))
    statistics = {"2.running_mean", "2.running_var", "2.num_batches_tracked"}
    assert statistics.isdisjoint(changed(before, trainer))
    assert "2.weight" in changed(before, trainer)


def test_vertices_are_taken_one_after_the_other():
    trainer = after_base(["etf", "fine-tuning"], prototypes="vertex")
    trainer.learn_session(*session(5))
    trainer.learn_session(*session(4))
    assert trainer.classifier.classes == [0, 1, 2, 3, 5, 4]
    cosines = trainer.classifier.prototypes @ trainer.classifier.prototypes.T
    gram = simplex_etf(CLASSES, 32)
    torch.testing.assert_close(cosines, gram @ gram.T, atol=1e-5, rtol=0)


def test_labels_are_any_whole_numbers():
    rows = Y < 4
    trainer = make(epochs=15).fit_base(X[rows], 1000 - 10 * Y[rows])
    assert set(trainer.predict(X[rows]).tolist()) <= {1000, 990, 980, 970}
    assert float((trainer.predict(X[rows]) == 1000 - 10 * Y[rows]).float().mean()) > 0.8


def test_sessions_are_looked_at_apart():
    trainer = after_base()
    x, y = images(5, seed=2)
    first = trainer.evaluate(x, y)
    trainer.learn_session(*session(4)).learn_session(*session(5))
    only_base = trainer.evaluate(x, y, upto=0)
    everything = trainer.evaluate(x, y)
    assert only_base.overall == only_base.base == pytest.approx(everything.base)
    assert [row.session for row in trainer.report().sessions] == [0, 2]
    assert trainer.report().sessions == (first, everything)
    assert everything.overall == pytest.approx(float((trainer.predict(x) == y).float().mean()))


def test_the_same_seed_gives_the_same_encoder():
    first, again, other = (after_base(TRICKS, seed=seed) for seed in (0, 0, 1))
    assert changed(weights(first), again) == set()
    assert changed(weights(first), other)


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    after_base(TRICKS).learn_session(*session(4))
    assert torch.equal(torch.rand(3), expected)


def test_rows_of_features_need_no_rotation():
    flat = X.flatten(1)
    rows = Y < 4
    tricks = [trick for trick in TRICKS if trick != "rotation"]
    trainer = make(tricks).fit_base(flat[rows], Y[rows])
    assert trainer.predict(flat).shape == Y.shape
    with pytest.raises(ScorecraftError, match="square images"):
        make(["rotation"]).fit_base(flat[rows], Y[rows])


def test_constant_images_give_finite_features():
    rows = Y < 4
    x = X[rows].clone()
    x[:40] = 0.0
    trainer = make(TRICKS).fit_base(x, Y[rows])
    trainer.learn_session(torch.zeros(5, 1, SIDE, SIDE), torch.full((5,), 9))
    assert torch.isfinite(trainer.classifier.prototypes).all()
    assert all(torch.isfinite(value).all() for value in trainer.encoder.state_dict().values())


def test_an_ablation_has_a_row_for_each_set():
    protocol = fscil_protocol(Y, 4, 1, 5, 0)
    sets = tricks_in_order(("supcon", "subnet"))
    reports = run_ablation(sets, lambda tricks: make(tricks, epochs=1), protocol, (X, Y), images(5, seed=3))
    assert list(reports) == ["baseline", "+ supcon", "+ subnet"]
    assert [len(report.sessions) for report in reports.values()] == [3, 3, 3]
    assert len(ablation_table(reports).splitlines()) == 5


def test_shifts_move_images_and_fill_with_zeros():
    x = torch.arange(1.0, 10.0).view(1, 1, 3, 3).repeat(200, 2, 1, 1)
    moved = shift_and_noise(x, torch.Generator().manual_seed(0), noise=0.0)
    assert moved.shape == x.shape
    assert torch.equal(moved[:, 0], moved[:, 1])
    seen = {tuple(image.flatten().tolist()) for image in moved[:, 0]}
    assert len(seen) == 9
    assert tuple(x[0, 0].flatten().tolist()) in seen
    assert (0, 0, 0, 0, 1, 2, 0, 4, 5) in seen
    assert shift_and_noise(x[:, 0, 0], torch.Generator(), noise=0.0).tolist() == x[:, 0, 0].tolist()
    noisy = shift_and_noise(torch.zeros(4000, 3), torch.Generator().manual_seed(0), noise=0.1)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.03)


def test_a_larger_encoder_is_wider_and_deeper():
    sizes = [sum(weight.numel() for weight in mlp_encoder(10, 8, 4, factor).parameters()) for factor in (1.0, 2.0)]
    assert sizes == [10 * 8 + 8 + 8 * 4 + 4, 10 * 16 + 16 + 16 * 16 + 16 + 16 * 4 + 4]


EMPTY = (torch.empty(0, 1, SIDE, SIDE), torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: FSCILConfig(frozenset({"sup-con"})), "did you mean 'supcon'"),
        (lambda: FSCILConfig(tau=0.0), "tau above 0"),
        (lambda: FSCILConfig(subnet_ratio=0.0), "subnet_ratio in"),
        (lambda: FSCILConfig(lambda_ssl=-1.0), "lambda_ssl of at least 0"),
        (lambda: FSCILConfig(inc_steps=0), "inc_steps of at least 1"),
        (lambda: FSCILConfig(frozenset({"etf"})), "needs etf_classes"),
        (lambda: FSCILConfig(prototypes="vertex"), "need the trick 'etf'"),
        (lambda: make().learn_session(*session(4)), "call fit_base first"),
        (lambda: make().evaluate(X, Y), "sessions learned so far: 0"),
        (lambda: make().fit_base(*session(4)), "at least 2 classes, got 1"),
        (lambda: make().fit_base(*EMPTY), "at least 2 classes, got 0"),
        (lambda: after_base().fit_base(X, Y), "learned already"),
        (lambda: after_base().learn_session(*session(3)), "class 3 was in an earlier session"),
        (lambda: after_base().learn_session(*session(4)).learn_session(*session(4)), "class 4 was in an earlier"),
        (lambda: after_base().learn_session(*session(4, 5, shots=4)), "class 4 has 4 images, expected 5"),
        (lambda: after_base().learn_session(*EMPTY), "no rows"),
        (lambda: after_base().evaluate(X, Y, upto=1), "asked for 1"),
        (lambda: after_base(["etf"], etf_classes=3), "etf_classes is 3"),
        (lambda: after_base(["etf"], etf_classes=5).learn_session(*session(4, 5)), "etf_classes is 5"),
        (lambda: after_base(["etf"], etf_classes=40), "40 vertices need at least as many features, got 32"),
        (lambda: after_base().report(), "no session was evaluated"),
        (lambda: mlp_encoder(0), "sizes of at least 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
