"""Restoring images from the command line: warm and cold given the same inputs; a regression wins on PSNR and has no variance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import words
from PIL import Image
from test_commands import methods, ok, said, sound
from test_distill import refused

from warmflow.checkpoints import load
from warmflow.data import load as load_data
from warmflow.data.paired import lowered
from warmflow.noise import Noise
from warmflow.recipes import restoration
from warmflow.sources import Blurred, Conditioned, Restored

SMALL = words("--images digits --updates 40 --draft-updates 150 --width 8 --samples 400 --batch 64 --quiet")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("restoration") / "c"
    ok("compare", "images.super_resolution", *SMALL, "--calls", "1,2", "--seeds", "2", "--jobs", "1", "--out", out)
    return out


def test_answers_are_judged_with_their_inputs(compared: Path) -> None:
    """Pairs of input and output decide first, the energy score of several answers beside them; a regression, which wins PSNR,
    has no variance, and what decides nothing is shown."""
    facts = sound(compared, [0, 1])
    assert {c["name"]: c["role"] for c in facts["curves"]} == {
        "cold": "baseline",
        "warm": "candidate",
        "noise": "control",
        "draft": "start",
    }
    assert [m["name"] for m in facts["metrics"]] == [
        "pairs of input and output", "outputs", "classifier features", "gradients", "energy score"
    ]  # fmt: skip
    score = facts["metrics"][-1]
    assert score["scatter"] is None and not score["zero"], "a score has no zero, and no number of real images"
    points = {c["name"]: c["points"] for c in facts["curves"]}
    draft = points["draft"][0]
    assert draft["calls"] == 0 and draft["beside"]["recovered variance"] == 0
    flows = [p for name in ("cold", "warm", "noise") for p in points[name]]
    assert all(p["beside"]["recovered variance"] > 0 for p in flows)
    for name in ("PSNR", "SSIM"):
        assert draft["beside"][name] > max(p["beside"][name] for p in flows), name
    # a point forecast has the CRPS of its absolute error, and an energy score above that of nobody's spread
    assert all({"CRPS", "coverage of 90%"} <= p["beside"].keys() for p in (draft, *flows))
    assert "draft counted" in facts["candidates"]["warm"]["words"]["conditions"]
    for text in ("PSNR", "SSIM", "recovered variance", "energy score", "pairs of input and output"):
        assert text in said(compared), text


def test_all_flows_are_given_inputs_that_nobody_was_trained_on(compared: Path) -> None:
    data = load_data("digits")
    assert data.validation is not None
    held = {tuple(row) for row in lowered(data.validation.x1, 4).flatten(1).tolist()}
    for arm in ("cold", "noise", "warm"):
        sampler = load(compared / "seeds" / "0" / arm)
        start = sampler.source.draw(64, noise=Noise.of(0, 64))
        assert all(tuple(row) in held for row in start.condition["input"].flatten(1).tolist())
        given = lowered(data.heldout.x1[:5], 4)
        assert torch.equal(sampler.source.draw(5, {"input": given}, noise=Noise.of(0, 5)).condition["input"], given)
        assert sampler.field.sees == (("input",) if arm == "cold" else ("draft", "input"))
    assert isinstance(sampler.source, Blurred) and isinstance(sampler.source.source, Restored)
    assert isinstance(load(compared / "seeds" / "0" / "cold").source, Conditioned)
    control = load(compared / "seeds" / "0" / "noise")
    assert isinstance(control.source, Blurred) and control.source.sigma == sampler.source.sigma
    assert control.field.path.t0 == sampler.field.path.t0  # type: ignore[attr-defined]
    draft = control.source.draw(2000, noise=Noise.of(0, 2000)).condition["draft"]
    assert abs(float(draft.mean())) < 0.02 and abs(float(draft.std()) - 1) < 0.02, "noise in the regression's place"


def test_finished_runs_have_no_pairings_to_audit(compared: Path, tmp_path: Path) -> None:
    runs = [compared / "seeds" / str(seed) / arm for seed in (0, 1) for arm in ("cold", "warm")]
    ok("compare", *runs, "--calls", "1", "--quiet", "--out", tmp_path / "c")
    found = sound(tmp_path / "c", [0, 1])
    assert found["audit"] == {} and methods(found) == {"cold", "warm", "draft"}
    theirs = json.loads((compared / "verdict.json").read_text())
    for a, b in zip(
        *([c["points"][0] for c in f["curves"] if c["name"] == "draft"] for f in (found, theirs)), strict=True
    ):
        assert a["metrics"] == b["metrics"], "the same regressions, measured on the same inputs"
    assert "a draft of its own" in refused("audit", "images.super_resolution", "--images", "digits")


def test_a_dry_run_trains_no_regression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoration, "regression", None)
    told = json.loads(ok("train", "images.super_resolution", *SMALL, "--dry-run", "--out", tmp_path / "never"))
    assert told["parameters"] > 0 and not (tmp_path / "never").exists()


def test_other_inputs_of_the_same_images_are_other_data(tmp_path: Path) -> None:
    inputs, targets = faces()
    file, out = tmp_path / "pairs.npz", tmp_path / "run"
    np.savez(file, inputs=inputs, targets=targets)
    ok("train", "images.pairs", "--path", file, *OWN, "--updates", "3", "--arm", "cold", "--out", out)
    inputs[3] = 0
    np.savez(file, inputs=inputs, targets=targets)
    said = refused("train", "images.pairs", "--path", file, *OWN, "--updates", "3", "--arm", "cold", "--out", out)
    assert "data" in said and "choose another --out" in said


def test_the_input_may_be_the_draft_and_noise_the_problem(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ok("train", "images.denoising", *SMALL, "--draft", "input", "--out", out)
    sampler = load(out)
    start = sampler.source.draw(9, noise=Noise.of(0, 9))
    assert torch.equal(start.condition["draft"], start.condition["input"]) and sampler.field.sees == ("draft",)
    assert sampler(3).x.shape == (3, 1, 8, 8)
    ok("distill", out, *words("--updates 3 --batch 16 --quiet --no-report --out"), tmp_path / "student")


@pytest.mark.parametrize(
    ("recipe", "arguments", "says"),
    [
        ("super_resolution", "--sigma 0", "--sigma is 0"),
        ("super_resolution", "--factor 3", "--factor is 3"),
        ("denoising", "--noise -1", "--noise is -1"),
        ("denoising", "--draft mixture", "--draft is 'mixture'"),
        ("super_resolution", "--pairing assignment", "--pairing is 'assignment'"),
        ("super_resolution", "--images cats", "--images is 'cats'"),
        ("super_resolution", "--noise 0.3", "no setting 'noise'"),
        ("super_resolution", "--images folder", "--path is missing"),
        ("super_resolution", "--path somewhere", "say --images folder"),
        ("denoising", "--most 2000", "--most is 2000"),
        ("denoising", "--draft-updates 0", "--draft-updates is 0"),
        ("restoration", "", "recipe 'images.restoration' is unknown"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, recipe: str, arguments: str, says: str) -> None:
    assert says in refused("train", f"images.{recipe}", *SMALL, *words(arguments), "--out", tmp_path / "never")


# ---------------------------------------------------------------- pairs of the user's own

OWN = [word for word in SMALL if word not in ("--images", "digits")]


def pictures(folder: Path, x: np.ndarray, suffix: str = "png") -> Path:
    folder.mkdir(parents=True)
    for k, image in enumerate(x):
        Image.fromarray(image).save(folder / f"{k:03d}.{suffix}")
    return folder


def faces() -> tuple[np.ndarray, np.ndarray]:
    targets = np.random.default_rng(0).integers(0, 256, (240, 8, 8), dtype=np.uint8)
    return 255 - targets, targets


def test_pairs_of_a_file_and_of_folders(tmp_path: Path) -> None:
    inputs, targets = faces()
    file = tmp_path / "pairs.npz"
    np.savez(file, inputs=inputs, targets=targets)
    ok("compare", "images.pairs", "--path", file, *OWN, "--updates", "5", "--samples", "200", "--calls", "1", "--seeds", "2",
       "--jobs", "1", "--out", tmp_path / "c")  # fmt: skip
    assert methods(sound(tmp_path / "c", [0, 1])) == {"cold", "warm", "noise", "draft"} and "PSNR" in said(
        tmp_path / "c"
    )
    two = "--inputs", pictures(tmp_path / "i", inputs, "bmp"), "--targets", pictures(tmp_path / "t", targets)
    out = tmp_path / "run"
    ok("train", "images.pairs", *two, *OWN, "--size", "8", "--mode", "L", "--updates", "3", "--out", out)
    start = load(out).source.draw(6, noise=Noise.of(0, 6))
    given = {tuple(row) for row in (torch.as_tensor(inputs).flatten(1).float() / 127.5 - 1).mul(1000).round().tolist()}
    assert all(tuple(row) in given for row in start.condition["input"].flatten(1).mul(1000).round().tolist())


def test_images_of_a_folder_are_degraded(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", faces()[1])
    ok("train", "images.super_resolution", *OWN, "--images", "folder", "--path", folder, "--size", "8", "--mode", "L",
       "--updates", "3", "--out", tmp_path / "run")  # fmt: skip
    assert load(tmp_path / "run")(2).x.shape == (2, 1, 8, 8)


def test_impossible_pairs_are_named(tmp_path: Path) -> None:
    inputs, targets = faces()

    def says(*arguments: object) -> str:
        return refused("train", "images.pairs", *OWN, *arguments, "--out", tmp_path / "never")

    def file(name: str, **arrays: np.ndarray) -> Path:
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    assert "--inputs is missing" in says()
    assert "--targets is missing" in says("--inputs", tmp_path)
    assert "beside folders" in says("--inputs", tmp_path, "--path", "x.npz")
    assert "does not exist" in says("--path", tmp_path / "none.npz")
    assert "239 inputs and 240 targets" in says("--path", file("a.npz", inputs=inputs[1:], targets=targets))
    assert "one size" in says("--path", file("b.npz", inputs=inputs[:, :7], targets=targets))
    assert "not targets" in says("--path", file("c.npz", inputs=inputs, outputs=targets))
    assert "never unpickled" in says("--path", file("d.npz", inputs=inputs.astype(object), targets=targets))
    assert "too few" in says("--path", file("e.npz", inputs=inputs[:20], targets=targets[:20]))
    np.save(tmp_path / "f.npy", inputs)
    assert "not an archive" in says("--path", tmp_path / "f.npy")
    (tmp_path / "g.npz").write_bytes(b"nothing of the kind")
    assert "cannot be read as pairs" in says("--path", tmp_path / "g.npz")
    two = ["--inputs", pictures(tmp_path / "i", inputs[:30]), "--targets", pictures(tmp_path / "t", targets[:30])]
    (tmp_path / "t" / "007.png").unlink()
    assert "007 is only among the inputs" in says(*two, "--size", "8")
    Image.fromarray(targets[7]).save(tmp_path / "t" / "007.png")
    Image.fromarray(inputs[8]).save(tmp_path / "i" / "008.bmp")
    assert "008.bmp and 008.png" in says(*two, "--size", "8")
    (tmp_path / "i" / "008.bmp").unlink()
    Image.fromarray(np.tile(inputs[8], (1, 2))).save(tmp_path / "i" / "008.png")
    assert "008 has aspect ratio 2.00 among the inputs and 1.00" in says(*two, "--size", "8")
    assert "is not a folder" in says("--inputs", tmp_path / "i", "--targets", tmp_path / "none")
