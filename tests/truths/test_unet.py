"""The U-Net: stands still untrained, sees what it is told and nothing else, a row does not know its neighbours, any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from warmflow.networks import UNet, parameters, seeded
from warmflow.networks.unet import PRESETS, _Attention
from warmflow.noise import Noise


def draw(name: str, *shape: int) -> Tensor:
    return Noise.of(0, shape[0]).normal(name, *shape[1:])


def unet(size: tuple[int, int, int] = (1, 28, 28), moved: bool = True, **more) -> UNet:  # type: ignore[no-untyped-def]
    def build() -> UNet:
        network = UNet(size, **{"width": 8, **more})
        if moved:
            nn.init.normal_(network.out.weight, std=0.3)
        return network

    return seeded(0, build)


def test_the_default_for_fashion_has_the_size_that_is_told() -> None:
    assert parameters(UNet((1, 28, 28), sees={"draft": (1, 28, 28)}, width=16)) == 150_769


@pytest.mark.parametrize("size", [(1, 28, 28), (3, 7, 5), (2, 4, 4), (1, 33, 18)])
def test_any_size_comes_back_and_an_untrained_network_stands_still(size: tuple[int, int, int]) -> None:
    x, t = draw("x", 3, *size), torch.tensor([0.1, 0.5, 0.9])
    assert unet(size)(x, t).shape == x.shape
    assert not unet(size, moved=False)(x, t).any()


def test_presets_have_the_sizes_that_are_told() -> None:
    told = {"tiny": 0.151, "small": 3.22, "base": 20.2}
    for name, millions in told.items():
        with torch.device("meta"):
            assert parameters(UNet((3, 32, 32), **PRESETS[name])) / 1e6 == pytest.approx(millions, rel=0.01)


def test_attention_is_a_softmax_over_places_and_nothing_at_first() -> None:
    layer = seeded(0, lambda: _Attention(8))
    h = draw("h", 2, 8, 3, 5)
    assert torch.equal(layer(h), h)
    nn.init.normal_(layer.mix.weight)
    q, k, v = layer.keys(layer.norm(h)).flatten(2).chunk(3, 1)
    weights = torch.softmax(torch.einsum("bcn,bcm->bnm", q, k) / 8**0.5, 2)
    wanted = h + layer.mix(torch.einsum("bnm,bcm->bcn", weights, v).unflatten(2, (3, 5)))
    assert torch.allclose(layer(h), wanted, atol=1e-5)


@pytest.mark.parametrize("more", [{"multiples": (1, 2), "blocks": 2, "attention": (1,)}, {"multiples": (1, 1, 2, 2)}])
def test_other_depths_stand_still_and_come_back(more) -> None:  # type: ignore[no-untyped-def]
    x, t = draw("x", 2, 3, 9, 8), torch.tensor([0.2, 0.7])
    network = unet((3, 9, 8), **more)
    assert network(x, t).shape == x.shape and not unet((3, 9, 8), moved=False, **more)(x, t).any()
    corner = x.clone()
    corner[0, :, 0, 0] += 3
    moved = (network(corner, t) - network(x, t)).detach().abs()
    assert float(moved[0, :, -1, -1].max()) > 0 and not moved[1].any()


def test_it_sees_each_condition_row_by_row_and_no_other_row() -> None:
    size = (1, 12, 12)
    network = unet(size, sees={"draft": size}, modulated={"z": (3,)}, classes=4).eval()
    inputs = {"x": draw("x", 4, *size), "t": torch.tensor([0.1, 0.3, 0.6, 0.9]), "label": torch.tensor([0, 1, 2, -1]),
              "draft": draw("d", 4, *size), "z": draw("z", 4, 3)}  # fmt: skip
    before = network(**inputs)
    for name, value in inputs.items():
        other = value.clone()
        other[2] = 3 if name == "label" else value[2] + 0.3
        after = network(**{**inputs, name: other})
        moved = (after - before).detach().flatten(1).abs().amax(1)
        assert float(moved[2]) > 1e-3, f"it does not see {name}"
        assert float(moved[[0, 1, 3]].max()) < 1e-5, f"{name} of one row reaches another"


def test_what_it_sees_reaches_across_the_image() -> None:
    """By convolutions alone a pixel in one corner moves those 20 away in both directions: the centre of 28 x 28 sees it all."""
    network = unet(width=16).eval()
    for module in list(network.modules()):  # a norm's statistics couple all pixels, whatever the convolutions reach
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    x, t = torch.zeros(1, 1, 28, 28), torch.tensor([0.5])
    corner = x.clone()
    corner[0, 0, 0, 0] = 5.0
    assert float((network(corner, t) - network(x, t))[0, 0, 20, 20].abs().detach()) > 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"shape": (28, 28)}, "takes images"),
        ({"shape": (1, 3, 28)}, "sides of at least 4"),
        ({"shape": (1, 8, 8), "width": 6}, "width is 6"),
        ({"shape": (1, 8, 8), "blocks": 0}, "blocks 0"),
        ({"shape": (1, 8, 8), "attention": (3,)}, r"the resolutions 0 .. 2"),
        ({"shape": (1, 8, 8), "sees": {"draft": (1, 4, 4)}}, r"draft is \(1, 4, 4\)"),
    ],
)
def test_impossible_shapes_are_named(more, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        UNet(**more)
