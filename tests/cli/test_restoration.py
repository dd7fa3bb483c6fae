"""Restoring images from the command line: warm and cold given the same inputs; a regression wins on PSNR and has no variance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from bad_input import words
from test_commands import ok
from test_distill import refused

from warmflow.checkpoints import load
from warmflow.data import load as load_data
from warmflow.data.paired import lowered
from warmflow.noise import Noise
from warmflow.sources import Blurred, Conditioned, Restored

SMALL = words("--images digits --updates 40 --draft-updates 150 --width 8 --samples 400 --batch 64 --quiet")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("restoration") / "c"
    ok("compare", "images.restoration", *SMALL, "--steps", "1,2", "--seeds", "2", "--jobs", "1", "--out", out)
    return out


def test_a_regression_stands_beside_the_flows_and_has_no_variance(compared: Path) -> None:
    rows = json.loads((compared / "verdict.json").read_text())["rows"]
    arms = {r["arm"]: r["beside"] for r in rows if r["arm"] != "real"}
    assert set(arms) == {"cold", "warm", "draft"}
    assert arms["draft"]["recovered variance"] == 0 and arms["warm"]["recovered variance"] > 0.02
    assert arms["draft"]["PSNR"] > max(r["beside"]["PSNR"] for r in rows if r["arm"] in ("warm", "cold"))
    page = (compared / "report.html").read_text()
    for text in ("PSNR", "SSIM", "recovered variance"):
        assert text in page, text


def test_both_arms_are_given_inputs_that_nobody_was_trained_on(compared: Path) -> None:
    data = load_data("digits")
    assert data.validation is not None
    held = {tuple(row) for row in lowered(data.validation.x1, 4).flatten(1).tolist()}
    for arm in ("cold", "warm"):
        sampler = load(compared / "seeds" / "0" / arm)
        start = sampler.source.draw(64, noise=Noise.of(0, 64))
        assert all(tuple(row) in held for row in start.condition["input"].flatten(1).tolist())
        given = lowered(data.heldout.x1[:5], 4)
        assert torch.equal(sampler.source.draw(5, {"input": given}, noise=Noise.of(0, 5)).condition["input"], given)
        assert sampler.field.sees == (("input",) if arm == "cold" else ("draft", "input"))
    assert isinstance(sampler.source, Blurred) and isinstance(sampler.source.source, Restored)
    assert isinstance(load(compared / "seeds" / "0" / "cold").source, Conditioned)


def test_the_input_may_be_the_draft_and_noise_the_problem(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ok("train", "images.restoration", *SMALL, "--problem", "denoising", "--draft", "input", "--out", out)
    sampler = load(out)
    start = sampler.source.draw(9, noise=Noise.of(0, 9))
    assert torch.equal(start.condition["draft"], start.condition["input"]) and sampler.field.sees == ("draft",)
    assert sampler(3).x.shape == (3, 1, 8, 8)
    ok("distill", out, *words("--updates 3 --batch 16 --quiet --no-report --out"), tmp_path / "student")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--sigma", "0"), "--sigma is 0"),
        (("--factor", "3"), "--factor is 3"),
        (("--noise", "-1"), "--noise is -1"),
        (("--draft", "mixture"), "--draft is 'mixture'"),
        (("--pairing", "assignment"), "--pairing is 'assignment'"),
        (("--images", "cats"), "--images is 'cats'"),
        (("--problem", "colour"), "--problem is 'colour'"),
        (("--draft-updates", "0"), "--draft-updates is 0"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, arguments, says) -> None:  # type: ignore[no-untyped-def]
    assert says in refused("train", "images.restoration", *SMALL, *arguments, "--out", tmp_path / "never")
    assert not (tmp_path / "never").exists()
