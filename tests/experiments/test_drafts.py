"""Drafts: trained ones on the bill and taken up where they were cut off, the user's own, pipelines; what is refused, by name."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judged_runs import bills, image_set, roles, silent, sound
from PIL import Image

from warmflow.checkpoints import load, load_part
from warmflow.contracts import Batch
from warmflow.data.text import Alphabet
from warmflow.drafts import Draft, Own, Pipeline, Place, draft_of, fitted, own
from warmflow.drafts.autoregressive import LSTMDraft, NGramDraft
from warmflow.drafts.generators import GANDraft, VAEDraft
from warmflow.drafts.jittered import Jittered
from warmflow.drafts.mixture import Mixture
from warmflow.experiments import pair_audits as audits
from warmflow.experiments.compare import compare
from warmflow.experiments.compare_runs import compare_runs
from warmflow.experiments.train import dry_run, train_run
from warmflow.files import read_json
from warmflow.methods import Parts, settled
from warmflow.methods.base import Drafted
from warmflow.methods.cold import Cold
from warmflow.methods.parts import trained_seconds
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.problems import problem_of
from warmflow.problems.digits import Digits
from warmflow.problems.own import Folder
from warmflow.problems.restoration import SuperResolution
from warmflow.problems.text import Text
from warmflow.problems.toys import GridOfTokens, Moons
from warmflow.setup import Setup
from warmflow.sources import Decoded, DiffusersPipeline, GaussianMixture, StandardNormal

TRAINING = {"updates": 12, "width": 16, "depth": 1, "batch": 32}
VAE, GAN = VAEDraft(updates=60, width=8, latent=4), GANDraft(updates=60, width=8, latent=4)
NAMES = {"cold", "cold-minibatch", "cold-whole-set", "warm-start", "warm-start-from-noise", "warm-start-start"}


def compared_in(out: Path, method: WarmStart, seeds: tuple[int, ...] = (0,), **changes: Any) -> dict[str, Any]:
    compare(Digits(), [method], out=out, seeds=seeds, calls=(1,), samples=400, progress=False, **TRAINING, **changes)
    return sound(out, list(seeds))


@pytest.mark.long
@pytest.mark.parametrize(("draft", "latent"), [(VAE, GaussianMixture), (GAN, StandardNormal)])
def test_a_comparison_from_a_trained_draft(draft: Draft, latent: type, tmp_path: Path) -> None:
    out, method = tmp_path / "c", WarmStart(draft=draft, rounds=1)
    facts = compared_in(out, method)
    (run,) = (out / "seeds" / "0" / "drafts").iterdir()
    source = load_part(run / "source", "source")
    assert run.name.startswith(f"{draft.name}-") and isinstance(source, Decoded) and isinstance(source.latent, latent)
    trained = read_json(run / "config.json")["training"]
    assert facts["bill"]["draft"] >= trained["seconds"] > 0 and trained["steps"] == 60
    assert set(roles(facts)) == NAMES and set(facts["candidates"]["warm-start"]["missing"]) >= {"seeds"}
    found = bills(facts)
    assert found["warm-start"]["draft"] == facts["bill"]["draft"] and "draft" not in found["cold"]
    assert "draft_shift" in facts["audit"]["whole-set"]
    start = load(out / "seeds" / "0" / "warm-start").source.draw(5, noise=Noise.of(0, 5))
    assert start.calls is not None and start.calls.tolist() == [1] * 5, "the draft's own call is the start's"
    # cut off before the pairs were made: the draft is read, and its training stays on the bill
    for path in (out / "config.json", out / "verdict.json", out / "seeds" / "0" / "seconds.json"):
        path.unlink()
    for path in (run / "source", *(p for p in (out / "seeds" / "0").iterdir() if p.is_dir() and p.name != "drafts")):
        shutil.rmtree(path)
    stamp = (run / "checkpoint.safetensors").stat().st_mtime_ns
    again = compared_in(out, method)
    assert (run / "checkpoint.safetensors").stat().st_mtime_ns == stamp
    assert again["bill"]["draft"] >= trained["seconds"]


@pytest.mark.long
def test_one_flow_is_trained_from_a_gan_and_its_draft_is_kept_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_run(Digits(), WarmStart(draft=GAN, rounds=1), out, progress=False, echo=silent, **TRAINING)
    (kept,) = (out / "parts" / "drafts").glob("gan-*")
    assert (kept / "model.safetensors").exists()
    assert load(out)(3, seed=0, steps=2).x.shape == (3, 1, 8, 8)
    train_run(Digits(), Cold(), tmp_path / "cold", progress=False, echo=silent, **TRAINING)
    assert not list((tmp_path / "cold").rglob("drafts")), "a cold flow needs no draft"
    compare_runs([out, tmp_path / "cold"], tmp_path / "both", calls=(1,), samples=400, progress=False)
    told = read_json(kept / "config.json")["training"]["seconds"]
    assert (
        sound(tmp_path / "both", [0])["bill"]["draft"] == read_json(out / "config.json")["spent"]["draft"] >= told > 0
    )


@pytest.mark.long
def test_the_drafts_of_all_classes_are_billed(tmp_path: Path) -> None:
    """Where they are read again, too: the time of the second call's reading is not the drafts'."""
    method = WarmStart(draft=GAN, pairing="independent")
    facts = compared_in(tmp_path / "c", method, (0, 1), conditional=True)
    each = []
    for seed in ("0", "1"):
        (folder,) = (tmp_path / "c" / "seeds" / seed / "drafts").glob("gan-*")
        told = [read_json(p)["training"]["seconds"] for p in folder.glob("label-*/config.json")]
        assert len(told) == 10 and trained_seconds(folder) == pytest.approx(sum(told))
        each.append(sum(told))
    assert facts["bill"]["draft"] >= sum(each) / 2 > 0


# ---------------------------------------------------------------- the user's own drafts


def pairs(setup: Setup, draft: Draft, **options: Any) -> Batch:
    """The training data with drafts that were brought for each sample."""
    method = settled(WarmStart(draft=draft, pairing="given", **options), setup)
    found = method.drafted(Parts(setup, 0))
    assert found is not None and isinstance(found.pairs, Batch) and found.pairs.start is not None
    return found.pairs


def bytes_of(images: torch.Tensor) -> torch.Tensor:
    return ((images + 1) * 127.5).round().int()


def test_folders_of_drafts_belong_to_images_by_name(tmp_path: Path) -> None:
    """Draft i is a tenth of image i, whatever part the image falls into."""
    x = np.random.default_rng(0).integers(0, 256, (260, 8, 8), dtype=np.uint8)
    for k, image in enumerate(x):
        for name, pixels in (("clean", image), ("drafts", image // 10)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{k:03d}.png")
    setup = Folder(path=str(tmp_path / "clean"), size=8, mode="L").setup(width=8)
    drafts = draft_of(str(tmp_path / "drafts"))
    paired = pairs(setup, drafts)
    assert paired.start is not None and len(paired) == len(setup.data.train)
    assert torch.equal(bytes_of(paired.start.x0), bytes_of(paired.x1) // 10)
    method = settled(WarmStart(draft=drafts, pairing="given"), setup)
    held = torch.cat([part.x1 for part in (setup.data.validation, setup.data.heldout) if part is not None])
    fresh = method.starts_from(setup, method.flow(Parts(setup, 0)).sampler)
    assert fresh is not None
    others = {tuple(row) for row in (bytes_of(held) // 10).flatten(1).tolist()}
    drawn = bytes_of(fresh.source.draw(50, noise=Noise.of(0, 50)).x0).flatten(1).tolist()
    assert all(tuple(row) in others for row in drawn), "samples start from drafts that no pair holds"
    (tmp_path / "drafts" / "007.png").rename(tmp_path / "drafts" / "7.png")  # as many, in another order
    with pytest.raises(ValueError, match=r"not named like the images of .* \(first: 007\)"):
        pairs(setup, drafts)
    (tmp_path / "drafts" / "7.png").unlink()
    (tmp_path / "drafts" / "007.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"007\.png' cannot be read"):
        pairs(setup, drafts)


@pytest.mark.parametrize("kind", ["array", "file", "subfolder of folders"])
def test_drafts_given_with_the_data_are_trained_on_as_they_are(kind: str, tmp_path: Path) -> None:
    """From the call to the trained run: no pair is made, and the flow sees its own draft of each sample."""
    x = Noise.of(0, 400).normal("x", 2)
    y = x + 0.1
    if kind == "array":
        problem, draft = problem_of(x), Own(samples=y)
    elif kind == "file":
        np.save(tmp_path / "x.npy", x.numpy())
        np.save(tmp_path / "y.npy", y.numpy())
        problem, draft = problem_of(str(tmp_path / "x.npy")), Own(samples=str(tmp_path / "y.npy"))
    else:
        images = np.random.default_rng(0).integers(0, 256, (240, 8, 8), dtype=np.uint8)
        for k, image in enumerate(images):
            for name in ("clean", "drafts"):
                (tmp_path / name / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(tmp_path / name / "ab"[k % 2] / f"{k:03d}.png")
        problem = Folder(path=str(tmp_path / "clean"), size=8, mode="L")
        draft = Own(samples=str(tmp_path / "drafts"))
    method = WarmStart(draft=draft, pairing="given")
    out = tmp_path / "run"
    train_run(problem, method, out, progress=False, echo=silent, **TRAINING)
    assert not (out / "parts" / "pairs").exists(), "nothing was paired"
    assert read_json(out / "config.json")["asked"]["method"]["pairing"] == "given"
    assert torch.isfinite(load(out)(20, seed=0).x).all()
    setup = problem.setup(**TRAINING)
    shift = 0.1 if kind != "subfolder of folders" else 0.0
    found = pairs(setup, draft)
    assert found.start is not None and torch.allclose(found.start.x0, found.x1 + shift, atol=1e-5)


def test_a_file_of_drafts_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method and training seed asks for it."""
    path, read, count = tmp_path / "y.npy", own.read_arrays, [0]

    def counted(*given: Any) -> Any:
        count[0] += 1
        return read(*given)

    monkeypatch.setattr(own, "read_arrays", counted)
    np.save(path, np.ones((50, 2), np.float32))
    method = settled(WarmStart(draft=str(path)), points())
    first = [fitted(draft_of(str(path)), points(), Place(seed=seed)).draft for seed in (0, 1)]  # type: ignore[attr-defined]
    assert count == [1] and method.draft == str(path) and torch.equal(*first)
    np.save(path, np.zeros((60, 2), np.float32))
    assert len(fitted(draft_of(str(path)), points(), Place()).draft) == 60 and count == [2]  # type: ignore[attr-defined]


def points(n: int = 400) -> Setup:
    return problem_of(Noise.of(0, n).normal("x", 2)).setup(**TRAINING)


@pytest.mark.parametrize(
    ("draft", "says"),
    [
        (Own(samples=torch.zeros(399, 2)), "pairing is 'given', which needs one draft for each of the 400 samples"),
        (Own(samples=lambda n, seed: torch.zeros(n, 2)), "in the same order; got a callable"),
        (Own(samples=torch.zeros(400, 3)), "drafts have shape (400, 3), the data needs (N, 2)"),
        (Mixture(), "pairing is 'given', which needs a draft for each sample: give drafts aligned with the data"),
    ],
)
def test_drafts_that_are_not_given_with_the_data_are_named(draft: Draft, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        pairs(points(), draft)


def test_drafts_of_the_users_own_have_no_classes() -> None:
    setup = Digits().setup(conditional=True)
    with pytest.raises(
        ValueError, match="conditional fits a draft to each class, which is impossible for your own drafts"
    ):
        fitted(Own(samples=torch.zeros(9, 1, 8, 8)), setup, Place())


def test_drafts_are_told_apart_by_what_they_hold() -> None:
    """Two methods of a comparison, one with these drafts and one with those, are two; equal drafts are one."""
    x = torch.zeros(4, 2)
    assert Own(samples=x) == Own(samples=x.clone()) != Own(samples=x + 1)
    assert Own(samples=x).asked() != Own(samples=x + 1).asked() and Own(samples=x) != Own(samples=x, aligned=True)
    first, second = (lambda n, seed: x[:n]), (lambda n, seed: x[:n] + 1)
    assert Own(samples=first) == Own(samples=first) != Own(samples=second)
    assert WarmStart(draft=Own(samples=x)) == WarmStart(draft=Own(samples=x.clone()))
    assert WarmStart(draft=Own(samples=x)) != WarmStart(draft=Own(samples=x + 1))


def test_drafts_in_another_range_are_noticed() -> None:
    images = 2 * Noise.of(0, 300).uniform("images", 1, 8, 8).float() - 1
    setup = problem_of(images).setup(width=8)

    def warning(samples: Any) -> str:
        method = settled(WarmStart(draft=Own(samples=samples)), setup)
        return str(method.facts(Parts(setup, 0)).get("warning", ""))

    assert not warning(images / 2)
    for half in ((images + 1) / 2, lambda n, seed: (images[:n] + 1) / 2):
        assert "give 2 x - 1" in warning(half)
    with pytest.raises(ValueError, match="scale them alike"):
        warning(3 * images)
    raw = images.clone()
    raw[0, 0, 0, :2] = torch.tensor([-2.5, 2.5])  # a model's output, not clipped
    assert not warning(raw)


def texts(tmp_path: Path, n: int = 300) -> tuple[Setup, Alphabet, list[str], list[str]]:
    """A problem of texts, and as many drafts with their refined texts: the draft's first symbol is an x."""
    setup = Text(length=16, most=400).setup(width=16, depth=1, heads=2)
    codec = setup.data.codec
    assert isinstance(codec, Alphabet)
    refined = [codec.decode(row) for row in setup.data.train.x1[:n]]
    return setup, codec, ["x" + text[1:] for text in refined], refined


def test_drafts_of_texts_come_from_a_file_of_lines(tmp_path: Path) -> None:
    setup, codec, drafts, _ = texts(tmp_path)
    (tmp_path / "d.txt").write_text("\n".join(drafts) + "\n")
    method = settled(WarmStart(draft=str(tmp_path / "d.txt"), rounds=1, writer=2), setup)
    start = method.starts_from(setup, method.flow(Parts(setup, 0)).sampler)
    assert start is not None
    drawn = [codec.decode(row) for row in start.source.draw(20, noise=Noise.of(0, 20)).x0]
    assert set(drawn) <= set(drafts)
    assert method.brings(setup) == ("draft",), "the same drafts for every training seed"
    with pytest.raises(ValueError, match="pairing is 'given', but .*d.txt holds drafts only"):
        pairs(setup, Own(samples=str(tmp_path / "d.txt")))


def test_drafts_of_texts_with_what_they_were_refined_to_are_pairs(tmp_path: Path) -> None:
    setup, codec, drafts, refined = texts(tmp_path)
    lines = [json.dumps({"draft": d, "refined": r}) for d, r in zip(drafts, refined, strict=True)]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(lines))
    found = pairs(setup, Own(samples=str(path)))
    assert found.start is not None and len(found) == 240, "all but the last fifth"
    trained = {(codec.decode(a), codec.decode(b)) for a, b in zip(found.start.x0, found.x1, strict=True)}
    assert trained <= set(zip(drafts, refined, strict=True))
    method = settled(WarmStart(draft=str(path), pairing="given"), setup)
    start = method.starts_from(setup, method.flow(Parts(setup, 0)).sampler)
    assert start is not None
    drawn = {codec.decode(row) for row in start.source.draw(200, noise=Noise.of(0, 200)).x0}
    used = {codec.decode(row) for row in found.start.x0}
    assert drawn <= set(drafts) and (drawn - used or len(set(drafts)) < 300), "samples start from the others"
    objective, data = method.stages(Parts(setup, 0))[0].make({})
    assert data is not setup.data.train and len(data) == 240
    path.write_text("\n".join(lines[:150]))
    with pytest.raises(ValueError, match="holds 150 pairs, which are too few: give at least 200"):
        pairs(setup, Own(samples=str(path)))
    with pytest.raises(ValueError, match="is a file of texts, but the data are not texts"):
        settled(WarmStart(draft=str(path)), points())


# ---------------------------------------------------------------- without training


@pytest.mark.parametrize("draft", [GANDraft(updates=1_000_000), VAEDraft(updates=1_000_000)])
def test_a_dry_run_trains_no_draft(draft: Draft) -> None:
    told = dry_run(Digits(), WarmStart(draft=draft), echo=silent, **TRAINING)
    assert told["method"]["draft"]["class"] == type(draft).__name__ and told["parameters"] > 0


def test_arrays_of_ones_own_and_toys_may_have_trained_drafts() -> None:
    small = VAEDraft(updates=20, width=8, latent=2)
    for setup in (points(300), Moons(train=300, heldout=300).setup()):
        assert fitted(small, setup, Place()).draw(4, noise=Noise.of(0, 4)).x0.shape == (4, 2)
        with pytest.raises(ValueError, match="the draft 'gan' generates images"):
            fitted(GANDraft(), setup, Place())


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: draft_of("vea"), "the draft 'vea' is neither a known draft nor a file or folder; did you mean 'vae'?"),
        (lambda: draft_of("diffusers:"), "the draft 'diffusers:' is neither a known draft"),
        (lambda: GANDraft(width=6), "width is 6; it must be a multiple of 4"),
        (lambda: GANDraft(updates=-1), "updates is -1; it must be at least 1"),
        (lambda: Pipeline(path="p", steps=0), "steps is 0; it must be at least 1"),
        (lambda: Mixture(components=0), "components is 0; it must be at least 1"),
        (lambda: Jittered(spread=0), "spread is 0; it must be greater than 0"),
        (lambda: VAEDraft(latnt=3), "latnt is no option of VAEDraft; did you mean 'latent'?"),
    ],
)
def test_impossible_drafts_are_named(made: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        made()
    assert "\n" not in str(error.value) and "--" not in str(error.value)


@pytest.mark.parametrize(
    ("draft", "problem", "says"),
    [
        (GANDraft(), Text(length=16, most=400), "the draft 'gan' generates images"),
        (VAEDraft(), GridOfTokens(train=400, heldout=400), "the draft 'vae' is for floats, and grid is of tokens"),
        (Mixture(), GridOfTokens(train=400, heldout=400), "the draft 'mixture' is for floats, and grid is of tokens"),
        (GANDraft(), SuperResolution(images="digits"), "samples of super-resolution answer an input"),
        (Jittered(), Digits(), "the draft 'jittered' needs fresh data, which digits cannot draw"),
        (NGramDraft(), Digits(), "the draft 'ngram' is for texts, and digits has none"),
        (LSTMDraft(), Digits(), "the draft 'lstm' is for tokens, and digits is of floats"),
        (Mixture(components=600), Digits(), "components is 600; a mixture of 997 training samples takes at most 498"),
        (Pipeline(), Digits(), "path is missing; the draft 'diffusers' needs a pipeline's folder"),
        (Pipeline(path="p"), Moons(train=400, heldout=400), "the draft 'diffusers' draws images, and moons has none"),
    ],
)
def test_drafts_that_do_not_fit_a_problem_say_why(draft: Draft, problem: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        settled(WarmStart(draft=draft), problem.setup())
    assert "\n" not in str(error.value) and "--" not in str(error.value)


# ---------------------------------------------------------------- pipelines


@pytest.mark.long
def test_a_pipeline_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no such folder|warmflow\[diffusers\]"):
        compare(
            Digits(), [WarmStart(draft=f"diffusers:{tmp_path}/none")], out=tmp_path / "c", progress=False, **TRAINING
        )


@pytest.mark.long
def test_a_comparison_from_a_pipeline(tmp_path: Path) -> None:
    library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    network = library.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    library.DDIMPipeline(network, library.DDIMScheduler()).save_pretrained(tmp_path / "p")
    out, draft = tmp_path / "c", Pipeline(path=str(tmp_path / "p"), steps=1)
    assert replace(draft, steps=50) == draft_of(f"diffusers:{tmp_path / 'p'}")
    facts = compared_in(out, WarmStart(draft=draft, rounds=1))
    source: Any = load(out / "seeds" / "0" / "warm-start", pipeline=str(tmp_path / "p")).source
    assert isinstance(source.source, DiffusersPipeline) and facts["bill"]["draft"] > 0
    asked = read_json(out / "config.json")["asked"]["methods"]["warm-start"]
    assert asked["draft"] == {"class": "Pipeline", "path": str(tmp_path / "p"), "steps": 1}
    with pytest.raises(ValueError, match="save_pretrained"):
        settled(WarmStart(draft=Own(samples=library.DDIMPipeline(network, library.DDIMScheduler()))), Digits().setup())


# ---------------------------------------------------------------- audits


@pytest.mark.long
def test_the_shift_of_given_drafts_is_told_on_large_sets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts that a flow is trained on as they are, and others that it will start from: the audit tells them apart."""
    x = Noise.of(0, 3000).normal("x", 2).numpy()
    near = x + 0.1 * Noise.of(1, 3000).normal("n", 2).numpy()
    monkeypatch.setattr(audits, "AUDITED", 1000)
    setup = problem_of(x).setup()
    method = settled(WarmStart(draft=Own(samples=near), pairing="given", block=100), setup)
    found = method.drafted(Parts(setup, 0))
    assert found is not None
    source: Any = found.draft
    shifts = []
    for moved in (0.0, 2.0):
        there = replace(source, draft=source.draft + moved)
        shifts.append(audits.audits(setup, Drafted(there, found.pairing, found.pairs))["given"])
    assert shifts[0]["draft_shift"] < 0.58 < 0.9 < shifts[1]["draft_shift"]
    assert shifts[0]["pairs"] == shifts[0]["data"] > 1000 and any("AUC" in flag for flag in shifts[1]["flags"])


@pytest.mark.parametrize("draft", [VAEDraft(updates=4, width=8, components=3), GANDraft(updates=4, width=8)])
def test_fashion_from_trained_drafts(draft: Draft, tmp_path: Path) -> None:
    image_set("fashion-mnist")
    setup = problem_of("fashion-mnist", most=1000).setup()
    try:
        x = fitted(draft, setup, Place(tmp_path)).draw(2, noise=Noise.of(0, 2)).x0
    except ValueError as error:
        assert "all alike" in str(error) and "raise its updates" in str(error), "four updates may be too few"  # noqa: PT017
    else:
        assert x.shape == (2, 1, 28, 28) and bool(torch.isfinite(x).all())


def test_two_functions_of_one_name_are_two_drafts() -> None:
    """Parts are kept by what was asked: a second lambda must not be given the first one's drafts."""
    near, far, again = (
        Own(samples=lambda n, seed, at=at: at + Noise.of(seed, n).normal("x", 2)) for at in (0.0, 5.0, 0.0)
    )
    assert near.asked() != far.asked() and near.asked() == again.asked()
    parts = Parts(problem_of(Noise.of(0, 400).normal("x", 2)).setup(), seed=0)
    means = [float(parts.draft(one).draw(200, noise=Noise.of(0, 200)).x0.mean()) for one in (near, far)]
    assert abs(means[0]) < 0.5 and abs(means[1] - 5) < 0.5


def test_a_function_whose_drafts_do_not_repeat_is_known_by_its_name() -> None:
    unseeded, failing = Own(samples=lambda n, seed: torch.randn(n, 2)), Own(samples=lambda n, seed: 1 / 0)
    assert unseeded.asked()["samples"] == failing.asked()["samples"]
    assert str(unseeded.asked()["samples"]).endswith("<lambda>")


def test_a_warm_start_takes_drafts_in_every_form_that_a_user_has(tmp_path: Path) -> None:
    def mine(n: int, seed: int) -> torch.Tensor:
        return Noise.of(seed, n).normal("x", 2)

    np.save(tmp_path / "drafts.npy", np.zeros((30, 2), np.float32))
    for given in (mine, torch.zeros(30, 2), np.zeros((30, 2)), tmp_path / "drafts.npy", Own(samples=mine)):
        made = WarmStart(draft=given).draft  # type: ignore[arg-type]
        assert isinstance(made, Own)
        made.fit(problem_of(Noise.of(0, 400).normal("x", 2)).setup(), Place())
    assert WarmStart(draft="gan").draft == "gan" and WarmStart().draft is None
