"""The worlds of the study hold what they say, and it runs from end to end."""

import numpy as np
import pytest
import torch

from scorecraft.studies import fashion_mnist, image_worlds, texture_scenes
from scorecraft.studies import learned_temperature_energy as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_a_grating_varies_across_its_angle_alone():
    class Quiet:
        """Random numbers in the middle of their range."""

        def normal(self, mean, deviation, size):
            return np.zeros(size)

        def uniform(self, low, high, size):
            return np.full(size, low)

    image = image_worlds.gratings(np.array([0, 5]), Quiet())[:, 0]  # pyright: ignore
    assert image.shape == (2, 16, 16)
    # Class 0 at 0 degrees changes along x, class 5 at 90 degrees along y; contrast .5 about .5.
    assert (image[0] == image[0, :1]).all()
    torch.testing.assert_close(image[1], image[0].T)
    assert image[0, 0, 1].item() == pytest.approx(0.5 + 0.25 * np.sin(0.8))


@pytest.mark.parametrize("world", ["textures", "digits"])
def test_worlds_hold_seven_classes_and_no_held_out_one(world, monkeypatch):
    monkeypatch.setattr(image_worlds, "degraded", lambda images, random: images)
    monkeypatch.setattr(image_worlds, "gratings", lambda classes, random, side=16: torch.tensor(classes))
    found = image_worlds.WORLDS[world](np.random.default_rng(0), "smoke")
    seen = {name: getattr(found, name) for name in ("train", "test", "near")}
    assert set(found.train_y.tolist()) == set(range(7))
    assert [len(part) for part in seen.values()] == [320, 100, 100]
    if world == "textures":
        known = dict(zip(found.train_y.tolist(), seen["train"].tolist(), strict=True))
        assert seen["test"].tolist() == [known[label] for label in found.test_y.tolist()]
        assert not set(seen["near"].tolist()) & set(known.values())
        assert len(set(known.values())) == 7
        return
    images, own = image_worlds.digits()
    index = {image.numpy().tobytes(): place for place, image in enumerate(images)}
    place = {name: [index[image.numpy().tobytes()] for image in part] for name, part in seen.items()}
    known = {int(own[row]): int(label) for row, label in zip(place["train"], found.train_y, strict=True)}
    assert sorted(known.values()) == list(range(7))
    assert [known[int(own[row])] for row in place["test"]] == found.test_y.tolist()
    assert not {int(own[row]) for row in place["near"]} & set(known)
    assert not set(place["train"]) & set(place["test"])


def test_arms_of_a_seed_share_their_network(tmp_path):
    study.trained.cache_clear()
    accuracies = {
        score: study.run(trial(tmp_path, world="digits", score=score))["accuracy"]
        for score in ("abet", "two-temperature", "energy", "odin")
    }
    assert study.trained.cache_info().misses == 2
    assert accuracies["abet"] == accuracies["two-temperature"]
    assert accuracies["energy"] == accuracies["odin"]


def test_results_do_not_depend_on_what_ran_before(tmp_path):
    first = study.run(trial(tmp_path, world="textures", score="abet"))
    study.trained.cache_clear()
    torch.rand(3)
    assert study.run(trial(tmp_path, world="textures", score="abet")) == first
    assert all(np.isfinite(list(first.values())))


def test_clean_digits_give_a_course(tmp_path):
    found = study.run_clean(trial(tmp_path, score="msp"))
    assert isinstance(found["course"], list)
    assert len(found["course"]) == 2
    assert found["near"] == found["course"][-1]
    assert isinstance(found["accuracy"], float)
    assert found["accuracy"] > 0.3  # two epochs


def test_garments_hold_seven_classes_and_no_held_out_one(monkeypatch):
    monkeypatch.setenv("SCORECRAFT_FASHION_MNIST", "generated")
    found = image_worlds.WORLDS["garments"](np.random.default_rng(0), "smoke")
    assert found.train.shape == (320, 1, 28, 28)
    assert set(found.train_y.tolist()) == set(range(7)) == set(found.test_y.tolist())
    train, test = (fashion_mnist.generated(part) for part in ("train", "test"))
    labels = {image.tobytes(): int(label) for part in (train, test) for image, label in zip(*part[:2], strict=True)}
    own = [labels[(255 * image[0]).round().byte().numpy().tobytes()] for image in found.train]
    known = dict(zip(own, found.train_y.tolist(), strict=True))
    assert len(known) == 7
    near = {labels[(255 * image[0]).round().byte().numpy().tobytes()] for image in found.near}
    assert not near & set(known)


def test_moved_images_are_shifted_by_at_most_two_and_mirrored():
    image = torch.zeros(400, 1, 9, 9)
    image[:, 0, 4, 3] = 1.0
    moved = study.moved(image, torch.Generator().manual_seed(0))
    assert moved.shape == image.shape
    places = {tuple(place) for place in moved[:, 0].nonzero()[:, 1:].tolist()}
    # Column 3 moves to 1 .. 5, and mirrored, to 8 - (1 .. 5) = 3 .. 7.
    assert places == {(row, column) for row in range(2, 7) for column in range(1, 8)}


def test_scenes_know_which_pixels_are_unknown():
    random = np.random.default_rng(0)
    known, held = np.arange(7), np.arange(7, 10)
    plain = texture_scenes.scenes(random, known, held, 20, unknown=False)
    strange = texture_scenes.scenes(random, known, held, 20, unknown=True)
    assert (plain.classes >= 0).all()
    assert all({-1} < set(one.unique().tolist()) and len(one.unique()) == 2 for one in strange.classes)
    found = texture_scenes.boxes(random, known, held, 300, unknown=False)
    assert 70 < (found.classes == 7).sum() < 130


@pytest.mark.parametrize(("kind", "score"), [("pixels", "abet"), ("pixels", "msp"), ("boxes", "abet-background")])
def test_scenes_are_scored(tmp_path, kind, score):
    found = texture_scenes.run(trial(tmp_path, kind=kind, score=score))
    assert all(np.isfinite(list(found.values())))
    assert 0 <= found["auroc"] <= 1  # pyright: ignore[reportOperatorIssue]


def test_the_study_is_fair():
    check_study(study.STUDY)
