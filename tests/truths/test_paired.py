"""Paired problems: inputs belong to their targets, drafts to their inputs, and a sampler is told from a regression."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from warmflow.contracts import Batch, Player, Start
from warmflow.couplings import Independent
from warmflow.data import load
from warmflow.data.paired import denoising, lowered, paired_folders, pairs, super_resolution
from warmflow.metrics.restoration import psnr, recovered_variance, ssim
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import Regression
from warmflow.sources import Blurred, Conditioned, Restored, StandardNormal


def draw(name: str, *shape: int) -> torch.Tensor:
    return Noise.of(0, shape[0]).normal(name, *shape[1:])


# ---------------------------------------------------------------- inputs


def test_a_low_resolution_knows_the_means_of_its_blocks_and_nothing_else() -> None:
    y = draw("y", 5, 1, 8, 8)
    fine = draw("fine", 5, 1, 8, 8)
    fine = fine - torch.nn.functional.avg_pool2d(fine, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.allclose(lowered(y, 4), lowered(y + fine, 4), atol=1e-6)
    assert not torch.allclose(lowered(y, 4), lowered(y + 0.1, 4), atol=1e-2)
    assert torch.allclose(lowered(torch.full((1, 1, 8, 8), 0.4), 2), torch.tensor(0.4))


def test_every_part_carries_its_inputs() -> None:
    digits = load("digits")
    for part in (super_resolution(digits, 2).train, super_resolution(digits, 2).heldout):
        assert torch.equal(part.condition["input"], lowered(part.x1, 2)) and "label" in part.condition
    noisy = denoising(digits, 0.5)
    added = noisy.train.condition["input"] - noisy.train.x1
    assert float(added.std()) == pytest.approx(0.5, rel=0.01) and abs(float(added.mean())) < 0.01
    held = noisy.heldout.condition["input"] - noisy.heldout.x1
    assert abs(float((held * added[: len(held)]).mean())) < 0.01, "the held-out noise is the training noise"


def test_pairs_stay_together() -> None:
    targets = draw("t", 60, 1, 6, 6).clamp(-1, 1)
    data = pairs(-targets, targets)
    for part in (data.train, data.validation, data.heldout):
        assert part is not None and torch.equal(part.condition["input"], -part.x1)
    assert torch.equal(data.train.x1, targets[data.rows["train"]])


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for k in range(12):
        for where, value in (("in", 10 * k), ("out", 255 - 10 * k)):
            (tmp_path / where).mkdir(exist_ok=True)
            suffix = "png" if where == "in" else "bmp"
            Image.fromarray(np.full((6, 6), value, np.uint8)).save(tmp_path / where / f"{k}.{suffix}")
    data = paired_folders(tmp_path / "in", tmp_path / "out", 6, mode="L")
    assert torch.allclose(data.train.condition["input"], -data.train.x1, atol=1e-6)
    (tmp_path / "in" / "3.png").unlink()
    with pytest.raises(ValueError, match=r"3 is only among the targets \(1 such names\)"):
        paired_folders(tmp_path / "in", tmp_path / "out", 6)
    (tmp_path / "in" / "3.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"3\.png cannot be read"):
        paired_folders(tmp_path / "in", tmp_path / "out", 6)
    with pytest.raises(ValueError, match="is not a folder"):
        paired_folders(tmp_path / "none", tmp_path / "out", 6)


@pytest.mark.parametrize(
    ("inputs", "targets", "says"),
    [
        (torch.zeros(20, 1, 6, 6), torch.zeros(21, 1, 6, 6), "20 inputs and 21 targets"),
        (torch.zeros(20, 1, 3, 3), torch.zeros(20, 1, 6, 6), r"inputs are \(1, 3, 3\), targets \(1, 6, 6\)"),
        (torch.zeros(4, 1, 6, 6), torch.zeros(4, 1, 6, 6), "at least ten"),
    ],
)
def test_impossible_pairs_are_named(inputs, targets, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        pairs(inputs, targets)
    with pytest.raises(ValueError, match="factor is 3"):
        lowered(torch.zeros(2, 1, 8, 8), 3)


# ---------------------------------------------------------------- drafts


def test_a_condition_is_a_row_of_the_table_or_the_callers() -> None:
    table = torch.arange(5.0)[:, None]
    source = Conditioned(StandardNormal((2,)), "input", table)
    drawn = source.draw(20_000, noise=Noise.of(0, 20_000)).condition["input"]
    counts = torch.bincount(drawn[:, 0].long(), minlength=5)
    assert float((counts / 4000 - 1).abs().max()) < 0.06
    given = torch.full((3, 1), 9.0)
    assert torch.equal(source.draw(3, {"input": given}, noise=Noise.of(0, 3)).condition["input"], given)
    with pytest.raises(ValueError, match=r"input is \(3, 2\)"):
        source.draw(3, {"input": torch.zeros(3, 2)}, noise=Noise.of(0, 3))
    with pytest.raises(ValueError, match="is empty"):
        Conditioned(StandardNormal((2,)), "input", table[:0])


def test_a_draft_is_made_of_the_input_of_its_own_row() -> None:
    network = seeded(0, lambda: MLP((2,), width=8, depth=1))
    torch.nn.init.normal_(network.out.weight)
    table = draw("table", 30, 2)
    bare = Restored(network, table)
    start = Blurred(bare, 0.5).draw(4000, noise=Noise.of(0, 4000))
    with torch.no_grad():
        wanted = network(start.condition["input"], torch.zeros(4000))
    assert torch.allclose(start.condition["draft"], wanted, atol=1e-6)
    assert float((start.x0 - wanted).std()) == pytest.approx(0.5, rel=0.03)
    assert start.calls is not None and bool((start.calls == 1).all()), "the regression is a call"
    plain = Restored(None, table).draw(30, {"input": table}, noise=Noise.of(0, 30))
    assert torch.equal(plain.x0, table) and plain.calls is None
    batch = Batch(draw("y", 30, 2), {"input": table}, torch.arange(30))
    pair = Independent().pair(batch, Blurred(bare, 0.5), noise=Noise.of(3, 30))
    assert torch.equal(pair.start.condition["input"], table) and torch.equal(pair.x1, batch.x1)


def test_the_regression_is_of_the_target_on_its_input() -> None:
    """Its least loss is the conditional variance: y = input +- 1, so the best network is the identity, its loss 1."""

    class Identity(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            assert not t.any()
            return self.a * x

    network = Identity()
    objective = Regression(network, Player(network, 1e-3))
    x = draw("x", 2000, 3)
    signs = (torch.arange(2000) % 2 * 2.0 - 1)[:, None]
    batch = Batch(x + signs, {"input": x}, torch.arange(2000))
    pair = objective.pair(batch, noise=Noise.of(0, 2000))
    loss, _ = objective.loss("regression", pair, noise=Noise.of(0, 2000))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1.0, abs=1e-5)
    slope = -2 * float((signs * x).mean())
    assert network.a.grad is not None and float(network.a.grad) == pytest.approx(slope, abs=1e-5)
    with pytest.raises(ValueError, match="no 'input' to regress on"):
        objective.pair(replace(batch, condition={}), noise=Noise.of(0, 2000))
    assert isinstance(pair.start, Start)


# ---------------------------------------------------------------- what they are judged by


def test_exact_draws_recover_the_variance_and_a_regression_none() -> None:
    mean, v, many, n = draw("m", 4000, 3), 0.7, 4, 4000
    y = mean + v**0.5 * draw("y", n, 3)

    def sampled(scale: float) -> torch.Tensor:
        return torch.stack([mean + (scale * v) ** 0.5 * draw(f"x{k}", n, 3) for k in range(many)])

    assert recovered_variance(sampled(1.0), y) == pytest.approx(1.0, abs=0.03)
    assert recovered_variance(torch.stack([mean, mean]), y) == 0
    wide = 2.0 / ((1 + 2 / many) / (1 + 1 / many))
    assert recovered_variance(sampled(2.0), y) == pytest.approx(wide, abs=0.05)
    with pytest.raises(ValueError, match="at least two draws"):
        recovered_variance(mean[None], y)


def test_psnr_is_its_formula_and_ssim_one_for_the_same() -> None:
    y = draw("y", 3, 1, 16, 16).clamp(-1, 1)
    assert psnr(y + 0.1, y) == pytest.approx(20 * math.log10(2 / 0.1), abs=1e-4)
    with pytest.raises(ValueError, match="one sample for each"):
        psnr(y[:2], y)
    pytest.importorskip("torchmetrics")
    assert ssim(y, y) == pytest.approx(1.0, abs=1e-5) and ssim(-y, y) < 0.1
