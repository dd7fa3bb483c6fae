"""Trained drafts and pipelines from the command line: on the bill, taken up where they were cut off, refused by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import words
from PIL import Image
from test_commands import ARRAYS_FLOWS, methods, ok, sound
from test_distill import refused

from warmflow.checkpoints import load, load_part
from warmflow.experiments import pair_audits as audits
from warmflow.experiments.prepare import trained_seconds
from warmflow.noise import Noise
from warmflow.recipes.build import plan_for, plan_of
from warmflow.recipes.plan import pairs
from warmflow.recipes.settings import settings_of
from warmflow.sources import Decoded, DiffusersPipeline, GaussianMixture, StandardNormal

SMALL = words("--updates 12 --rounds 1 --samples 400 --width 16 --depth 1 --batch 32 --quiet")
DRAFT = words("--draft-updates 60 --draft-width 8 --draft-latent 4")


@pytest.mark.parametrize(("kind", "latent"), [("vae", GaussianMixture), ("gan", StandardNormal)])
def test_a_comparison_from_a_trained_draft(kind: str, latent: type, tmp_path: Path) -> None:
    out, asked = tmp_path / "c", ["--draft", kind, *DRAFT, "--calls", "1", "--seeds", "1", "--jobs", "1"]
    ok("compare", "images.digits", *SMALL, *asked, "--out", out)
    run = out / "seeds" / "0" / "parts" / "draft"
    source = load_part(out / "seeds" / "0", "draft")
    assert isinstance(source, Decoded) and isinstance(source.latent, latent)
    facts = sound(out, [0])
    trained = json.loads((run / "config.json").read_text())["training"]
    assert facts["bill"]["draft"] >= trained["seconds"] > 0 and trained["steps"] == 60
    assert methods(facts) == ARRAYS_FLOWS and set(facts["candidates"]["warm"]["missing"]) >= {"seeds"}
    bills = {c["name"]: c["bill"] for c in facts["curves"]}
    assert bills["warm"]["draft"] == facts["bill"]["draft"] and "draft" not in bills["cold"]
    assert "draft_shift" in facts["audit"]["assignment"]
    start = load(out / "seeds" / "0" / "warm").source.draw(5, noise=Noise.of(0, 5))
    assert start.calls is not None and start.calls.tolist() == [1] * 5, "the draft's own call is the start's"
    # cut off before the pairs were made: the draft is read, and its training stays on the bill
    for name in ("config.json", "verdict.json", "seeds/0/config.json", "seeds/0/draft.json"):
        (out / name).unlink()
    for path in (out / "seeds" / "0").iterdir():
        if path.is_dir() and path.name != "parts":
            shutil.rmtree(path)
    stamp = (run / "checkpoint.safetensors").stat().st_mtime_ns
    ok("compare", "images.digits", *SMALL, *asked, "--out", out)
    assert (run / "checkpoint.safetensors").stat().st_mtime_ns == stamp
    assert json.loads((out / "verdict.json").read_text())["bill"]["draft"] >= trained["seconds"]


def test_one_flow_is_trained_from_a_gan_and_drafts_are_kept_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ok("train", "images.digits", *SMALL, "--draft", "gan", *DRAFT, "--out", out)
    assert (out / "draft" / "model.safetensors").exists()
    assert load(out)(3, seed=0, steps=2).x.shape == (3, 1, 8, 8)
    ok("train", "images.digits", *SMALL, "--draft", "gan", *DRAFT, "--arm", "cold", "--out", tmp_path / "cold")
    assert not (tmp_path / "cold" / "draft").exists(), "a cold flow needs no draft"
    ok("compare", out, tmp_path / "cold", "--calls", "1", "--quiet", "--out", tmp_path / "both")
    told = json.loads((out / "draft" / "config.json").read_text())["training"]["seconds"]
    assert json.loads((tmp_path / "both" / "verdict.json").read_text())["bill"]["draft"] == told > 0


def test_the_drafts_of_all_classes_are_billed(tmp_path: Path) -> None:
    """Where they are read again, too: the time of the second command's reading is not the drafts'."""
    arguments = ("images.digits", "--conditional", *SMALL, "--draft", "gan", *DRAFT, "--pairing", "independent", "--calls", "1",
                 "--seeds", "2", "--jobs", "1", "--quiet", "--out", tmp_path / "c")  # fmt: skip
    ok("compare", *arguments)
    each = []
    for seed in ("0", "1"):
        folder = tmp_path / "c" / "seeds" / seed / "parts" / "draft"
        told = [json.loads(p.read_text())["training"]["seconds"] for p in folder.glob("label-*/config.json")]
        assert len(told) == 10 and trained_seconds(folder) == pytest.approx(sum(told))
        each.append(sum(told))
    assert json.loads((tmp_path / "c" / "verdict.json").read_text())["bill"]["draft"] >= sum(each) / 2 > 0


def test_folders_of_drafts_belong_to_images_by_name(tmp_path: Path) -> None:
    """Draft i is a tenth of image i, whatever part the image falls into."""
    x = np.random.default_rng(0).integers(0, 256, (260, 8, 8), dtype=np.uint8)
    for k, image in enumerate(x):
        for name, pixels in (("clean", image), ("drafts", image // 10)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{k:03d}.png")
    plan = plan_for(
        f"folder:{tmp_path / 'clean'}", tmp_path / "drafts", pairing="given", size=8, mode="L", width=8, block=64
    )
    paired = pairs(plan, plan.draft(), None)
    assert paired.start is not None

    def bytes_of(images: torch.Tensor) -> torch.Tensor:
        return ((images + 1) * 127.5).round().int()

    assert torch.equal(bytes_of(paired.start.x0), bytes_of(paired.x1) // 10)
    (tmp_path / "drafts" / "007.png").rename(tmp_path / "drafts" / "7.png")  # as many, in another order
    with pytest.raises(ValueError, match=r"not named like the images of .* \(first: 007\)"):
        plan_for(
            f"folder:{tmp_path / 'clean'}", tmp_path / "drafts", pairing="given", size=8, mode="L", width=8, block=64
        )
    (tmp_path / "drafts" / "7.png").unlink()
    (tmp_path / "drafts" / "007.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"007\.png' cannot be read"):
        plan_for(
            f"folder:{tmp_path / 'clean'}", tmp_path / "drafts", pairing="given", size=8, mode="L", width=8, block=64
        )


def test_drafts_in_another_range_are_noticed() -> None:
    images = 2 * Noise.of(0, 300).uniform("images", 1, 8, 8).float() - 1
    small = {"width": 8, "block": 64, "components": 2}
    assert not plan_for(images, images / 2, **small).data.warnings
    for half in ((images + 1) / 2, lambda n, seed: (images[:n] + 1) / 2):
        (line,) = plan_for(images, half, **small).data.warnings
        assert "give 2 x - 1" in line
    with pytest.raises(ValueError, match="scale them alike"):
        plan_for(images, 3 * images, **small)
    raw = images.clone()
    raw[0, 0, 0, :2] = torch.tensor([-2.5, 2.5])  # a model's output, not clipped
    assert not plan_for(images, raw, **small).data.warnings


def test_a_dry_run_trains_no_draft(tmp_path: Path) -> None:
    said = ok(
        "train",
        "images.digits",
        *SMALL,
        "--draft",
        "gan",
        "--draft-updates",
        "1000000",
        "--dry-run",
        "--out",
        tmp_path / "x",
    )
    assert json.loads(said)["settings"]["draft"] == "gan" and not (tmp_path / "x").exists()


def test_a_dry_run_beside_a_learned_prior_trains_no_draft(tmp_path: Path) -> None:
    million = ("--draft", "gan", "--draft-updates", "1000000")
    said = ok("train", "lediflow.digits", *SMALL, *million, "--arm", "warm", "--dry-run", "--out", tmp_path / "x")
    assert json.loads(said)["parameters"] > 0


def test_arrays_of_ones_own_may_have_trained_drafts() -> None:
    points = Noise.of(0, 300).normal("points", 2)
    plan = plan_for(points, "vae", draft_updates=20, draft_width=8, draft_latent=2)
    assert plan.draft().draw(4, noise=Noise.of(0, 4)).x0.shape == (4, 2)
    with pytest.raises(ValueError, match="draws images"):
        plan_for(points, "gan").draft()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("images.digits", "--draft", "vea"), "--draft is 'vea'; did you mean 'vae'?"),
        (("images.digits", "--draft", "diffusers:"), "--draft is 'diffusers:'"),
        (("images.digits", "--draft", "gan", "--draft-width", "6"), "--draft-width is 6"),
        (("images.digits", "--draft", "gan", "--draft-updates", "-1"), "--draft-updates is -1"),
        (("images.digits", "--draft", "vae", "--draft-steps", "0"), "--draft-steps is 0"),
        (("toy.moons", "--draft", "vae"), "--draft is 'vae'"),
        (("text.characters", "--draft", "gan"), "--draft is 'gan'"),
        (("images.super_resolution", "--draft", "gan"), "--draft is 'gan'"),
    ],
)
def test_impossible_drafts_are_named(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    assert says in refused("train", *arguments, "--out", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_pipeline_that_is_not_there_is_named(tmp_path: Path) -> None:
    line = refused("compare", "images.digits", *SMALL, "--draft", f"diffusers:{tmp_path}/none", "--out", tmp_path / "c")
    assert "no such folder" in line or "warmflow[diffusers]" in line


def test_a_comparison_from_a_pipeline(tmp_path: Path) -> None:
    library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    network = library.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    library.DDIMPipeline(network, library.DDIMScheduler()).save_pretrained(tmp_path / "p")
    out = tmp_path / "c"
    ok("compare", "images.digits", *SMALL, "--draft", f"diffusers:{tmp_path / 'p'}", "--draft-steps", "1", "--calls", "1",
       "--seeds", "1", "--jobs", "1", "--out", out)  # fmt: skip
    assert isinstance(load_part(out / "seeds" / "0", "draft"), DiffusersPipeline)
    with pytest.raises(ValueError, match="save_pretrained"):
        plan_for("images.digits", library.DDIMPipeline(network, library.DDIMScheduler()))
    asked = json.loads((out / "config.json").read_text())["asked"]
    assert asked["draft"] == f"diffusers:{tmp_path / 'p'}"
    assert json.loads((out / "verdict.json").read_text())["bill"]["draft"] > 0


def test_the_shift_of_given_drafts_is_told_on_large_sets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts that a flow is trained on as they are, and others that it will start from: the audit tells them apart."""
    x = Noise.of(0, 3000).normal("x", 2).numpy()
    near = x + 0.1 * Noise.of(1, 3000).normal("n", 2).numpy()
    monkeypatch.setattr(audits, "AUDITED", 1000)
    shifts = []
    for moved in (0.0, 2.0):
        plan = plan_for(x, near, pairing="given", block=100)
        source: Any = plan.draft()
        there = type(source)(source.draft + moved, source.shape)
        shifts.append(audits.audits(plan, there, pairs(plan, there, None))["given"])
    assert shifts[0]["draft_shift"] < 0.58 < 0.9 < shifts[1]["draft_shift"]
    assert shifts[0]["pairs"] == shifts[0]["data"] > 1000 and any("AUC" in flag for flag in shifts[1]["flags"])


def test_fashion_from_trained_drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmflow.data.idx import fashion_folder

    if "WARMFLOW_DATA" not in os.environ:
        monkeypatch.setenv("WARMFLOW_DATA", str(Path(__file__).parents[3] / "shared" / "data"))
    if fashion_folder() is None:
        pytest.skip("Fashion-MNIST is not here: set WARMFLOW_DATA")
    for kind in ("vae", "gan"):
        s = settings_of("images.fashion", most=1000, draft=kind, draft_updates=4, draft_width=8, components=3)
        try:
            x = plan_of("images.fashion", s).draft(tmp_path / kind).draw(2, noise=Noise.of(0, 2)).x0
        except ValueError as error:
            assert "collapsed" in str(error), "four updates may be too few"  # noqa: PT017
        else:
            assert x.shape == (2, 1, 28, 28) and bool(torch.isfinite(x).all()) and np.isfinite(x.numpy()).all()
