"""Training the arms of a comparison, each into a run folder of its own, one after another or several beside each other.

A run folder that is complete is left alone, one that was cut off continues. Beside each other every arm is a process of one
thread that reads everything again from the recipe's name and the comparison's folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.checkpoints import card, check_version, open_run, read_json, save_part, write_json
from warmflow.contracts import Batch, Source
from warmflow.data.paired import INPUT
from warmflow.experiments.prepare import Prepared, seed_folder
from warmflow.recipes.build import plan_of
from warmflow.recipes.labels import conditional
from warmflow.recipes.plan import Arm, Plan
from warmflow.recipes.settings import settings_of
from warmflow.training import train


def fingerprint(x: Tensor, *more: Tensor) -> str:
    """Sixteen hexadecimal digits of the bytes of tensors."""
    found = hashlib.sha256()
    for one in (x, *more):
        found.update(one.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def data_print(plan: Plan) -> str:
    """The fingerprint of what a plan's flows are trained on and given: data, inputs, labels where they see them. Another
    data set under the same name, and other inputs for the same images, are found out."""
    train = plan.data.train
    seen = [part.condition[INPUT] for part in (train, plan.data.apart) if INPUT in part.condition]
    labels = [train.condition["label"]] if conditional(plan.settings) else []
    return fingerprint(train.x1, *seen, *labels)


def asked_of(plan: Plan, name: str, seed: int, **more: Any) -> dict[str, Any]:
    """What a run folder's config.json says was asked."""
    return {
        "kind": "run", "recipe": plan.name, "arm": name, "seed": seed, "data": data_print(plan),
        "settings": plan.settings.asked, **more,
    }  # fmt: skip


def weights_of(runs: Sequence[Path]) -> str:
    """A digest of the weights of finished runs and of their order."""
    found = hashlib.sha256()
    for run in runs:
        found.update(hashlib.sha256((run / "model.safetensors").read_bytes()).digest())
    return found.hexdigest()[:16]


def read_asked(run: Path) -> dict[str, Any]:
    """What a training run's config.json says was asked; ValueError where the folder is no training run of this version."""
    found = read_json(run / "config.json")
    if not isinstance(found, dict) or not isinstance(found.get("asked"), dict):
        raise ValueError(
            f"{run / 'config.json'} is not one of warmflow's: give a folder that warmflow train has written"
        )
    check_version(found, run)
    if found.get("kind") != "run":
        some = next((str(p.parent) for p in sorted(run.glob("seeds/*/*/config.json"))), f"{run}/seeds/0/warm")
        raise ValueError(f"{run} is a {found.get('kind')}, not a training run; name one of the runs in it, like {some}")
    return dict(found["asked"])


def run_arm(
    plan: Plan, name: str, seed: int, folder: Path, draft: Source | None, paired: Batch | None, *,
    device: str = "cpu", updates: int | None = None, begin: Any = None, begin_name: str | None = None,
    progress: str | None = None,
) -> None:  # fmt: skip
    """Trains one arm into a run folder, or continues it; does nothing if it is complete.

    Raises:
        ValueError: the folder holds another run; the data or settings are impossible; training diverged.
    """
    s = plan.settings
    updates = s.updates if updates is None else updates
    asked = asked_of(plan, name, seed, updates=updates, device=device, begin=begin_name)
    found = open_run(folder, asked)
    whole = all((folder / f"{part}.{kind}").exists() for part in ("model", "raw") for kind in ("json", "safetensors"))
    if found["state"] == "complete" and whole:
        return
    here: Arm = plan.flow.arm(plan, name.removesuffix("_doubled"), seed, draft, paired, begin)
    facts = train(
        here.objective, here.data, steps=updates, batch=min(s.batch, len(here.data)), seed=seed, folder=folder,
        device=device, warmup=min(200, max(1, updates // 10)), save_every=500, progress=progress,
    )  # fmt: skip
    if int(os.environ.get("RANK", "0")) != 0:
        return  # one process writes
    save_part(folder, "raw", here.trained(facts.raw["flow"]))
    save_part(folder, "model", here.trained(facts.networks["flow"]))
    numbers = {k: v for k, v in facts.facts.items() if k != "samples_per_second"}
    text = card(folder, f"{plan.name}, {name}, seed {seed}", {**numbers, **s.asked})
    (folder / "README.md").write_text(text)
    codec = dataclasses.asdict(plan.data.codec) if plan.data.codec is not None else None
    write_json(folder / "config.json", {**found, "state": "complete", "training": dict(facts.facts), "codec": codec})


def follow_parent() -> None:
    """Ends this process when its parent is gone (killed): two processes must never write one run folder."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


Asked = tuple[tuple[str, Any], ...]
"""Settings by name, as what a cache can be asked for."""


@lru_cache(maxsize=1)
def planned(recipe: str, settings: Asked) -> Plan:
    """The plan of this process: read once, not once an arm."""
    return plan_of(recipe, settings_of(recipe, **dict(settings)))


@lru_cache(maxsize=1)
def _prepared(recipe: str, settings: Asked, where: str) -> Prepared:
    """The drafts and pairs of this process."""
    return Prepared(planned(recipe, settings), Path(where))


def _begin() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=follow_parent, daemon=True).start()


def _worker(recipe: str, settings: Asked, where: str, task: tuple[str, int, int], device: str) -> None:
    """One arm in a process of its own: everything is read again from the recipe and the comparison's folder."""
    plan, (name, seed, updates) = planned(recipe, settings), task
    source, paired = _prepared(recipe, settings, where).of(seed, name)
    run_arm(plan, name, seed, seed_folder(Path(where), seed) / name, source, paired, device=device, updates=updates)


def _preparer(recipe: str, settings: Asked, where: str, seed: int, arms: Sequence[str]) -> None:
    """Draft, prior and pairs of a seed, made in a process of its own and left in the comparison's folder."""
    _prepared(recipe, settings, where).make(seed, arms)


def prepare_all(prepared: Prepared, seeds: Sequence[int], arms: Sequence[str], *, jobs: int) -> None:
    """Makes what these flows of every seed start from, ``jobs`` seeds at a time; afterwards every process can read it."""
    plan, jobs = prepared.plan, min(jobs, len(seeds))
    if jobs < 2 or prepared.own or plan.name == "custom":
        for seed in seeds:
            prepared.make(seed, arms)
        return
    settings = tuple(dataclasses.asdict(plan.settings).items())
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin) as pool:
        where = str(prepared.root)
        for made in [pool.submit(_preparer, plan.name, settings, where, seed, tuple(arms)) for seed in seeds]:
            made.result()


def _updates_done(root: Path, tasks: Sequence[tuple[str, int, int]]) -> int:
    """Updates done so far by all tasks, by the last line of their logs."""
    total = 0
    for name, seed, updates in tasks:
        folder = seed_folder(root, seed) / name
        try:
            last = (folder / "log.jsonl").read_text().rsplit("\n", 2)[-2]
            total += min(int(last.split('"step": ')[1].split(",")[0]), updates)
        except (OSError, IndexError, ValueError):
            continue
    return total


def train_all(
    plan: Plan, root: Path, tasks: Sequence[tuple[str, int, int]], prepared: Prepared, *,
    jobs: int, device: str, progress: bool,
) -> None:  # fmt: skip
    """Trains every (arm, seed, updates), ``jobs`` at a time, from what ``prepare_all`` has made. More than one job needs a recipe
    that has a name."""
    from tqdm import tqdm

    named = plan.name != "custom" and not prepared.own
    if jobs > 1 and named and device == "cpu":
        settings = tuple(dataclasses.asdict(plan.settings).items())
        with ProcessPoolExecutor(jobs, get_context("spawn"), _begin) as pool:
            waiting = [pool.submit(_worker, plan.name, settings, str(root), task, device) for task in tasks]
            total = sum(t[2] for t in tasks)
            with tqdm(total=total, desc="training", unit="update", disable=not progress, mininterval=0.5) as bar:
                try:
                    while not all(f.done() for f in waiting):
                        bar.update(_updates_done(root, tasks) - bar.n)
                        time.sleep(0.3)
                        if any(f.done() and f.exception() for f in waiting):
                            break
                except KeyboardInterrupt:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
                bar.update(_updates_done(root, tasks) - bar.n)
            for future in waiting:
                if future.done() and not future.cancelled() and future.exception():
                    pool.shutdown(wait=False, cancel_futures=True)
                    future.result()
        return
    for name, seed, updates in tasks:
        label = f"{name}, seed {seed}" if progress else None
        folder = seed_folder(root, seed) / name
        source, paired = prepared.of(seed, name)
        run_arm(plan, name, seed, folder, source, paired, device=device, updates=updates, progress=label)
