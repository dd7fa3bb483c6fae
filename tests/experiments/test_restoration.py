"""Restoring images: warm and cold given the same inputs; a regression wins on PSNR and has no variance."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judged_runs import bills, roles, said, silent, sound
from PIL import Image

from warmflow.checkpoints import load
from warmflow.contracts import Source
from warmflow.data import load as load_data
from warmflow.data.paired import lowered
from warmflow.drafts.mixture import Mixture
from warmflow.drafts.regression import Input, Regression
from warmflow.experiments.audit import audit
from warmflow.experiments.compare import compare
from warmflow.experiments.compare_runs import compare_runs
from warmflow.experiments.distill import distill
from warmflow.experiments.train import dry_run, train_run
from warmflow.files import read_json
from warmflow.methods import Method, settled
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.problems import problem_of
from warmflow.problems.restoration import Denoising, ImagePairs, SuperResolution
from warmflow.sources import Blurred, Conditioned, Restored

pytestmark = pytest.mark.long

TRAINING = {"updates": 40, "width": 8, "batch": 64}
SMALL = SuperResolution(images="digits")
WARM = WarmStart(draft=Regression(updates=150))
NAMES = {"cold": "baseline", "warm-start": "candidate", "warm-start-from-noise": "control", "warm-start-start": "start"}


def trained(problem: Any, method: Method, out: Path, **changes: Any) -> None:
    train_run(problem, method, out, progress=False, echo=silent, **{**TRAINING, **changes})


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("restoration") / "c"
    compare(SMALL, [WARM], out=out, seeds=(0, 1), calls=(1, 2), samples=400, progress=False, **TRAINING)
    return out


def test_answers_are_judged_with_their_inputs(compared: Path) -> None:
    """Pairs of input and output decide first, the energy score of several answers beside them; a regression, which wins PSNR,
    has no variance, and what decides nothing is shown."""
    facts = sound(compared, [0, 1])
    assert {name: role for name, (role, _) in roles(facts).items()} == NAMES
    assert [m["name"] for m in facts["metrics"]] == [
        "pairs of input and output", "outputs", "classifier features", "gradients", "energy score"
    ]  # fmt: skip
    score = facts["metrics"][-1]
    assert score["scatter"] is None and not score["zero"], "a score has no zero, and no number of real images"
    points = {c["name"]: c["points"] for c in facts["curves"]}
    draft = points["warm-start-start"][0]
    assert draft["calls"] == 0 and draft["beside"]["recovered variance"] == 0
    flows = [p for name in ("cold", "warm-start", "warm-start-from-noise") for p in points[name]]
    assert all(p["beside"]["recovered variance"] > 0 for p in flows)
    for name in ("PSNR", "SSIM"):
        assert draft["beside"][name] > max(p["beside"][name] for p in flows), name
    # a point forecast has the CRPS of its absolute error, and an energy score above that of nobody's spread
    assert all({"CRPS", "coverage of 90%"} <= p["beside"].keys() for p in (draft, *flows))
    assert re.search("cost of draft .*counted", facts["candidates"]["warm-start"]["words"]["conditions"])
    assert bills(facts)["warm-start"].keys() == {"draft", "training"}, "independent pairs cost nothing"
    for text in ("PSNR", "SSIM", "recovered variance", "energy score", "pairs of input and output"):
        assert text in said(compared), text


def test_all_flows_are_given_inputs_that_nobody_was_trained_on(compared: Path) -> None:
    data = load_data("digits")
    assert data.validation is not None
    held = {tuple(row) for row in lowered(data.validation.x1, 4).flatten(1).tolist()}
    sources: dict[str, Source] = {}
    for name in ("cold", "warm-start-from-noise", "warm-start"):
        sampler = load(compared / "seeds" / "0" / name)
        sources[name] = sampler.source
        start = sampler.source.draw(64, noise=Noise.of(0, 64))
        assert all(tuple(row) in held for row in start.condition["input"].flatten(1).tolist())
        given = lowered(data.heldout.x1[:5], 4)
        assert torch.equal(sampler.source.draw(5, {"input": given}, noise=Noise.of(0, 5)).condition["input"], given)
        assert sampler.field.sees == (("input",) if name == "cold" else ("draft", "input"))  # type: ignore[attr-defined]
    warm, control = sources["warm-start"], sources["warm-start-from-noise"]
    assert isinstance(warm, Blurred) and isinstance(warm.source, Restored) and isinstance(sources["cold"], Conditioned)
    assert isinstance(control, Blurred) and control.sigma == warm.sigma
    fields = [load(compared / "seeds" / "0" / name).field for name in ("warm-start", "warm-start-from-noise")]
    assert fields[0].path.t0 == fields[1].path.t0  # type: ignore[attr-defined]
    draft = control.draw(2000, noise=Noise.of(0, 2000)).condition["draft"]
    assert abs(float(draft.mean())) < 0.02 and abs(float(draft.std()) - 1) < 0.02, "noise in the regression's place"


def test_finished_runs_have_no_pairings_to_audit(compared: Path, tmp_path: Path) -> None:
    runs = [compared / "seeds" / str(seed) / name for seed in (0, 1) for name in ("cold", "warm-start")]
    compare_runs(runs, tmp_path / "c", calls=(1,), samples=400, progress=False)
    found = sound(tmp_path / "c", [0, 1])
    assert found["audit"] == {} and set(roles(found)) == {"cold", "warm-start", "warm-start-start"}
    theirs = sound(compared, [0, 1])
    assert theirs["audit"] == {}
    a, b = (next(c for c in f["curves"] if c["name"] == "warm-start-start")["points"] for f in (found, theirs))
    assert a[0]["metrics"] == b[0]["metrics"], "the same regressions, measured on the same inputs"
    with pytest.raises(ValueError, match="has an input and a draft of its own, so there are no pairings to audit"):
        audit(SMALL)


def test_a_dry_run_trains_no_regression() -> None:
    """A million updates of it: a few are tried, so that the time of all of them is told."""
    method = WarmStart(draft=Regression(updates=10**6))
    told = dry_run(SMALL, method, echo=silent, **TRAINING)
    assert told["parameters"] > 0 and told["method"]["draft"]["class"] == "Regression"


def test_other_inputs_of_the_same_images_are_other_data(tmp_path: Path) -> None:
    inputs, targets = faces()
    file, out = tmp_path / "pairs.npz", tmp_path / "run"
    np.savez(file, inputs=inputs, targets=targets)
    trained(ImagePairs(path=str(file)), Cold(), out, updates=3)
    inputs[3] = 0
    np.savez(file, inputs=inputs, targets=targets)
    with pytest.raises(ValueError, match=r"holds a run with other settings: data was .*choose another"):
        trained(ImagePairs(path=str(file)), Cold(), out, updates=3)


def test_the_input_may_be_the_draft_and_noise_the_problem(tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained(Denoising(images="digits"), WarmStart(draft="input"), out)
    sampler = load(out)
    start = sampler.source.draw(9, noise=Noise.of(0, 9))
    assert torch.equal(start.condition["draft"], start.condition["input"])
    assert sampler.field.sees == ("draft",)  # type: ignore[attr-defined]
    assert sampler(3).x.shape == (3, 1, 8, 8) and read_json(out / "config.json")["state"] == "complete"
    distill(out, tmp_path / "student", updates=3, batch=16, progress=False, report=False)
    assert load(tmp_path / "student")(3).calls.tolist() == [1] * 3


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (
            WarmStart(sigma=0),
            "sigma is 0: a field that sees its draft then returns the conditional mean; give some noise",
        ),
        (
            WarmStart(draft=Mixture()),
            "samples of super-resolution answer an input: take the draft 'regression' or 'input'",
        ),
        (WarmStart(pairing="whole-set"), "pairing is 'whole-set', which super-resolution does not have"),
        (Cold(pairing="minibatch"), "cold flows of super-resolution have independent pairs; pairing is 'minibatch'"),
    ],
)
def test_methods_that_do_not_answer_an_input_say_why(method: Method, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        settled(method, SMALL.setup(**TRAINING))


@pytest.mark.parametrize(
    ("problem", "options", "says"),
    [
        ("super-resolution", {"factor": 3}, "factor is 3; it must divide the side of 8 pixels"),
        ("super-resolution", {"factor": 1}, "factor is 1; it must be at least 2"),
        ("denoising", {"noise": -1}, "noise is -1; it must be greater than 0"),
        ("super-resolution", {"images": "cats"}, "images is 'cats'"),
        ("super-resolution", {"noise": 0.3}, "noise is no option of SuperResolution"),
        ("super-resolution", {"images": "folder"}, "path is missing; images 'folder' needs the folder of images"),
        (
            "super-resolution",
            {"path": "somewhere"},
            "path is 'somewhere', but images is 'digits': set images to 'folder'",
        ),
        ("denoising", {"most": 2000}, "most is 2000, which is for fashion-mnist and cifar10: leave it out"),
        ("restoration", {}, "problem 'restoration' is unknown"),
    ],
)
def test_impossible_options_are_named(problem: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        problem_of(problem, **{"images": "digits", **options}).setup(**TRAINING)
    assert "\n" not in str(error.value) and "--" not in str(error.value)
    with pytest.raises(ValueError, match="updates is 0; it must be at least 1"):
        Regression(updates=0)


def test_drafts_of_an_input_are_for_problems_that_have_one() -> None:
    setup = problem_of("digits").setup()
    for draft in (Regression(), Input()):
        with pytest.raises(ValueError, match=f"the draft '{draft.name}' is for samples that answer an input"):
            settled(WarmStart(draft=draft), setup)


# ---------------------------------------------------------------- pairs of the user's own


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
    compare(
        ImagePairs(path=str(file)), [WARM], out=tmp_path / "c", seeds=(0, 1), calls=(1,), samples=200, progress=False,
        **{**TRAINING, "updates": 5},
    )  # fmt: skip
    assert set(roles(sound(tmp_path / "c", [0, 1]))) == set(NAMES) and "PSNR" in said(tmp_path / "c")
    i, t = pictures(tmp_path / "i", inputs, "bmp"), pictures(tmp_path / "t", targets)
    out = tmp_path / "run"
    trained(ImagePairs(inputs=str(i), targets=str(t), size=8, mode="L"), WARM, out, updates=3)
    start = load(out).source.draw(6, noise=Noise.of(0, 6))
    given = {tuple(row) for row in (torch.as_tensor(inputs).flatten(1).float() / 127.5 - 1).mul(1000).round().tolist()}
    assert all(tuple(row) in given for row in start.condition["input"].flatten(1).mul(1000).round().tolist())


def test_images_of_a_folder_are_degraded(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", faces()[1])
    problem = SuperResolution(images="folder", path=str(folder), size=8, mode="L")
    trained(problem, WARM, tmp_path / "run", updates=3)
    assert load(tmp_path / "run")(2).x.shape == (2, 1, 8, 8)


def test_impossible_pairs_are_named(tmp_path: Path) -> None:
    inputs, targets = faces()

    def says(**options: object) -> str:
        with pytest.raises(ValueError) as error:
            problem_of("pairs", **{k: v if isinstance(v, int) else str(v) for k, v in options.items()}).setup()
        assert "\n" not in str(error.value) and "--" not in str(error.value)
        return str(error.value)

    def file(name: str, **arrays: np.ndarray) -> Path:
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    assert "inputs is missing" in says()
    assert "targets is missing" in says(inputs=tmp_path)
    assert "beside folders" in says(inputs=tmp_path, path="x.npz")
    assert "does not exist" in says(path=tmp_path / "none.npz")
    assert "239 inputs and 240 targets" in says(path=file("a.npz", inputs=inputs[1:], targets=targets))
    assert "one size" in says(path=file("b.npz", inputs=inputs[:, :7], targets=targets))
    assert "not targets" in says(path=file("c.npz", inputs=inputs, outputs=targets))
    assert "never unpickled" in says(path=file("d.npz", inputs=inputs.astype(object), targets=targets))
    assert "too few" in says(path=file("e.npz", inputs=inputs[:20], targets=targets[:20]))
    np.save(tmp_path / "f.npy", inputs)
    assert "not an archive" in says(path=tmp_path / "f.npy")
    (tmp_path / "g.npz").write_bytes(b"nothing of the kind")
    assert "cannot be read as pairs" in says(path=tmp_path / "g.npz")
    i, t = pictures(tmp_path / "i", inputs[:30]), pictures(tmp_path / "t", targets[:30])
    (tmp_path / "t" / "007.png").unlink()
    assert "007 is only among the inputs" in says(inputs=i, targets=t, size=8)
    Image.fromarray(targets[7]).save(tmp_path / "t" / "007.png")
    Image.fromarray(inputs[8]).save(tmp_path / "i" / "008.bmp")
    assert "008.bmp and 008.png" in says(inputs=i, targets=t, size=8)
    (tmp_path / "i" / "008.bmp").unlink()
    Image.fromarray(np.tile(inputs[8], (1, 2))).save(tmp_path / "i" / "008.png")
    assert "008 has aspect ratio 2.00 among the inputs and 1.00" in says(inputs=i, targets=t, size=8)
    assert "is not a folder" in says(inputs=i, targets=tmp_path / "none")
