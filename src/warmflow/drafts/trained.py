"""Training of a part of a method in its own run folder: it is started, resumed if interrupted, or read if complete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from warmflow.checkpoints import again, open_run, save_part
from warmflow.contracts import Data, Objective
from warmflow.files import write_json
from warmflow.training import train

P = TypeVar("P")


def trained_part(
    objective: Objective,
    data: Data,
    finished: Callable[..., P],
    asked: Mapping[str, object],
    *,
    steps: int,
    batch: int,
    seed: int,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: str | None = None,
) -> P:
    """Trains an objective and returns ``finished`` of its trained network (averaged weights).

    Args:
        finished: converts the trained network to the part; its time counts as training time.
        asked: options for the folder's config.json, in addition to the arguments below.
        folder: a run folder, in which the part is saved as ``model``; None to store nothing.
        progress: the label of a progress bar; None for no bar.

    Raises:
        ValueError: a folder with another run, an invalid number of steps, or diverged training.
    """
    where, found = None if folder is None else Path(folder), {}
    if where is not None:
        found = open_run(where, {**asked, "rows": len(data), "steps": steps, "batch": batch, "seed": seed})
        if found["state"] == "complete" and all((where / f"model.{k}").exists() for k in ("json", "safetensors")):
            part = again(where)
            if part is not None:
                return part
    done = train(
        objective, data, steps=steps, batch=batch, seed=seed, folder=where, device=device,
        warmup=min(200, max(1, steps // 10)), progress=progress,
    )  # fmt: skip
    began = time.perf_counter()
    part = finished(done.networks[objective.product])
    if where is not None and int(os.environ.get("RANK", "0")) == 0:  # one process writes
        save_part(where, "model", part)
        facts = {**done.facts, "seconds": float(done.facts["seconds"]) + time.perf_counter() - began}
        write_json(where / "config.json", {**found, "state": "complete", "training": facts})
    return part
