"""Networks for images by name and size, and what says how fast they are computed: no part of what a run is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warmflow import setup as setups
from warmflow.checkpoints import load
from warmflow.contracts import Batch, Player
from warmflow.couplings import Independent
from warmflow.drafts.mixture import Mixture
from warmflow.experiments.run import asked_of
from warmflow.experiments.train import dry_run, train_run
from warmflow.fields import NetworkField
from warmflow.files import read_json, read_tensors
from warmflow.methods import method_from, settled
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.networks import MLP, DiT, UNet, parameters, seeded
from warmflow.objectives import FlowMatching
from warmflow.options import nested
from warmflow.paths import LinearPath
from warmflow.problems import problem_of
from warmflow.problems.digits import Digits
from warmflow.problems.own import Folder
from warmflow.problems.published import FashionMNIST
from warmflow.setup import Training, float_network, prepared_network
from warmflow.sources import StandardNormal
from warmflow.training import train

SMALL = {"updates": 3, "batch": 16}
WARM = WarmStart(draft=Mixture(components=3), rounds=1, block=240, passes=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for k in range(240):
        x = rng.integers(0, 90, (8, 8)) + (150 if k % 2 else 0)
        Image.fromarray(x.astype(np.uint8)).save(folder / f"{k:03d}.png")
    return folder


def images(photos: Path, size: int = 8) -> Folder:
    return Folder(path=str(photos), size=size, mode="L")


def silent(line: str) -> None:
    """Takes what would be printed."""


def dry(photos: Path, **changes: Any) -> dict[str, Any]:
    return dry_run(images(photos), WARM, echo=silent, **{**SMALL, **changes})


def test_an_option_that_a_run_was_told_without_has_its_default() -> None:
    """A run of a version before the option is read as one that did not use it."""
    told = nested(WarmStart(pairing="nearest-data"))
    assert told.pop("capacity") == 0
    assert method_from(told) == WarmStart(pairing="nearest-data")
    assert nested(WarmStart(pairing="nearest-data", capacity=3))["capacity"] == 3


@pytest.mark.long
def test_a_dry_run_tells_size_and_speed(photos: Path) -> None:
    told = dry(photos, preset="small", network="dit")
    with torch.device("meta"):
        theirs = parameters(DiT((1, 8, 8), sees={"draft": (1, 8, 8)}, width=384, depth=12, heads=6))
    assert told["parameters"] == theirs and told["training"]["network"] == "dit"
    speed = next(v for k, v in told.items() if k.startswith("calls_per_second_at_batch_"))
    assert speed > 0 and told["training_minutes"] > 0
    assert 140_000 < dry(photos)["parameters"] < 160_000
    wide = dry(photos, width=8, depth=2)["parameters"]
    assert wide == parameters(UNet((1, 8, 8), sees={"draft": (1, 8, 8)}, width=8, blocks=2))


def test_the_default_is_the_tiny_unet_it_always_was() -> None:
    assert FashionMNIST.network == "unet" and FashionMNIST.training == {}
    here = float_network(Training(), (1, 28, 28), FashionMNIST.network)((1, 28, 28), {"draft": (1, 28, 28)}, 3)
    ours = here.state_dict()
    theirs = seeded(3, lambda: UNet((1, 28, 28), sees={"draft": (1, 28, 28)}, width=16)).state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize(("network", "kind"), [("unet", UNet), ("dit", DiT), ("mlp", MLP)])
def test_every_kind_trains_and_samples(photos: Path, tmp_path: Path, network: str, kind: type) -> None:
    out = tmp_path / "run"
    train_run(images(photos), WARM, out, progress=False, echo=silent, network=network, width=16, **SMALL)
    sampler = load(out)
    assert type(sampler.field.network) is kind and sampler(3, seed=0).x.shape == (3, 1, 8, 8)  # type: ignore[attr-defined]


def test_images_of_an_array_take_a_unet_and_tiny_ones_a_perceptron() -> None:
    rng = np.random.default_rng(0)
    big, small = (rng.uniform(-1, 1, (240, 1, side, side)).astype(np.float32) for side in (8, 6))
    for x, kind in ((big, UNet), (small, MLP)):
        found = problem_of(x).setup()
        assert type(found.build(found.shape, {}, 0)) is kind and found.name == "arrays"
    setup = problem_of(big).setup()
    assert settled(WarmStart(), setup).rounds == 8  # few data: many drafts for each
    assert settled(WarmStart(rounds=2), setup).rounds == 2
    dit = problem_of(big).setup(network="dit")
    assert isinstance(dit.build((1, 8, 8), {}, 0), DiT)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"network": "cnn"}, "network is 'cnn'"),
        ({"network": "transformer"}, "network is 'transformer', which is for tokens; give mlp, unet or dit"),
        ({"preset": "huge"}, "preset is 'huge'"),
        ({"width": 6}, "width is 6; a unet takes a multiple of 4"),
        ({"width": -4}, "width is -4"),
        ({"width": 6, "network": "dit"}, "width is 6; a dit takes a multiple of 4"),
        ({"width": 20, "network": "dit", "preset": "small"}, "its 6 heads"),
        ({"size": 9, "network": "dit"}, "multiples of patch = 2"),
        ({"size": 4, "preset": "base"}, "sides of at least 8"),
        ({"channels_last": True, "network": "dit"}, "channels_last is for a U-Net, and network is 'dit'"),
    ],
)
def test_what_does_not_fit_is_named(photos: Path, tmp_path: Path, options: dict[str, Any], says: str) -> None:
    problem = images(photos, options.pop("size", 8))
    with pytest.raises(ValueError) as error:
        train_run(problem, WARM, tmp_path / "never", progress=False, echo=silent, **SMALL, **options)
    assert says in str(error.value) and "--" not in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "never").exists()


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


@pytest.mark.long
def test_compiling_leaves_names_and_copies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    net = UNet((1, 8, 8), width=8)
    names = list(net.state_dict())
    monkeypatch.setattr(setups, "compiler_missing", lambda: "")
    compiled = prepared_network(net, Training(compile=True))
    assert compiled is net and list(net.state_dict()) == names and net._compiled_call_impl is not None
    assert copy.deepcopy(net)._compiled_call_impl is None


def test_without_a_compiler_it_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setups, "compiler_missing", lambda: "no compiler was found")
    with pytest.warns(UserWarning, match="compile is left out.*no compiler was found"):
        assert prepared_network(MLP((2,), width=8), Training(compile=True))._compiled_call_impl is None


def test_how_fast_is_no_part_of_what_was_asked(photos: Path, tmp_path: Path) -> None:
    setup = Digits().setup()
    asked = asked_of(setup, settled(Cold(), setup), 0)
    assert not {"compile", "channels_last"} & set(asked["training"]) and "updates" in asked["training"]
    for fast in (True, False):  # complete after the first: it is the same run
        train_run(
            images(photos), Cold(), tmp_path / "run", progress=False, echo=silent, width=8, channels_last=fast, **SMALL
        )
    assert read_json(tmp_path / "run" / "config.json")["state"] == "complete"
    assert all("compile" not in k for k in load(tmp_path / "run").field.network.state_dict())  # type: ignore[attr-defined]
