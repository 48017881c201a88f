"""The pieces of the study of perturbation scores by hand."""

from __future__ import annotations

import math

import pytest
import torch

from scorecraft.detect.maximum_mean_discrepancy import GaussianKernel
from scorecraft.studies import expected_perturbation_score as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_area_by_hand():
    # Vectors are scores themselves: of 2 * 2 pairs three are in order.
    found = study.area(torch.zeros(2), torch.tensor([0.1, 0.3]), torch.tensor([0.2, 0.4]))
    assert found == pytest.approx(0.75)
    # Otherwise the far ones of each pair score higher, on whichever side they are.
    reference = torch.tensor([[-0.1], [0.0], [0.1]])
    near, far = torch.tensor([[0.05], [-0.05]]), torch.tensor([[0.5], [-0.5]])
    assert study.area(reference, near, far) == 1.0
    assert study.area(reference, far, near, GaussianKernel(1.0)) == 0.0


def test_a_denoiser_learns_the_noise_of_what_it_is_shown():
    # One image alone: the best prediction leaves nothing of the noise, an untrained one all of it.
    x = torch.full((1, study.SIDE**2), 0.5)
    torch.manual_seed(0)
    net = study.train_denoiser(x, 300, torch.Generator().manual_seed(0))
    t = torch.full((200,), 0.1)
    z = torch.randn(200, study.SIDE**2, generator=torch.Generator().manual_seed(1))
    mean, deviation = (value[:, None] for value in study.vp_marginal(t))
    with torch.no_grad():
        left = (net(mean * x + deviation * z, t) - z).square().mean().item()
    assert left < 0.3


def test_sets_are_disjoint_in_range_and_repeatable():
    world = study.digits(0, "smoke")
    assert len(world.reference) == len(world.test) == 60
    assert world.reference.min() == -1
    assert world.reference.max() == 1
    # No image of the test set is a reference; equal digits in the data would be nearer than this.
    assert torch.cdist(world.reference, world.test).min() > 0.1
    study.digits.cache_clear()
    again = study.digits(0, "smoke")
    assert again.test.equal(world.test)
    t = torch.full((60,), 0.02)
    assert again.score(again.test, t).equal(world.score(world.test, t))


def test_attacks_are_as_strong_as_stated():
    world = study.digits(0, "smoke")
    found = study.attacked(world, "pgd", "linf", 0.2)
    assert (found - world.test).abs().max().item() == pytest.approx(0.2, abs=1e-5)
    found = study.attacked(world, "fgsm", "l2", 0.1, on_references=True)
    # Eight times the strength, where no pixel was cut off at -1 or 1.
    assert (found - world.reference).norm(dim=1).max().item() <= 0.8 + 1e-5
    assert (found - world.reference).norm(dim=1).max().item() > 0.5


def test_views_are_of_the_same_perturbations():
    found = study.views(0, "smoke", "test")
    first = {kind: views[0] for kind, views in found.items()}
    # With one level they are one score.
    torch.testing.assert_close(first["eps"], first["single"])
    torch.testing.assert_close(first["norm"], first["single"].norm(dim=1))
    torch.testing.assert_close(first["sizes"], first["norm"])
    assert all(view.equal(study.digits(0, "smoke").test) for view in found["pixels"])
    assert {len(views) for views in found.values()} == {len(study.LEVELS["smoke"])}
    # The mean size is at least the size of the mean.
    assert (found["sizes"][-1] >= found["norm"][-1] - 1e-4).all()


def test_size_has_no_lead_over_itself_and_pixels_no_spread(tmp_path):
    found = study.run_levels(trial(tmp_path, kind="norm"))
    assert found["lead"] == found["weak_lead"] == 0
    found = study.run_levels(trial(tmp_path, kind="pixels"))
    assert found["spread"] == found["weak_spread"] == 0


def test_noise_left_in_the_score_of_normal_data(tmp_path):
    found = study.run_normal(trial(tmp_path, shift=0.2))
    # Noise at a level is s z / (m^2 v + s^2); x has a mean square of v + shift^2.
    times = torch.arange(1, study.USUAL + 1) / 1000
    mean, deviation = study.vp_marginal(times)
    total = mean**2 * study.NORMAL_VARIANCE + deviation**2
    noise = math.sqrt(((deviation / total) ** 2).sum().item()) / study.USUAL
    slope = (mean / total).mean().item()
    assert found["error"] == pytest.approx(noise / (slope * math.sqrt(study.NORMAL_VARIANCE + 0.04)), rel=0.1)


def test_the_study_is_fair():
    check_study(study.STUDY)
