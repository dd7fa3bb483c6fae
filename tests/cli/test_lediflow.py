"""The learned prior as a recipe: cold, warm, LeDiFlow and LeDiFlow from the mean in one report, resumable, its facts told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from bad_input import words
from test_commands import methods, ok, said, sound
from test_distill import refused

from warmflow.checkpoints import load, load_part
from warmflow.noise import Noise
from warmflow.recipes.build import plan_of
from warmflow.recipes.settings import settings_of
from warmflow.sources import LearnedPrior

SMALL = words("--updates 12 --rounds 1 --samples 400 --width 16 --depth 1 --batch 32 --auxiliary-updates 150 --quiet "
              "--auxiliary-width 32 --latent-updates 40")  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lediflow") / "c"
    ok("compare", "lediflow.digits", *SMALL, "--calls", "1", "--seeds", "2", "--jobs", "2", "--out", out)
    return out


def test_all_flows_stand_in_one_report(compared: Path) -> None:
    facts = sound(compared, [0, 1])
    assert {c["name"]: (c["role"], c["of"]) for c in facts["curves"]} == {
        "cold": ("baseline", ""), "cold_assigned": ("baseline", ""), "cold_whole": ("baseline", ""),
        "warm": ("candidate", ""), "noise": ("control", "warm"), "draft": ("start", "warm"),
        "lediflow": ("candidate", ""), "prior": ("start", "lediflow"), "lediflow_mean": ("shown", ""),
    }  # fmt: skip
    assert list(facts["candidates"]) == ["lediflow", "warm"], "LeDiFlow's verdict is the first"
    words = facts["candidates"]["lediflow"]["words"]
    assert words["question"].startswith("Does LeDiFlow need fewer network calls than cold")
    assert "equal training of the flows" in words["conditions"], "a learned prior's own training comes on top"
    page = said(compared)
    for text in (
        "LeDiFlow from the mean",
        "learned prior alone",
        "distinguished from encoded ones",
        "latent sampler",
    ):
        assert text in page, text
    assert {"auxiliary model", "latent sampler", "draft", "pairing", "pairing of noise"} <= set(facts["bill"])
    bills = {c["name"]: set(c["bill"]) for c in facts["curves"]}
    assert bills["lediflow"] == {"auxiliary model", "latent sampler", "training"}
    assert bills["warm"] == {"draft", "pairing", "training"} and bills["cold"] == {"training"}


def test_the_facts_of_the_prior_are_its_own(compared: Path) -> None:
    """What config.json says is what the saved parts do on held-out images."""
    prior = load_part(compared / "seeds" / "0", "prior")
    told = json.loads((compared / "config.json").read_text())["facts"]["prior"]
    data = plan_of("lediflow.digits", settings_of("lediflow.digits")).data
    y = data.validation.x1 if data.validation is not None else data.heldout.x1
    with torch.no_grad():
        mean, _ = prior.auxiliary.decode(prior.auxiliary.encode(y)[0])
    explained = 1 - float((y - mean).square().mean() / (y - y.mean(0)).square().mean())
    assert explained == pytest.approx(told["explained"], abs=0.1)
    assert told["active"] <= told["latent"] == 8 and 0 <= told["clamped"] <= 1 and 0.5 <= told["latent_auc"] <= 1


def test_flows_start_at_the_prior_and_at_its_mean(compared: Path) -> None:
    for name, scale in (("lediflow", 1.0), ("lediflow_mean", 0.0)):
        sampler = load(compared / "seeds" / "0" / name)
        assert isinstance(sampler.source, LearnedPrior) and sampler.source.scale == scale
        start = sampler.source.draw(50, noise=Noise.of(0, 50))
        assert torch.equal(start.x0, start.condition["mean"]) == (scale == 0)
        assert start.calls is not None and int(start.calls[0]) == 7, "the latent's 4 Heun steps are the start's calls"
        assert "label" not in start.condition, "flows without labels beside it: the latent sampler is given none"


def test_the_same_command_reads_the_prior_again(compared: Path) -> None:
    stamps = [p.stat().st_mtime_ns for p in sorted(compared.glob("seeds/*/parts/prior/*/model.safetensors"))]
    ok("compare", "lediflow.digits", *SMALL, "--calls", "1", "--seeds", "2", "--jobs", "2", "--out", compared)
    assert stamps == [p.stat().st_mtime_ns for p in sorted(compared.glob("seeds/*/parts/prior/*/model.safetensors"))]
    assert len(stamps) == 4, "auxiliary model and latent sampler of two seeds"


def test_one_flow_is_trained_sampled_and_distilled(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ok("train", "lediflow.digits", *SMALL, "--weights", "variance", "--out", out)
    told = json.loads((out / "config.json").read_text())
    assert told["asked"]["arm"] == "lediflow", "the flow that the recipe is named after"
    prior = told["facts"]["prior"]
    ok("train", "lediflow.digits", *SMALL, "--arm", "cold", "--weights", "variance", "--out", tmp_path / "cold")
    ok("compare", out, tmp_path / "cold", "--calls", "1", "--quiet", "--out", tmp_path / "both")
    facts = sound(tmp_path / "both", [0])
    bill = facts["bill"]
    assert methods(facts) == {"lediflow", "cold", "prior"}
    assert (
        bill["auxiliary model"] == prior["auxiliary_seconds"] > 0
        and bill["latent sampler"] == prior["latent_seconds"] > 0
    )
    ok("sample", out, "-n", "16", "--quiet", "--out", tmp_path / "x.png")
    few = words("--updates 3 --batch 32 --quiet --no-report")
    ok("distill", out, *few, "--out", tmp_path / "student")
    student = load(tmp_path / "student")
    assert isinstance(student.source, LearnedPrior) and student(4).calls.tolist() == [1] * 4
    mean = tmp_path / "mean"
    ok("train", "lediflow.digits", *SMALL, "--arm", "lediflow_mean", "--out", mean)
    assert "without noise of its own" in refused("distill", mean, *few, "--out", tmp_path / "never")


def test_low_frequencies_are_a_prior_too(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ok("train", "lediflow.digits", *SMALL, "--arm", "lediflow", "--prior", "low_pass", "--out", out)
    sampler = load(out)
    assert isinstance(sampler.source, LearnedPrior) and sampler.source.latent.shape == (16,)
    start = sampler.source.draw(6, noise=Noise.of(0, 6))
    small = torch.nn.functional.avg_pool2d(start.condition["z"].reshape(-1, 1, 4, 4), 2)
    assert torch.allclose(torch.nn.functional.avg_pool2d(start.condition["mean"], 4), small, atol=0.35)
    assert sampler(3).x.shape == (3, 1, 8, 8)
    assert "--factor is 3" in refused("train", "lediflow.digits", *SMALL, "--arm", "lediflow", "--prior", "low_pass", "--factor",
                                      "3", "--out", tmp_path / "never")  # fmt: skip


def test_a_collapsed_latent_is_named_and_so_is_a_sigma_at_its_bounds(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    more = {"auxiliary_updates": 150, "auxiliary_width": 32, "latent_updates": 0, "batch": 32}
    plan = plan_of("lediflow.digits", settings_of("lediflow.digits", kl=1e3, **more))
    assert plan.prior is not None
    prior, facts = plan.prior(tmp_path / "collapsed", False, 0)
    assert facts["active"] == 0 and "posterior collapse" in facts["warning"]
    from warmflow.recipes import priors

    auxiliary = prior.auxiliary  # type: ignore[attr-defined]
    with torch.no_grad():
        auxiliary.decoder[-1].bias[64:] = -200.0
        auxiliary.decoder[-1].weight[64:] = 0.0
    with pytest.raises(ValueError, match=r"sigma is at its bounds on 100% of the pixels.*--kl"):
        priors._measured(auxiliary, plan.data, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--latent", "0"), "--latent is 0"),
        (("--kl", "-1"), "--kl is -1"),
        (("--auxiliary-updates", "0"), "--auxiliary-updates is 0"),
        (("--latent-updates", "-5"), "--latent-updates is -5"),
        (("--auxiliary-dropout", "1"), "--auxiliary-dropout is 1"),
        (("--weights", "some"), "--weights is 'some'"),
        (("--arm", "ledflow"), "--arm is 'ledflow'; did you mean 'lediflow'?"),
        (("--arm", "lediflow", "--dry-run"), "--dry-run cannot tell"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, arguments, says) -> None:  # type: ignore[no-untyped-def]
    assert says in refused("train", "lediflow.digits", *arguments, "--out", tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(("recipe", "shape"), [("lediflow.fashion", (1, 28, 28)), ("lediflow.cifar10", (3, 32, 32))])
def test_larger_images_from_a_learned_prior(
    recipe: str, shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmflow.data.cifar10 import cifar10_folder
    from warmflow.data.idx import fashion_folder

    if "WARMFLOW_DATA" not in os.environ:
        monkeypatch.setenv("WARMFLOW_DATA", str(Path(__file__).parents[3] / "shared" / "data"))
    if (fashion_folder() if recipe == "lediflow.fashion" else cifar10_folder()) is None:
        pytest.skip(f"the images of {recipe} are not here: set WARMFLOW_DATA")
    few = words("--most 1000 --updates 3 --batch 16 --width 4 --quiet --auxiliary-updates 60 --auxiliary-width 32 "
                "--latent-updates 10 --components 3")  # fmt: skip
    for arm in ("warm", "lediflow"):
        out = tmp_path / arm
        ok("train", recipe, *few, "--arm", arm, "--out", out)
        x = load(out)(3, seed=0, steps=2).x
        assert x.shape == (3, *shape) and float(x.abs().max()) <= 1
    images = recipe.replace("lediflow", "images")
    assert "--width is 6" in refused("train", images, "--width", "6", "--out", tmp_path / "never")
    assert "--depth is -1" in refused("train", images, "--depth", "-1", "--out", tmp_path / "never")
    assert "--most is 10" in refused("train", images, "--most", "10", "--out", tmp_path / "never")


def test_fashion_without_its_files_says_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmflow.data import idx

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARMFLOW_DATA", str(tmp_path))
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "debian")
    monkeypatch.setitem(sys.modules, "datasets", None)
    said = refused("train", "images.fashion", "--out", tmp_path / "never")
    assert "Fashion-MNIST was not found: set WARMFLOW_DATA" in said
