"""The transformer for images: stands still untrained, puts every patch back where it was, knows places by their distance."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from warmflow.networks import DiT, parameters, seeded
from warmflow.networks.dit import PRESETS, places
from warmflow.noise import Noise


def draw(name: str, *shape: int) -> Tensor:
    return Noise.of(0, shape[0]).normal(name, *shape[1:])


def dit(size: tuple[int, int, int] = (1, 8, 12), moved: bool = True, **more) -> DiT:  # type: ignore[no-untyped-def]
    def build() -> DiT:
        network = DiT(size, **{"width": 16, "depth": 2, **more})
        if moved:
            for block in network.blocks:
                nn.init.normal_(block.modulation.weight, std=0.3)
            nn.init.normal_(network.out.weight, std=0.3)
        return network

    return seeded(0, build)


def test_presets_have_the_sizes_that_are_told() -> None:
    told = {"tiny": 0.32, "small": 32.4, "base": 129.4}
    for name, millions in told.items():
        with torch.device("meta"):
            assert parameters(DiT((3, 32, 32), **PRESETS[name])) / 1e6 == pytest.approx(millions, rel=0.02)


def test_an_untrained_network_stands_still() -> None:
    x, t = draw("x", 3, 1, 8, 12), torch.tensor([0.1, 0.5, 0.9])
    assert dit()(x, t).shape == x.shape and dit()(x, t).any()
    assert not dit(moved=False)(x, t).any()


def test_patches_come_back_to_their_places() -> None:
    """With neither blocks nor places, an output that inverts the input returns the image, pixel by pixel, but for the norm."""
    network = dit((2, 6, 4), depth=0, width=16)
    with torch.no_grad():
        network.get_buffer("places").zero_()
        network.into.bias.zero_()
        network.into.weight.copy_(torch.cat([torch.eye(8), -torch.eye(8)]))  # mean 0, so that the norm only scales
        network.out.weight.copy_(torch.cat([torch.eye(8), torch.zeros(8, 8)], 1))
        network.out.bias.zero_()
    x = draw("x", 2, 2, 6, 4)
    size = torch.nn.functional.pixel_unshuffle(x, 2).square().mean(1, keepdim=True).sqrt()
    wanted = x / size.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(network(x, torch.zeros(2)), wanted, atol=1e-4)


def test_places_know_each_other_by_their_distance() -> None:
    """<P(r, c), P(r', c')> depends on r - r' and c - c' alone, and is largest where both are 0."""
    p = places(5, 7, 32).double().unflatten(0, (5, 7))
    inner = torch.einsum("rcw,sdw->rcsd", p, p)
    for dr in range(4):
        for dc in range(6):
            same = torch.stack([inner[r, c, r + dr, c + dc] for r in range(5 - dr) for c in range(7 - dc)])
            assert float(same.std() if len(same) > 1 else 0) < 1e-5
            assert (dr, dc) == (0, 0) or float(same[0]) < 16 - 1e-3
    assert torch.allclose(inner[0, 0, 0, 0], torch.tensor(16.0, dtype=torch.float64))


def test_it_sees_each_condition_row_by_row_and_no_other_row() -> None:
    size = (1, 8, 8)
    network = dit(size, sees={"draft": size}, modulated={"z": (3,)}, classes=4).eval()
    inputs = {"x": draw("x", 4, *size), "t": torch.tensor([0.1, 0.3, 0.6, 0.9]), "label": torch.tensor([0, 1, 2, -1]),
              "draft": draw("d", 4, *size), "z": draw("z", 4, 3)}  # fmt: skip
    before = network(**inputs)
    for name, value in inputs.items():
        other = value.clone()
        other[2] = 3 if name == "label" else value[2] + 0.3
        moved = (network(**{**inputs, name: other}) - before).detach().flatten(1).abs().amax(1)
        assert float(moved[2]) > 1e-3, f"it does not see {name}"
        assert float(moved[[0, 1, 3]].max()) < 1e-5, f"{name} of one row reaches another"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"shape": (28, 28)}, "takes images"),
        ({"shape": (1, 7, 8)}, "multiples of patch = 2"),
        ({"shape": (1, 8, 8), "width": 18}, "width is 18"),
        ({"shape": (1, 8, 8), "width": 16, "heads": 3}, "its 3 heads"),
        ({"shape": (1, 8, 8), "sees": {"draft": (1, 4, 4)}}, r"draft is \(1, 4, 4\)"),
    ],
)
def test_impossible_shapes_are_named(more, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        DiT(**more)
