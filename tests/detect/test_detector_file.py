"""Detectors by name are fitted on files, kept, and score other files as they would rows; a kill loses nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from scorecraft.detect import detector_file
from scorecraft.detect.detector import KNNDetector, LogitDetector, MahalanobisDetector
from scorecraft.detect.detector_file import FitSettings, fit_file, read_scores, score_file, state_of
from scorecraft.detect.input_files import open_inputs
from scorecraft.detect.learned_temperature_energy import LearnedTemperatureHead
from scorecraft.detect.methods import METHODS, Place, make_detector
from scorecraft.detect.saved import LEARNED, RECORD, fingerprint, load_detector
from scorecraft.detect.user_model import load_model
from scorecraft.errors import ScorecraftError


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval()


class WithHead(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(6, 8), LearnedTemperatureHead(8, 3)

    def forward(self, x):
        return self.head(self.body(x)).logits


class Denoiser(nn.Module):
    def forward(self, x, t):
        return -x / (1 + t[:, None])


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    inside, outside = random.normal(size=(300, 6)), random.normal(size=(60, 6)) * 4
    np.savez(tmp_path / "train.npz", x=inside.astype(np.float32), y=random.integers(3, size=300))
    mixed = np.concatenate((random.normal(size=(90, 6)), outside)).astype(np.float32)
    np.savez(tmp_path / "mixed.npz", x=mixed, outside=np.r_[np.zeros(90, int), np.ones(60, int)])
    return open_inputs(tmp_path / "train.npz"), open_inputs(tmp_path / "mixed.npz")


def model_of(method):
    if method == "learned-temperature-energy":
        return WithHead().eval()
    return Denoiser() if method == "expected-perturbation-score" else network()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_scores_a_file_as_it_scores_rows(files, tmp_path, method):
    train, mixed = files
    settings = {"knn": {"k": 5}, "expected-perturbation-score": {"references": 50, "levels": 3}}.get(method, {})
    model = model_of(method)
    fitted = fit_file(train, tmp_path / "d", FitSettings(method, settings), model)
    found = score_file(mixed, tmp_path / "s.csv", load_detector(tmp_path / "d"), model)
    if method != "expected-perturbation-score":  # draws noise of its own for every call
        rows = mixed.rows(np.arange(150)).float()
        np.testing.assert_allclose(found.scores, fitted.detector.predict_score(rows).double(), rtol=1e-6)
    assert (found.flagged == (found.scores > fitted.threshold.value.estimate)).all()
    assert found.outside.sum() == 60
    assert not state_of(tmp_path / "s.csv").exists()


def test_a_threshold_keeps_what_it_says_of_the_held_out(files, tmp_path):
    train, _ = files
    fitted = fit_file(train, tmp_path / "d", FitSettings("knn", {"k": 3}, keep=0.9), None)
    saved = load_detector(tmp_path / "d")
    assert (fitted.learned, fitted.held_out, len(saved.held_out)) == (240, 60, 60)
    # 54 of 60 do not exceed it.
    assert int((saved.held_out <= fitted.threshold.value.estimate).sum()) == 54
    assert saved.record.threshold.keep == 0.9


def test_held_out_inputs_may_come_from_a_file(files, tmp_path):
    train, mixed = files
    fitted = fit_file(train, tmp_path / "d", FitSettings("mahalanobis"), None, held_out=mixed)
    assert (fitted.learned, fitted.held_out) == (300, 150)
    same = MahalanobisDetector().fit(train.rows(np.arange(300)), train.column(None, ("y",), "classes"))
    assert fitted.threshold.value.estimate == pytest.approx(
        float(same.predict_score(mixed.rows(np.arange(150))).sort().values[142])
    )  # the 143rd of 150 is the first that 95 % do not exceed


def test_a_stopped_command_goes_on_with_the_same_bytes(files, tmp_path, monkeypatch):
    train, mixed = files
    monkeypatch.setattr(detector_file, "ROWS_AT_ONCE", 40)
    fit_file(train, tmp_path / "d", FitSettings("knn", {"k": 3}), None)
    saved = load_detector(tmp_path / "d")
    score_file(mixed, tmp_path / "whole.csv", saved)
    told = []

    def stop(name, done, total):
        told.append(done)
        if done >= 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(mixed, tmp_path / "s.csv", saved, progress=stop)
    # A kill in the middle of a line, some of the next rows being written.
    with (tmp_path / "s.csv").open("a") as stream:
        stream.write("80,,3.5,1\n81,,3.1")
    score_file(mixed, tmp_path / "s.csv", saved, progress=lambda name, done, total: told.append(done))
    assert told == [0, 40, 80, 80, 120, 150]
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(read_scores(tmp_path / "s.csv")) == 150


def test_scores_of_something_else_are_not_mixed(files, tmp_path):
    train, mixed = files
    fit_file(train, tmp_path / "d", FitSettings("knn", {"k": 3}), None)
    fit_file(train, tmp_path / "e", FitSettings("knn", {"k": 4}), None)
    out = tmp_path / "s.csv"

    def stop(name, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(mixed, out, load_detector(tmp_path / "d"), progress=stop)
    with pytest.raises(ScorecraftError, match="another file or another detector"):
        score_file(mixed, out, load_detector(tmp_path / "e"))
    score_file(mixed, out, load_detector(tmp_path / "d"))
    with pytest.raises(ScorecraftError, match="these scores are whole"):
        score_file(mixed, out, load_detector(tmp_path / "d"))


def test_another_model_is_noticed(files, tmp_path):
    train, mixed = files
    fit_file(train, tmp_path / "d", FitSettings("energy"), network())
    saved = load_detector(tmp_path / "d")
    with pytest.raises(ScorecraftError, match="weights are not those"):
        score_file(mixed, tmp_path / "s.csv", saved, network(1))
    with pytest.raises(ScorecraftError, match="fitted with a model"):
        score_file(mixed, tmp_path / "s2.csv", saved)
    assert fingerprint(network()) == fingerprint(network())
    assert fingerprint(network()) != fingerprint(network(1))


def test_a_scale_and_whole_numbers(tmp_path):
    np.save(tmp_path / "bytes.npy", np.full((20, 6), 255, dtype=np.uint8))
    seen = []

    class Noting(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x[:, :3].float()

    fit_file(open_inputs(tmp_path / "bytes.npy"), tmp_path / "d", FitSettings("energy", scale=255.0), Noting())
    assert seen[-1].unique().tolist() == [1.0]
    fit_file(open_inputs(tmp_path / "bytes.npy"), tmp_path / "d", FitSettings("energy"), Noting())
    assert seen[-1].dtype == torch.long


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (FitSettings("enrgy"), "did you mean 'energy'"),
        (FitSettings("knn", {"k": 0}), "k: Input should be greater"),
        (FitSettings("knn", {"kk": 3}), "no setting 'kk'"),
        (FitSettings("odin"), "needs a model"),
        (FitSettings("knn", {"k": 241}), "k from 1 to 240"),
        (FitSettings("energy", layer="body"), "no model is given"),
        (FitSettings("energy", keep=0.0), "share above 0"),
        (FitSettings("knn", held_out_share=1.0), "held-out share"),
        (FitSettings("energy", scale=0.0), "scale"),
        (FitSettings("mahalanobis", label="z"), "no column or array 'z'"),
    ],
)
def test_bad_settings_are_told(files, tmp_path, settings, message):
    with pytest.raises(ScorecraftError, match=message):
        fit_file(files[0], tmp_path / "d", settings, None)
    assert not (tmp_path / "d" / RECORD).exists()


def test_files_that_do_not_fit_are_told(files, tmp_path):
    train, mixed = files
    np.save(tmp_path / "one.npy", np.zeros((1, 6), dtype=np.float32))
    with pytest.raises(ScorecraftError, match="1 rows are too few"):
        fit_file(open_inputs(tmp_path / "one.npy"), tmp_path / "d", FitSettings("knn", {"k": 1}), None)
    with pytest.raises(ScorecraftError, match="needs the class of each row"):
        fit_file(mixed, tmp_path / "d", FitSettings("mahalanobis"), None)
    np.save(tmp_path / "narrow.npy", np.zeros((5, 4), dtype=np.float32))
    narrow = open_inputs(tmp_path / "narrow.npy")
    with pytest.raises(ScorecraftError, match=r"shape \(4,\), but those"):
        fit_file(train, tmp_path / "d", FitSettings("knn", {"k": 1}), None, held_out=narrow)
    fit_file(train, tmp_path / "d", FitSettings("energy"), None)
    with pytest.raises(ScorecraftError, match=r"rows of shape \(4,\); the detector was fitted on rows of \(6,\)"):
        score_file(narrow, tmp_path / "s.csv", load_detector(tmp_path / "d"))
    with pytest.raises(ScorecraftError, match="expected 0 or 1"):
        score_file(train, tmp_path / "s.csv", load_detector(tmp_path / "d"), truth="y")


@pytest.mark.parametrize("broken", [RECORD, LEARNED])
def test_a_broken_detector_is_told(files, tmp_path, broken):
    fit_file(files[0], tmp_path / "d", FitSettings("energy"), None)
    (tmp_path / "d" / broken).write_bytes(b"{")
    with pytest.raises(ScorecraftError, match="cannot be read"):
        load_detector(tmp_path / "d")
    with pytest.raises(ScorecraftError, match="no detector here"):
        load_detector(tmp_path)


def test_a_record_holds_no_code(files, tmp_path):
    fit_file(files[0], tmp_path / "d", FitSettings("knn", {"k": 3}), None)
    record = json.loads((tmp_path / "d" / RECORD).read_text())
    assert record["method"] == "knn"
    assert record["settings"] == {"k": 3}
    assert {path.name for path in (tmp_path / "d").iterdir()} == {RECORD, LEARNED}


def test_methods_read_where_they_are_told():
    net = network()
    x = torch.randn(8, 6)
    by_layer = make_detector("energy", {}, Place(net, "2"))
    torch.testing.assert_close(by_layer.predict_score(x), LogitDetector("energy", net).predict_score(x))
    # Without a layer, features are what goes into the last linear one.
    found = make_detector("knn", {"k": 1}, Place(net)).fit(x)
    torch.testing.assert_close(
        found.predict_score(x + 1), KNNDetector(1, net, "2", side="input").fit(x).predict_score(x + 1)
    )
    with pytest.raises(ScorecraftError, match="leave out the layer"):
        make_detector("odin", {}, Place(net, "2"))
    with pytest.raises(ScorecraftError, match="there is none to choose"):
        make_detector("energy", {}, Place(net, "2", "input"))
    with pytest.raises(ScorecraftError, match=r"no nn\.Linear"):
        make_detector("react", {}, Place(nn.Sequential(nn.ReLU())))


CODE = """
import torch
from torch import nn
def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
ready = make()
text = "no model"
def broken():
    raise RuntimeError("out of luck")
"""


def test_models_are_found_in_files_modules_and_programs(tmp_path, monkeypatch):
    (tmp_path / "own_models_a.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    for spec in ("own_models_a:make", "own_models_a:ready", f"{tmp_path}/own_models_a.py:make"):
        assert fingerprint(load_model(spec)) == fingerprint(network())
        assert not load_model(spec).training
    save_file(network(3).state_dict(), tmp_path / "w.safetensors")
    assert fingerprint(load_model("own_models_a:make", tmp_path / "w.safetensors")) == fingerprint(network(3))
    x = torch.randn(5, 6)
    program = torch.export.export(network(), (x,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, tmp_path / "net.pt2")
    score = LogitDetector("energy", load_model(str(tmp_path / "net.pt2"))).predict_score(x[:3])
    torch.testing.assert_close(score, LogitDetector("energy", network()).predict_score(x[:3]))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_models_b:mak", "did you mean 'make'"),
        ("own_models_b:text", "expected a torch.nn.Module, got str"),
        ("own_models_b:broken", "raised RuntimeError: out of luck"),
        ("no_such_module:make", "cannot be imported"),
        ("none.py:make", "no such file"),
        ("own_models_b", "expected module:name"),
        ("net.pth", "a pickled model is not read"),
        ("none.pt2", "no such file"),
    ],
)
def test_models_that_are_not_there_are_told(tmp_path, monkeypatch, spec, message):
    (tmp_path / "own_models_b.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScorecraftError, match=message):
        load_model(spec)
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ScorecraftError, match="do not fit the model"):
        load_model("own_models_b:make", tmp_path / "w.safetensors")
