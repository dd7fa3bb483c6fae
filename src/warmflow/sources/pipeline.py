"""An unconditional image pipeline of the library diffusers as a draft, DDPM and DDIM among them.

Every sample has a torch generator of its own, seeded from the sample's stream: a draft depends on its seed and number, not on
who is drawn beside it (the network's arithmetic differs by the batch in its last bits). Pictures in [0, 1] become [-1, 1], grey
becomes colour or colour grey (by the weights of ITU-R BT.601), and another size is brought to the data's, with the frequencies
that do not fit taken out first.

The library is an extra, imported when a pipeline is loaded. Weights are read from safetensors alone, and no code that comes
with a pipeline is run.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise

PREFIX = "diffusers:"
ROWS = 64
LUMA = (0.299, 0.587, 0.114)
TOLERANCE = 1e-2
"""How far a sample may move with the batch it is drawn in before its generator counts as ignored."""
STEERED = ("prompt", "image", "class_labels", "label_ids", "mask_image", "audio")


def load_pipeline(name: str) -> Any:
    """The pipeline in a folder, or of a name on the Hub, without its progress bar.

    Raises:
        ValueError: the library is missing; there is no such pipeline, or it is damaged.
    """
    try:
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging
    except ImportError as error:
        raise ValueError(f"the draft {PREFIX + name!r} needs pip install 'warmflow[diffusers]' ({error})") from None
    here = os.path.isdir(name)
    if not here and (name.startswith((".", "/", "~")) or name.count("/") > 1 or os.path.exists(name)):
        raise ValueError(
            f"the draft is {PREFIX + name!r}, but there is no such folder: give one that save_pretrained wrote"
        )
    if here and not os.path.exists(os.path.join(name, "model_index.json")):
        raise ValueError(f"{name} holds no diffusers pipeline (no model_index.json): give what save_pretrained wrote")
    logging.disable_progress_bar()
    try:
        pipeline = DiffusionPipeline.from_pretrained(name, use_safetensors=True, local_files_only=here)
    except Exception as error:  # a library of many errors of its own
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"the diffusers pipeline {name!r} cannot be loaded: {first or type(error).__name__}") from None
    finally:
        logging.enable_progress_bar()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


_kept: Callable[[str], Any] = lru_cache(maxsize=1)(load_pipeline)


@dataclass(frozen=True, eq=False)
class DiffusersPipeline(Source):
    """Drafts (n, C, H, W) in [-1, 1].

    Args:
        pipeline: the name of one (a folder, or on the Hub), kept by its name in a run folder; or a pipeline itself, which must
            be passed again where a run is loaded.
        shape: (C, H, W) of the data.
        steps: what the pipeline is asked for; its network's calls are counted, not these.
    """

    pipeline: Any
    shape: tuple[int, ...]
    steps: int = 50
    takes: frozenset[str] = frozenset()

    @staticmethod
    def of(pipeline: Any, shape: tuple[int, ...], steps: int = 50) -> DiffusersPipeline:
        """Checks a pipeline on two drafts in two steps.

        Raises:
            ValueError: data that are no images, impossible steps, a pipeline that cannot be loaded, asks for a prompt or a
                picture, makes pictures of another form, or ignores the generators it is given.
        """
        if len(shape) != 3:
            raise ValueError(f"the data have shape {shape}; a diffusers pipeline draws images (C, H, W)")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps is {steps!r}; a pipeline takes a whole number of at least 1")
        source = DiffusersPipeline(pipeline, shape, steps)
        found = source._found()
        asks = _asked(found)
        for name in STEERED:
            if name in asks:
                raise ValueError(f"{_called(found)} is steered by {name!r}; a draft needs an unconditional pipeline")
        for name in ("batch_size", "generator", "num_inference_steps", "output_type"):
            if name not in asks:
                raise ValueError(f"{_called(found)} takes no {name}; give an unconditional pipeline, like DDPM or DDIM")
        try:
            trial = DiffusersPipeline(pipeline, shape, min(steps, 2))
            noise = Noise.of(0, 2)
            both, alone = trial.draw(2, noise=noise).x0, trial.draw(1, noise=noise[1:]).x0
        except (TypeError, RuntimeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"{_called(found)} fails where it draws two images: {str(error).splitlines()[0]}"
            ) from None
        if float((both[1:] - alone).abs().max()) > TOLERANCE:
            raise ValueError(
                f"{_called(found)} ignores the generator of a sample: its drafts would change with the batch, give another"
            )
        return source

    def _found(self) -> Any:
        return _kept(self.pipeline) if isinstance(self.pipeline, str) else self.pipeline

    @torch.no_grad()
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        pipeline, parts = self._found(), []
        seeds = (noise.fold("diffusers").key & 0x7FFFFFFFFFFFFFFF).tolist()
        with _counted(pipeline) as spent:
            for at in range(0, n, ROWS):
                own = [torch.Generator().manual_seed(seed) for seed in seeds[at : at + ROWS]]
                made = pipeline(
                    batch_size=len(own), generator=own, num_inference_steps=self.steps, output_type="np"
                ).images
                parts.append(as_images(made, self.shape, len(own), _called(pipeline)))
        calls = torch.full((n,), round(sum(spent) / n) if n and spent else self.steps, dtype=torch.int64)
        return Start(torch.cat(parts) if parts else torch.zeros(0, *self.shape), dict(condition or {}), calls=calls)


def _called(pipeline: Any) -> str:
    return f"the pipeline {type(pipeline).__name__}"


def _asked(pipeline: Any) -> set[str]:
    try:
        return set(inspect.signature(pipeline).parameters)
    except (TypeError, ValueError):
        raise ValueError(
            f"the pipeline is a {type(pipeline).__name__}; give a diffusers pipeline or its name"
        ) from None


@contextmanager
def _counted(pipeline: Any) -> Any:
    """Rows that the pipeline's denoising network is called with, one number a call."""
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


def as_images(made: Any, shape: tuple[int, ...], n: int, called: str = "the pipeline") -> Tensor:
    """Pictures (n, h, w, c) of numbers in [0, 1] as (n, C, H, W) in [-1, 1] of the data's shape (C, H, W).

    Raises:
        ValueError: another form or number, another range, NaN, channels or proportions that do not fit.
    """
    x = np.asarray(made)
    if x.ndim != 4 or len(x) != n or x.dtype.kind != "f":
        raise ValueError(
            f"{called} made {x.dtype} of shape {x.shape}; {n} pictures (n, h, w, c) of floats are asked for"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{called} made NaN or infinite values: mend its weights")
    if float(x.min()) < -1e-3 or float(x.max()) > 1 + 1e-3:
        raise ValueError(f"{called} made values from {x.min():.3g} to {x.max():.3g}; pictures lie in [0, 1]")
    channels, rows, columns = shape
    if {x.shape[3], channels} - {1, 3} and x.shape[3] != channels:
        raise ValueError(f"{called} makes {x.shape[3]} channels, the data have {channels}: give one of the same kind")
    if x.shape[1] * columns != x.shape[2] * rows:
        raise ValueError(
            f"{called} makes pictures of {x.shape[1]} x {x.shape[2]}, the data have {rows} x {columns}: give the same proportions"
        )
    images = torch.as_tensor(x).float().permute(0, 3, 1, 2).clamp(0, 1)
    if images.shape[1] == 3 and channels == 1:
        images = (images * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    images = images.expand(-1, channels, -1, -1)
    if images.shape[2:] != (rows, columns):
        images = F.interpolate(images, (rows, columns), mode="bilinear", antialias=True, align_corners=False)
    return (2 * images - 1).clamp(-1, 1).contiguous()
