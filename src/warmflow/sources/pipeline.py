"""An unconditional image pipeline of diffusers as a draft, such as DDPM or DDIM.

Each sample has its own torch generator, seeded from the sample's noise stream: a draft depends on the seed and the index of the
sample, not on the rest of the batch (except for the last bits of the network's arithmetic). Images in [0, 1] are scaled to
[-1, 1], converted between grey and colour (weights of ITU-R BT.601), and resized to the data's size with antialiasing.

diffusers is an optional dependency and is imported when a pipeline is loaded. Weights are read from safetensors only. A pipeline
that brings code, or that names parts of other libraries than diffusers and transformers, is refused before diffusers reads it:
several versions of diffusers run the code of a local folder without being asked.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.contracts import Condition, Source, Start
from warmflow.files import read_json
from warmflow.noise import Noise
from warmflow.number_checks import is_whole
from warmflow.user_code import evaluating, naming

PREFIX = "diffusers:"
ROWS = 64
LUMA = (0.299, 0.587, 0.114)
TOLERANCE = 1e-2
"""Largest difference of a sample drawn in two different batches; above it, the pipeline ignores the generators."""
LIBRARIES = ("diffusers", "transformers")
"""The libraries that a pipeline's parts may come from."""
STEERED = ("prompt", "image", "class_labels", "label_ids", "mask_image", "audio")


def load_pipeline(name: str) -> Any:
    """Loads the pipeline from a folder, or by its name on the Hub, and disables its progress bar.

    Raises:
        ValueError: diffusers is not installed, or the pipeline does not exist or is damaged.
    """
    try:
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging
    except ImportError as error:
        raise ValueError(f"the draft {PREFIX + name!r} needs pip install 'warmflow[diffusers]' ({error})") from None
    here = os.path.isdir(name)
    if not here and (name.startswith((".", "/", "~")) or name.count("/") > 1 or os.path.exists(name)):
        raise ValueError(
            f"the draft is {PREFIX + name!r}, but there is no such folder: give one written by save_pretrained"
        )
    if here and not os.path.exists(os.path.join(name, "model_index.json")):
        raise ValueError(
            f"{name} does not contain a diffusers pipeline (no model_index.json): give a folder written by save_pretrained"
        )
    logging.disable_progress_bar()
    try:
        place = name if here else DiffusionPipeline.download(name, use_safetensors=True)
        check_plain(Path(place), name)
        pipeline = DiffusionPipeline.from_pretrained(str(place), use_safetensors=True, local_files_only=True)
    except _Refused:
        raise
    except Exception as error:  # diffusers raises many kinds of errors
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"the diffusers pipeline {name!r} cannot be loaded: {first or type(error).__name__}") from None
    finally:
        logging.enable_progress_bar()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class _Refused(ValueError):
    """A pipeline that brings code."""


def check_plain(folder: Path, name: str) -> None:
    """Raises ValueError if the pipeline in a folder brings code of its own or parts of libraries other than ``LIBRARIES``."""
    refused = f"the diffusers pipeline {name!r} cannot be loaded"
    code = next(iter(sorted(folder.rglob("*.py"))), None)
    if code is not None:
        raise _Refused(f"{refused}: it brings code ({code.relative_to(folder)}), which is never run; use one without")
    match read_json(folder / "model_index.json"):
        case {"_class_name": str(), **others}:
            parts = {str(key): value[0] for key, value in others.items() if type(value) is list and value}
        case _:
            raise _Refused(
                f"{refused}: its model_index.json names no class of diffusers; give what save_pretrained wrote"
            )
    for key, library in parts.items():
        if not key.startswith("_") and library not in (None, *LIBRARIES):
            raise _Refused(f"{refused}: its {key} is of {library!r:.50}; known are {' and '.join(LIBRARIES)}")


_cached_pipeline: Callable[[str], Any] = lru_cache(maxsize=1)(load_pipeline)


@dataclass(frozen=True, eq=False)
class DiffusersPipeline(Source):
    """Draws images (n, C, H, W) in [-1, 1] from a diffusers pipeline.

    Args:
        pipeline: a folder, a name on the Hub, or a pipeline object. It must be passed again when a run is loaded: a run folder
            that comes from somebody else does not say what is opened.
        shape: (C, H, W) of the data.
        steps: ``num_inference_steps`` of the pipeline. ``Start.calls`` counts its network's evaluations instead.
    """

    pipeline: object
    shape: tuple[int, ...]
    steps: int = 50
    takes: frozenset[str] = frozenset()

    again: ClassVar[tuple[str, ...]] = ("pipeline",)

    @staticmethod
    def of(pipeline: object, shape: tuple[int, ...], steps: int = 50) -> DiffusersPipeline:
        """Checks a pipeline on two drafts in two steps.

        Raises:
            ValueError: the data are not images, steps is invalid, or the pipeline cannot be loaded, needs a prompt or an image,
                returns images of an unsuitable shape or range, or ignores the generators it is given.
        """
        if len(shape) != 3:
            raise ValueError(f"the data have shape {shape}; a diffusers pipeline draws images (C, H, W)")
        if not is_whole(steps):
            raise ValueError(f"steps is {steps!r}; a pipeline takes a whole number of at least 1")
        source = DiffusersPipeline(pipeline, shape, steps)
        found = source._found()
        asks = _call_parameters(found)
        for name in STEERED:
            if name in asks:
                raise ValueError(f"{_pipeline_name(found)} is steered by {name!r}; use an unconditional pipeline")
        for name in ("batch_size", "generator", "num_inference_steps", "output_type"):
            if name not in asks:
                raise ValueError(
                    f"{_pipeline_name(found)} takes no {name}; give an unconditional pipeline, such as DDPM or DDIM"
                )
        trial, noise = DiffusersPipeline(pipeline, shape, min(steps, 2)), Noise.of(0, 2)
        both, alone = trial.draw(2, noise=noise).x0, trial.draw(1, noise=noise[1:]).x0
        if float((both[1:] - alone).abs().max()) > TOLERANCE:
            raise ValueError(
                f"{_pipeline_name(found)} ignores the generator of a sample: its drafts would depend on the batch"
            )
        return source

    def _found(self) -> Any:
        return _cached_pipeline(self.pipeline) if isinstance(self.pipeline, str) else self.pipeline

    @torch.no_grad()
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        pipeline, parts = self._found(), []
        seeds = (noise.fold("diffusers").key & 0x7FFFFFFFFFFFFFFF).tolist()
        failed = f"{_pipeline_name(pipeline)} failed to draw images"
        with _counted(pipeline) as spent, evaluating(pipeline), naming(failed):
            for at in range(0, n, ROWS):
                own = [torch.Generator().manual_seed(seed) for seed in seeds[at : at + ROWS]]
                made = pipeline(
                    batch_size=len(own), generator=own, num_inference_steps=self.steps, output_type="np"
                ).images
                parts.append(as_images(made, self.shape, len(own), _pipeline_name(pipeline)))
        calls = torch.full((n,), round(sum(spent) / n) if n and spent else self.steps, dtype=torch.int64)
        return Start(torch.cat(parts) if parts else torch.zeros(0, *self.shape), dict(condition or {}), calls=calls)


def _pipeline_name(pipeline: object) -> str:
    return f"the pipeline {type(pipeline).__name__}"


def _call_parameters(pipeline: Callable[..., object]) -> set[str]:
    try:
        return set(inspect.signature(pipeline).parameters)
    except (TypeError, ValueError):
        raise ValueError(
            f"the pipeline is a {type(pipeline).__name__}; give a diffusers pipeline or its name"
        ) from None


@contextmanager
def _counted(pipeline: object) -> Iterator[list[int]]:
    """Collects the number of rows in each call of the pipeline's denoising network."""
    spent: list[int] = []
    network = next((m for m in (getattr(pipeline, k, None) for k in ("unet", "transformer")) if m is not None), None)
    if not isinstance(network, nn.Module):
        yield spent
        return
    handle = network.register_forward_pre_hook(
        lambda _, args, more: spent.append(len(args[0] if args else more["sample"])), with_kwargs=True
    )
    try:
        yield spent
    finally:
        handle.remove()


def as_images(made: object, shape: tuple[int, ...], n: int, called: str = "the pipeline") -> Tensor:
    """Converts images (n, h, w, c) in [0, 1] to (n, C, H, W) in [-1, 1] with the data's shape (C, H, W).

    Raises:
        ValueError: a wrong shape or number of images, values outside [0, 1], NaN, or channels or proportions that do not fit.
    """
    x = np.asarray(made)
    if x.ndim != 4 or len(x) != n or x.dtype.kind != "f":
        raise ValueError(f"{called} made {x.dtype} of shape {x.shape}; expected {n} float images of shape (n, h, w, c)")
    if not np.isfinite(x).all():
        raise ValueError(f"{called} made NaN or infinite values: check its weights")
    if float(x.min()) < -1e-3 or float(x.max()) > 1 + 1e-3:
        raise ValueError(f"{called} made values from {x.min():.3g} to {x.max():.3g}; images must lie in [0, 1]")
    channels, rows, columns = shape
    if {x.shape[3], channels} - {1, 3} and x.shape[3] != channels:
        raise ValueError(
            f"{called} makes {x.shape[3]} channels, the data have {channels}: use a pipeline with the same number of channels"
        )
    if x.shape[1] * columns != x.shape[2] * rows:
        raise ValueError(
            f"{called} makes images of {x.shape[1]} x {x.shape[2]}, the data have {rows} x {columns}: aspect ratios must agree"
        )
    images = torch.as_tensor(x).float().permute(0, 3, 1, 2).clamp(0, 1)
    if images.shape[1] == 3 and channels == 1:
        images = (images * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    images = images.expand(-1, channels, -1, -1)
    if images.shape[2:] != (rows, columns):
        images = F.interpolate(images, (rows, columns), mode="bilinear", antialias=True, align_corners=False)
    return (2 * images - 1).clamp(-1, 1).contiguous()
