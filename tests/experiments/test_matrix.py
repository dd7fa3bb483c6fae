"""Every method on every problem that it fits, end to end, in small: trained, measured, judged, reported. Where a method does not
fit, one sentence says why. Methods and problems are found: those that are not named here are tried with their default options."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from warmflow.evaluation.study import Role
from warmflow.experiments.compare import compare
from warmflow.methods import METHODS
from warmflow.methods.base import settled
from warmflow.methods.cold import Cold
from warmflow.methods.distillation import Distillation
from warmflow.methods.learned_prior import LearnedPrior
from warmflow.methods.reflow import Reflow
from warmflow.methods.warm_start import WarmStart
from warmflow.problems import PROBLEMS, problem_of
from warmflow.problems.own import Folder
from warmflow.problems.restoration import SuperResolution
from warmflow.problems.text import Text
from warmflow.problems.toys import GridOfTokens, Moons

TRAINING = {"updates": 4, "batch": 16, "width": 16, "depth": 1}


def small_methods():
    return {
        "warm-start": WarmStart(rounds=1, block=64, passes=0),
        "learned-prior": LearnedPrior(
            auxiliary_updates=4, auxiliary_width=16, latent=2, latent_updates=4, latent_width=8, latent_steps=1
        ),
        "distillation": Distillation(updates=2),
        "reflow": Reflow(rows=64, steps=2, updates=4),
        "cold": Cold(),
    }


def candidates():
    """All methods that may be faster, those that are not named above with their defaults."""
    small = small_methods()
    return {
        name: small[name] if name in small else kind() for name, kind in METHODS.items() if kind.role is Role.CANDIDATE
    }


def folder(tmp_path):
    """240 small photographs."""
    noise = np.random.default_rng(0)
    for i in range(240):
        image = np.full((20, 20, 3), noise.integers(0, 200, 3), np.uint8)
        image[4:12, 4 : 6 + i % 10] = noise.integers(0, 255, 3)
        (tmp_path / "photographs").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photographs" / f"{i:03}.png")
    return Folder(path=str(tmp_path / "photographs"), size=8)


def problem(name, tmp_path):
    noise = np.random.default_rng(1)
    made = {
        "moons": lambda: Moons(train=400, heldout=400),
        "digits": lambda: "digits",
        "folder": lambda: folder(tmp_path),
        "points": lambda: (
            noise.standard_normal((600, 3)).astype(np.float32) @ noise.standard_normal((3, 3)).astype(np.float32)
        ),
        "pictures": lambda: noise.integers(0, 255, (400, 8, 8, 3), dtype=np.uint8),
        "grid": lambda: GridOfTokens(train=400, heldout=400, levels=16),
        "text": lambda: Text(length=16, most=400),
        "super-resolution": lambda: SuperResolution(images="digits", factor=2),
    }
    return problem_of(made[name]())


FLOATS = ("warm-start", "learned-prior", "distillation", "reflow")
FITS = {
    "moons": FLOATS, "digits": FLOATS, "folder": FLOATS, "points": FLOATS, "pictures": FLOATS, "grid": ("warm-start",),
    "text": ("warm-start",), "super-resolution": ("warm-start",),
}  # fmt: skip


def extra(name):
    return {"heads": 2} if name in ("grid", "text") else {}


@pytest.mark.long
@pytest.mark.parametrize("name", FITS)
def test_every_method_that_fits_is_judged(name, tmp_path):
    methods, known = candidates(), small_methods()
    setup = problem(name, tmp_path).setup(**TRAINING, **extra(name))
    asked = [methods[m] for m in FITS[name]]
    asked += [one for m, one in methods.items() if m not in known and not one.fits(setup)]
    if name == "super-resolution":
        from warmflow.drafts.regression import Regression

        asked = [WarmStart(draft=Regression(updates=2), sigma=0.3)]
    out = tmp_path / "out"
    report = compare(
        problem(name, tmp_path), asked, seeds=(0, 1), calls=(1, 2), samples=200, progress=False, out=out,
        **TRAINING, **extra(name),
    )  # fmt: skip
    found = json.loads((out / "verdict.json").read_text())
    config = json.loads((out / "config.json").read_text())
    classes = {told["class"] for told in config["asked"]["methods"].values()}
    assert {type(m).__name__ for m in asked} <= classes and "Cold" in classes
    assert len(found["candidates"]) == len(asked)
    assert all(c["outcome"] for c in found["candidates"].values())
    assert set(found["candidates"]) <= {curve["name"] for curve in found["curves"]}
    assert report.verdict is not None and (out / "report.html").stat().st_size > 10_000
    assert config["state"] == "complete"
    for seed in (0, 1):
        for member in config["asked"]["methods"]:
            told = json.loads((out / "seeds" / str(seed) / member / "config.json").read_text())
            assert told["state"] == "complete" and told["training"]["seconds"] > 0


@pytest.mark.parametrize("name", [n for n in FITS if set(FITS[n]) != set(FLOATS)])
@pytest.mark.parametrize("method", sorted(candidates()))
def test_a_method_that_does_not_fit_says_why_in_one_sentence(name, method, tmp_path):
    setup = problem(name, tmp_path).setup(**TRAINING, **extra(name))
    one = candidates()[method]
    if method in FITS[name] or (method not in FLOATS and not one.fits(setup)):
        assert settled(one, setup) is not None
        return
    with pytest.raises(ValueError, match=re.escape(setup.name)) as error:
        settled(one, setup)
    assert "\n" not in str(error.value)


def test_every_method_and_every_kind_of_problem_is_in_the_matrix():
    assert {*small_methods(), "own-model"} <= set(METHODS)
    assert set(METHODS) - {"own-model"} <= {*candidates(), "cold"}, (
        "a further baseline is tried by no test of this file"
    )
    named = ("moons", "digits", "folder", "arrays", "grid", "text", "super-resolution")
    kinds = {(PROBLEMS[name].space, PROBLEMS[name].network) for name in named}
    assert {(kind.space, kind.network) for kind in PROBLEMS.values()} <= kinds, (
        "a problem of a kind that is not in the matrix"
    )
