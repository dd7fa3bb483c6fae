"""Networks for images by name and size, and what says how fast they are computed: no part of what a run is."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import words
from PIL import Image
from test_commands import ok
from test_distill import refused

from warmflow.checkpoints import load, read_tensors
from warmflow.contracts import Batch, Player
from warmflow.couplings import Independent
from warmflow.fields import NetworkField
from warmflow.networks import MLP, DiT, UNet, parameters, seeded
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.recipes import images, plan
from warmflow.recipes.build import plan_for
from warmflow.recipes.settings import Fashion, Settings, settings_of
from warmflow.sources import StandardNormal
from warmflow.training import train

SMALL = words(
    "--size 8 --mode L --updates 3 --batch 16 --samples 400 --components 3 --rounds 1 --block 240 --passes 0 --quiet"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for k in range(240):
        x = rng.integers(0, 90, (8, 8)) + (150 if k % 2 else 0)
        Image.fromarray(x.astype(np.uint8)).save(folder / f"{k:03d}.png")
    return folder


def dry(photos: Path, *more: str) -> dict:  # type: ignore[type-arg]
    return json.loads(ok("train", "images.folder", "--path", photos, *SMALL, "--dry-run", *more))


def test_a_setting_that_came_later_is_no_part_of_runs_without_it() -> None:
    assert "capacity" not in settings_of("images.digits").asked
    assert settings_of("images.digits", pairing="nearest-datum", capacity=3).asked["capacity"] == 3


def test_a_dry_run_tells_size_and_speed(photos: Path) -> None:
    told = dry(photos, "--preset", "small", "--network", "dit")
    with torch.device("meta"):
        theirs = parameters(DiT((1, 8, 8), sees={"draft": (1, 8, 8)}, width=384, depth=12, heads=6))
    assert told["parameters"] == theirs and told["settings"]["network"] == "dit"
    speed = next(v for k, v in told.items() if k.startswith("calls_per_second_at_batch_"))
    assert speed > 0 and told["training_minutes"] > 0
    assert 140_000 < dry(photos)["parameters"] < 160_000
    wide = dry(photos, "--width", "8", "--depth", "2")["parameters"]
    assert wide == parameters(UNet((1, 8, 8), sees={"draft": (1, 8, 8)}, width=8, blocks=2))


def test_the_default_is_the_tiny_unet_it_always_was() -> None:
    settings = settings_of("images.fashion")
    assert isinstance(settings, Fashion)
    here = images.network_of(settings, (1, 28, 28))((1, 28, 28), {"draft": (1, 28, 28)}, 3)
    ours = here.state_dict()
    theirs = seeded(3, lambda: UNet((1, 28, 28), sees={"draft": (1, 28, 28)}, width=16)).state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize(("network", "kind"), [("unet", UNet), ("dit", DiT), ("mlp", MLP)])
def test_every_kind_trains_and_samples(photos: Path, tmp_path: Path, network: str, kind: type) -> None:
    out = tmp_path / "run"
    ok("train", "images.folder", "--path", photos, *SMALL, "--network", network, "--width", "16", "--out", out)
    sampler = load(out)
    assert type(sampler.field.network) is kind and sampler(3, seed=0).x.shape == (3, 1, 8, 8)  # type: ignore[attr-defined]


def test_images_of_an_array_take_a_unet_and_tiny_ones_a_perceptron() -> None:
    rng = np.random.default_rng(0)
    big, small = (rng.uniform(-1, 1, (240, 1, side, side)).astype(np.float32) for side in (8, 6))
    for x, kind in ((big, UNet), (small, MLP)):
        found = plan_for(x, components=3)
        assert type(found.network(found.data.shape, {}, 0)) is kind and found.name == "custom"
    assert plan_for(big, components=3).settings.rounds == 8  # few data: many drafts for each
    assert plan_for(big, components=3, rounds=2).settings.rounds == 2
    assert isinstance(plan_for(big, components=3, network="dit").network((1, 8, 8), {}, 0), DiT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--network cnn", "--network is 'cnn'"),
        ("--preset huge", "--preset is 'huge'"),
        ("--width 6", "a U-Net takes a multiple of 4"),
        ("--width -4", "--width is -4"),
        ("--width 6 --network dit", "a DiT takes a multiple of 4"),
        ("--width 20 --network dit --preset small", "its 6 heads"),
        ("--size 9 --network dit", "multiples of patch = 2"),
        ("--size 4 --preset base", "sides of at least 8"),
        ("--channels-last --network dit", "--channels-last is for U-Nets"),
    ],
)
def test_what_does_not_fit_is_named(photos: Path, tmp_path: Path, arguments: str, says: str) -> None:
    out = tmp_path / "never"
    assert says in refused("train", "images.folder", "--path", photos, *SMALL, *words(arguments), "--out", out)


# ---------------------------------------------------------------- how fast it is computed


class Stops(Batch):
    """Data that stop a run at its fourth batch."""

    def __getitem__(self, rows):  # type: ignore[no-untyped-def]
        object.__setattr__(self, "asked", getattr(self, "asked", 0) + 1)
        if self.asked == 4:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return Batch(self.x1[rows], {}, rows)


def trained(folder: Path, last: bool, stops: bool = False) -> dict[str, torch.Tensor]:
    net = seeded(0, lambda: UNet((2, 8, 8), width=8))
    if last:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = FlowMatching(
        NetworkField(net, LinearPath(0.0)), StandardNormal((2, 8, 8)), Independent(), Player(net, 0.01)
    )
    x = torch.linspace(-1, 1, 64 * 128).reshape(64, 2, 8, 8)
    data = Stops(x, {}, torch.arange(64)) if stops else Batch(x, {}, torch.arange(64))
    train(objective, data, steps=8, batch=16, seed=0, folder=folder, warmup=1)
    return read_tensors(folder / "checkpoint.safetensors")[0]


@pytest.mark.parametrize("first", [True, False])
def test_a_run_laid_out_by_pixels_may_be_continued_otherwise(tmp_path: Path, first: bool) -> None:
    plain = trained(tmp_path / "plain", False)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", first, stops=True)
    again = trained(tmp_path / "cut", not first)
    assert plain.keys() == again.keys()
    for name, value in plain.items():
        assert torch.allclose(value, again[name], atol=2e-3), name


def test_compiling_leaves_names_and_copies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    net = UNet((1, 8, 8), width=8)
    names = list(net.state_dict())
    monkeypatch.setattr(plan, "uncompiled", lambda: "")
    compiled = plan.set_up(net, Settings(compile=True))
    assert compiled is net and list(net.state_dict()) == names and net._compiled_call_impl is not None
    assert copy.deepcopy(net)._compiled_call_impl is None


def test_without_a_compiler_it_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "uncompiled", lambda: "no compiler was found")
    with pytest.warns(UserWarning, match="--compile is left out.*no compiler was found"):
        assert plan.set_up(MLP((2,), width=8), Settings(compile=True))._compiled_call_impl is None


def test_how_fast_is_no_part_of_what_was_asked(photos: Path, tmp_path: Path) -> None:
    assert not {"compile", "channels_last"} & set(settings_of("images.fashion").asked)
    same = ["train", "images.folder", "--path", photos, *SMALL, "--width", "8", "--out", tmp_path / "run"]
    ok(*same, "--channels-last")
    ok(*same)  # complete: it is the same run
    assert all("compile" not in k for k in load(tmp_path / "run").field.network.state_dict())  # type: ignore[attr-defined]
