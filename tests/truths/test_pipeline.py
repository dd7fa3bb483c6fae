"""A diffusers pipeline as a draft: its pictures in the data's form, a sample that depends on its seed and number alone, what is
refused. Pipelines of the library itself are built from a configuration, at random; without it those tests are skipped."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from warmflow.checkpoints import config, rebuild
from warmflow.noise import Noise
from warmflow.sources import Blurred, DiffusersPipeline
from warmflow.sources.pipeline import as_images


def pictures(*shape: int) -> np.ndarray:
    return Noise.of(0, shape[0]).uniform("pictures", *shape[1:], dtype=torch.float32).numpy()


def test_pictures_keep_their_values_and_change_their_range() -> None:
    made = pictures(3, 6, 6, 1)
    x = as_images(made, (1, 6, 6), 3)
    assert x.shape == (3, 1, 6, 6) and torch.allclose(x[:, 0], 2 * torch.as_tensor(made[..., 0]) - 1)


def test_grey_becomes_colour_and_colour_grey() -> None:
    grey, colour = pictures(2, 4, 4, 1), pictures(2, 4, 4, 3)
    x = as_images(grey, (3, 4, 4), 2)
    assert torch.equal(x[:, 0], x[:, 1]) and torch.equal(x[:, 0], x[:, 2])
    y = as_images(colour, (1, 4, 4), 2)
    luma = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
    assert torch.allclose(y[:, 0], 2 * torch.as_tensor(luma) - 1, atol=1e-6)
    assert torch.allclose(as_images(np.ones((1, 2, 2, 3), np.float32), (1, 2, 2), 1), torch.ones(1, 1, 2, 2))


def test_another_size_keeps_the_mean_and_what_does_not_fit_is_taken_out() -> None:
    """A chequered board of single pixels is grey at a third of its size."""
    board = np.indices((12, 12)).sum(0) % 2
    x = as_images(board[None, :, :, None].astype(np.float32), (1, 4, 4), 1)
    assert float(x[:, :, 1:3, 1:3].abs().max()) < 0.15
    flat = as_images(np.full((1, 5, 5, 1), 0.3, np.float32), (1, 28, 28), 1)
    assert torch.allclose(flat, torch.full((1, 1, 28, 28), -0.4), atol=1e-6)


@pytest.mark.parametrize(
    ("made", "shape", "says"),
    [
        (pictures(2, 4, 4, 1) * 255, (1, 4, 4), r"values from .* images must lie in \[0, 1\]"),
        (pictures(2, 4, 4, 1) * 2 - 1, (1, 4, 4), r"images must lie in \[0, 1\]"),
        (np.full((2, 4, 4, 1), np.nan), (1, 4, 4), "NaN"),
        (pictures(2, 4, 8, 1), (1, 4, 4), "4 x 8, the data have 4 x 4"),
        (pictures(2, 4, 4, 4), (3, 4, 4), "4 channels, the data have 3"),
        (pictures(2, 4, 4, 3), (2, 4, 4), "3 channels, the data have 2"),
        (pictures(3, 4, 4, 1), (1, 4, 4), r"expected 2 float images of shape \(n, h, w, c\)"),
        ((pictures(2, 4, 4, 1) * 255).astype(np.uint8), (1, 4, 4), "uint8"),
        (pictures(2, 4, 4), (1, 4, 4), "expected 2 float images"),
    ],
)
def test_pictures_of_another_form_are_named(made: np.ndarray, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        as_images(made, shape, 2)


def own(batch_size: int = 1, generator: Any = None, num_inference_steps: int = 50, output_type: str = "pil") -> Any:
    return SimpleNamespace(images=np.stack([torch.rand(6, 6, 1, generator=g).numpy() for g in generator]))


def deaf(batch_size: int = 1, generator: Any = None, num_inference_steps: int = 50, output_type: str = "pil") -> Any:
    return SimpleNamespace(images=np.linspace(0, 1, batch_size * 36, dtype=np.float32).reshape(batch_size, 6, 6, 1))


def steered(prompt: str = "", batch_size: int = 1, generator: Any = None, num_inference_steps: int = 50,
            output_type: str = "pil") -> Any:  # fmt: skip
    return None


def test_what_no_unconditional_pipeline_is_is_refused() -> None:
    shape = (1, 6, 6)
    assert DiffusersPipeline.of(own, shape, 3).steps == 3
    with pytest.raises(ValueError, match="ignores the generator"):
        DiffusersPipeline.of(deaf, shape)
    with pytest.raises(ValueError, match="steered by 'prompt'"):
        DiffusersPipeline.of(steered, shape)
    with pytest.raises(ValueError, match="takes no batch_size"):
        DiffusersPipeline.of(lambda n: None, shape)
    with pytest.raises(ValueError, match="the pipeline is a int"):
        DiffusersPipeline.of(3, shape)
    with pytest.raises(ValueError, match="steps is 0"):
        DiffusersPipeline.of(own, shape, 0)
    with pytest.raises(ValueError, match="draws images"):
        DiffusersPipeline.of(own, (2,))


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    with pytest.raises(ValueError, match="no such folder"):
        DiffusersPipeline.of(str(tmp_path / "nowhere"), (1, 6, 6))
    with pytest.raises(ValueError, match=r"model_index\.json"):
        DiffusersPipeline.of(str(tmp_path), (1, 6, 6))
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be loaded"):
        DiffusersPipeline.of(str(tmp_path), (1, 6, 6))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"warmflow\[diffusers\]"):
        DiffusersPipeline.of("nowhere", (1, 6, 6))


def pipeline(kind: str, channels: int = 1, size: int = 8) -> Any:
    """A pipeline of the library with a network of a few hundred weights, at random."""
    library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = library.UNet2DModel(
            sample_size=size, in_channels=channels, out_channels=channels, layers_per_block=1, block_out_channels=(8, 8),
            norm_num_groups=4, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        )  # fmt: skip
    made = getattr(library, f"{kind}Pipeline")(network, getattr(library, f"{kind}Scheduler")())
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("kind", ["DDPM", "DDIM"])
def test_a_sample_depends_on_its_seed_and_number_alone(kind: str) -> None:
    source = DiffusersPipeline.of(pipeline(kind), (1, 8, 8), 3)
    whole = source.draw(7, noise=Noise.of(1, 7))
    assert float(whole.x0.abs().max()) <= 1 and len(whole.x0.unique(dim=0)) == 7
    assert whole.calls is not None and whole.calls.tolist() == [3] * 7, "the network's own calls are counted"
    parts = [source.draw(k, noise=Noise.of(1, k, first)).x0 for first, k in ((0, 3), (3, 4))]
    assert torch.allclose(whole.x0, torch.cat(parts), atol=1e-5)
    assert not torch.allclose(whole.x0, source.draw(7, noise=Noise.of(2, 7)).x0, atol=0.1)


def test_a_pipeline_in_a_folder_is_told_by_its_name_and_passed_again(tmp_path: Path) -> None:
    pipeline("DDIM", 3).save_pretrained(tmp_path / "p", safe_serialization=True)
    source = Blurred(DiffusersPipeline.of(str(tmp_path / "p"), (1, 12, 12), 2), 0.1)
    start = source.draw(4, noise=Noise.of(0, 4))
    described, tensors = config(source)
    assert str(tmp_path / "p") in json.dumps(described) and not tensors
    with pytest.raises(ValueError, match=r"the run was made with the pipeline '.*/p': pass it again, pipeline="):
        rebuild(json.loads(json.dumps(described)), tensors)
    again = rebuild(json.loads(json.dumps(described)), tensors, pipeline=str(tmp_path / "p"))
    assert torch.equal(start.x0, again.draw(4, noise=Noise.of(0, 4)).x0)
    assert start.condition["draft"].shape == (4, 1, 12, 12)


def test_a_pipeline_of_labels_is_refused() -> None:
    library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'warmflow[diffusers]'")
    with pytest.raises(ValueError, match="steered by 'class_labels'"):
        DiffusersPipeline.of(object.__new__(library.DiTPipeline), (3, 8, 8))
