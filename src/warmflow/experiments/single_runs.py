"""What the commands on single runs do: train one, sample from one."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warmflow.checkpoints import device_of, load, read_json, write_json
from warmflow.contracts import JumpPath, Samples, Solver
from warmflow.data.grid import Grid
from warmflow.data.text import Alphabet
from warmflow.experiments.sampling_options import Asking, Writing
from warmflow.experiments.train_flows import asked_of, read_asked, run_arm
from warmflow.fields import Guided, NetworkField, TokenField
from warmflow.metrics.cost import timed
from warmflow.networks import parameters
from warmflow.recipes.build import path_of, plan_of
from warmflow.recipes.plan import Plan, pairs
from warmflow.recipes.settings import Settings, is_ours, suggest
from warmflow.sampler import placed
from warmflow.solvers import RK4, AdamsBashforth, Euler, Heun, Midpoint, MultistepX1

SOLVERS: dict[str, Solver] = {
    "euler": Euler(),
    "heun": Heun(),
    "midpoint": Midpoint(),
    "rk4": RK4(),
    "adams-bashforth": AdamsBashforth(),
    "multistep-x1": MultistepX1(),
}
TRIAL = 10.0
"""Seconds that a dry run's trial may take."""
STEPS = 4
"""What a run is walked by where nothing is asked."""


def draft_of(draft: str | None) -> Any:
    """What --draft names: one of ours, or the path of a file (.npy, .npz) or folder of ready drafts."""
    return draft if draft is None or is_ours(draft) else path_of(draft)


# ---------------------------------------------------------------- train


def _dry(plan: Plan, name: str, asked: Mapping[str, Any], echo: Callable[[str], None]) -> None:
    """Prints the resolved configuration, the network's size and speed, and the time that training will take."""
    from warmflow.contracts import Batch, Start
    from warmflow.training import train

    data = plan.data.train
    needs, key = plan.flow.needs(name), plan.flow.paired(plan, name)
    made = key is not None and key[1] in (*plan.flow.offline, "given")
    blank = Batch(data.x1, data.condition, data.index, Start(data.x1, data.condition) if made else None)
    if needs == "prior":
        raise ValueError(f"--dry-run cannot tell the cost of {name!r} before its prior is trained; try it on warm")
    draft = plan.flow.noise(plan) if needs == "noise" else None
    if needs == "draft":
        draft = plan.flow.stand_in(plan) or plan.draft()  # training takes minutes; values change no cost
    here = plan.flow.arm(plan, name, 0, draft, None if key is None else blank)
    batch, device = min(plan.settings.batch, len(here.data)), str(asked["device"])

    def trial(steps: int, rows: int) -> float:
        """Seconds of a row in an update."""
        found = train(here.objective, here.data, steps=steps, batch=rows, seed=0, device=device)
        return float(found.facts["seconds"]) / (steps * rows)

    few = min(batch, 4)
    trial(1, few)  # what is compiled, is compiled here
    guess = trial(1, few)
    rows = max(few, min(batch, int(TRIAL / guess)))  # of a large network fewer rows than an update's tell enough
    of_row = trial(max(1, min(10, int(TRIAL / (guess * rows)))), rows)
    n = max(1, min(64, rows))
    start = here.sampler.source.draw(n, noise=_streams(n)).to(device)
    field: Any = here.sampler.field
    field = field.field if isinstance(field, Guided) else field
    t = torch.full((n,), 0.5, dtype=torch.float64, device=device)
    with torch.no_grad():
        seconds = timed(lambda: field(start.x0, t, start), repeats=10 if rows == batch else 2).seconds
    network = field.network
    assert isinstance(network, torch.nn.Module)
    facts = {
        "parameters": parameters(network),
        f"calls_per_second_at_batch_{n}": round(n / seconds, 1 if n > seconds else 4),
        "training_minutes": round(of_row * batch * plan.settings.updates / 60, 2),
    }
    echo(json.dumps({**asked, **facts}, indent=1))


def _streams(n: int) -> Any:
    from warmflow.noise import Noise

    return Noise.of(0, n)


def _cold_network(begin: Path) -> tuple[torch.nn.Module, str]:
    """The network of the cold run to start from."""
    arm = read_asked(begin).get("arm")
    if not str(arm).startswith("cold"):
        raise ValueError(f"--from is {begin}, a run of the arm {arm!r}: fine-tuning starts from a cold run, give one")
    field = load(begin).field
    field = field.field if isinstance(field, Guided) else field
    assert isinstance(field, NetworkField | TokenField)
    return field.network, str(begin)


def train_run(
    recipe: str, settings: Settings, out: Path, *, arm: str, seed: int, begin: Path | None, device: str,
    dry_run: bool, quiet: bool, echo: Callable[[str], None],
) -> None:  # fmt: skip
    """``warmflow train``."""
    if begin is not None and arm != "warm":
        raise ValueError(f"--from fine-tunes a warm flow; --arm is {arm!r}")
    device_of(device)
    plan = plan_of(recipe, settings)
    if arm not in plan.flow.arms:
        raise ValueError(f"--arm is {arm!r}; {suggest(arm, list(plan.flow.arms))}")
    if dry_run:
        _dry(plan, arm, asked_of(plan, arm, seed, device=device, out=str(out)), echo)
        return
    for warning in plan.data.warnings:
        echo(f"warning: {warning}")
    network, name = _cold_network(begin) if begin is not None else (None, None)
    draft = paired = None
    about: dict[str, Any] = {}
    needs, key = plan.flow.needs(arm), plan.flow.paired(plan, arm)
    if needs == "draft":
        draft = plan.draft(out / "draft", not quiet, seed)
    elif needs == "noise":
        draft = plan.flow.noise(plan)
    elif needs == "prior":
        assert plan.prior is not None
        draft, about = plan.prior(out / "prior", not quiet, seed)
        if "warning" in about:
            echo(f"warning: {about['warning']}")
    if network is not None:  # does it fit? Asked before anything is written
        plan.flow.arm(plan, arm, seed, draft, plan.data.train, network)
    if key is not None:
        assert draft is not None
        paired = pairs(plan, draft, None, seed=seed, pairing=key[1])
    began = time.perf_counter()
    run_arm(
        plan, arm, seed, out, draft, paired, device=device, begin=network, begin_name=name,
        progress=None if quiet else f"{recipe} {arm}",
    )  # fmt: skip
    if int(os.environ.get("RANK", "0")) == 0:
        seconds = time.perf_counter() - began
        if needs == "prior":
            write_json(out / "config.json", {**read_json(out / "config.json"), "facts": {"prior": about}})
        suffix = "txt" if isinstance(plan.data.codec, Alphabet) else "png"
        echo(f"{out} is complete ({seconds:.0f} s). Look: warmflow sample {out} --out {out}/samples.{suffix}")


# ---------------------------------------------------------------- sample


def sample_run(
    run: Path, n: int, out: Path, *, steps: int | None, solver: str | None, seed: int, batch: int | None, raw: bool,
    device: str, quiet: bool, writing: Writing | None = None, asking: Asking | None = None,
) -> str:  # fmt: skip
    """``warmflow sample``: draws and writes; returns the line to print."""
    from tqdm import tqdm

    writing = writing or Writing()
    if solver is not None and solver not in SOLVERS:
        raise ValueError(f"--solver is {solver!r}; {suggest(solver, list(SOLVERS))}")
    if steps is not None and steps < 1:
        raise ValueError(f"--steps is {steps}; take at least 1 step")
    if batch is not None and batch < 1:
        raise ValueError(f"--batch-size is {batch}; draw at least 1 sample at a time")
    device_of(device)
    student = read_asked(run).get("arm") == "student"
    if student and (steps not in (None, 1) or solver not in (None, "euler")):
        raise ValueError(f"{run} is a student of one call: leave --steps and --solver out")
    steps = steps or (1 if student else STEPS)
    if not out.parent.is_dir():
        raise ValueError(f"--out is {out}, but there is no folder {out.parent}: make it first, or choose another place")
    if out.is_dir():
        raise ValueError(f"--out is {out}, which is a folder; name a file in it")
    loaded, codec = load(run, raw=raw), codec_of(run)
    if isinstance(loaded.field.path, JumpPath):
        if solver is not None:
            raise ValueError(
                f"--solver is {solver!r}, but {run} is a flow of tokens, which is sampled by jumps: leave it out"
            )
        loaded = writing.applied(loaded, codec)
    else:
        writing.none_for(run)
        loaded = replace(loaded, solver=SOLVERS[solver] if solver else loaded.solver)
    loaded, condition = (asking or Asking()).applied(loaded, run, n)
    if out.suffix in (".txt", ".jsonl") and not isinstance(codec, Alphabet):
        raise ValueError(f"--out is {out}, but {run} makes no texts; write .npz or .npy")
    if out.suffix == ".png" and isinstance(codec, Alphabet):
        raise ValueError(f"--out is {out}, but {run} makes texts; write .txt, .jsonl, .npz or .npy")
    sampler = placed(loaded, device)
    if out.suffix == ".png" and len(sampler.shape) not in (1, 3):
        raise ValueError(f"samples of shape {sampler.shape} make no picture; write .npz or .npy")
    at_once = min(n, 4096) if batch is None else batch
    with tqdm(total=n, unit="sample", disable=quiet, mininterval=0.5) as bar:
        drawn = sampler(n, seed=seed, steps=steps, batch=at_once, condition=condition,
                        progress=lambda k: bar.update(k - bar.n))  # fmt: skip
    x = drawn.x.cpu()
    if isinstance(codec, Grid) and out.suffix == ".png":
        x = codec.decode(x)
    temporary = out.with_name(f"{out.stem}.{os.getpid()}.tmp{out.suffix}")
    try:
        if out.suffix == ".npy":
            np.save(temporary, x.numpy())
        elif out.suffix == ".txt":
            temporary.write_text("".join(codec.decode(row) + "\n" for row in x), encoding="utf-8")
        elif out.suffix == ".jsonl":
            temporary.write_text(_lines(drawn, codec), encoding="utf-8")
        elif out.suffix == ".npz":
            np.savez_compressed(temporary, x=x.numpy(), calls=drawn.calls.cpu().numpy(), seed=seed, steps=steps)
        else:
            picture(x, temporary)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    calls = float(drawn.calls.double().mean())
    return f"{out}: {n} samples, {steps} steps, {calls:g} calls a sample, {drawn.seconds:.2f} s in all"


def codec_of(run: Path) -> Any:
    """What the tokens of a run stand for, from its config.json; None for floats."""
    found = read_json(run / "config.json").get("codec")
    if not isinstance(found, dict):
        return None
    return (
        Alphabet(tuple(found["symbols"])) if "symbols" in found else Grid(found["levels"], found["low"], found["high"])
    )


def _lines(drawn: Samples, codec: Alphabet) -> str:
    """A JSON line a sample: its text, its draft where it had one, its calls."""
    drafts = drawn.start.condition.get("draft")
    lines = []
    for i, row in enumerate(drawn.x.cpu()):
        facts: dict[str, Any] = {"text": codec.decode(row)}
        if drafts is not None:
            facts["draft"] = codec.decode(drafts[i].cpu())
        lines.append(json.dumps({**facts, "calls": int(drawn.calls[i])}, ensure_ascii=False) + "\n")
    return "".join(lines)


def picture(x: Tensor, path: Path) -> None:
    """A PNG: a grid of images (n, C, H, W) in [-1, 1], enlarged to at least 32 pixels a side; or a scatter of points."""
    if x.ndim == 2:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.add_subplot()
        axes.scatter(x[:, 0], x[:, 1], s=3, linewidths=0)
        axes.set_aspect("equal")
        figure.savefig(path, dpi=120)
        return
    from PIL import Image

    if x.shape[1] not in (1, 3):
        raise ValueError(f"images with {x.shape[1]} channels make no picture; write .npz or .npy")
    columns = math.ceil(math.sqrt(len(x)))
    rows = math.ceil(len(x) / columns)
    n, c, h, w = x.shape
    sheet = torch.ones(rows * columns, c, h + 1, w + 1)
    sheet[:n, :, :h, :w] = x.clamp(-1, 1)
    sheet = (
        sheet.reshape(rows, columns, c, h + 1, w + 1)
        .permute(0, 3, 1, 4, 2)
        .reshape(rows * (h + 1), columns * (w + 1), c)
    )
    pixels = ((sheet + 1) * 127.5).round().to(torch.uint8).numpy()
    image = Image.fromarray(pixels[..., 0] if c == 1 else pixels)
    scale = max(1, math.ceil(32 / max(h, w)))
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)
