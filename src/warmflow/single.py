"""What the commands on single runs do: train one, sample from one, judge several that were trained apart."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warmflow.arms import asked_of, read_asked, run_arm
from warmflow.checkpoints import device_of, load, make_folder, read_json, write_json, write_tensors
from warmflow.comparison import PRIOR_BILL, described, trained_seconds, whole
from warmflow.contracts import JumpPath, Samples, Solver, Source
from warmflow.data.grid import Grid
from warmflow.data.text import Alphabet
from warmflow.fields import Guided, NetworkField, Tempered, TokenField
from warmflow.measuring import Alone, Entry, audits, measured, pictures, save_rows
from warmflow.metrics.cost import timed
from warmflow.networks import parameters
from warmflow.recipes.build import path_of, plan_of
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import Plan, pairs
from warmflow.recipes.settings import TRAINED_DRAFTS, Settings, interval_of, is_ours, scale_of, settings_of, suggest
from warmflow.report import Report
from warmflow.sampler import Sampler, placed
from warmflow.solvers import RK4, AdamsBashforth, Euler, Heun, Jump, Midpoint
from warmflow.sources import Blurred, ByLabel, Filled, Labelled, Shown, StandardNormal, together
from warmflow.verdict import judge

SOLVERS: dict[str, Solver] = {
    "euler": Euler(),
    "heun": Heun(),
    "midpoint": Midpoint(),
    "rk4": RK4(),
    "adams-bashforth": AdamsBashforth(),
}
TRAINING = ("updates", "batch", "learning_rate", "ema", "dropout", "network", "preset", "width",
            "depth", "conditional", "guidance", "guidance_interval")  # fmt: skip  # what cold and warm must share
TRIAL = 10.0
"""Seconds that a dry run's trial may take."""
STEPS = 4
"""What a run is walked by where nothing is asked."""
JUDGED = ("lediflow", "warm")
"""Arms that finished runs are judged by: the first of them that is there."""


def draft_of(draft: str | None) -> Any:
    """What --draft names: one of ours, or the path of a file (.npy, .npz) or folder of ready drafts."""
    return draft if draft is None or is_ours(draft) else path_of(draft)


# ---------------------------------------------------------------- train


def _dry(plan: Plan, name: str, asked: Mapping[str, Any], echo: Callable[[str], None]) -> None:
    """Prints the resolved configuration, the network's size and speed, and the time that training will take."""
    from warmflow.contracts import Batch, Start
    from warmflow.training import train

    data = plan.data.train
    paired = plan.settings.pairing in (*plan.flow.offline, "given")
    blank = Batch(data.x1, data.condition, data.index, Start(data.x1) if paired else None)
    needs = plan.flow.needs(name)
    if needs == "prior":
        raise ValueError(f"--dry-run cannot tell the cost of {name!r} before its prior is trained; try it on warm")
    trained = plan.settings.draft in TRAINED_DRAFTS  # that takes minutes, and its drafts' values change no cost
    draft = None if not needs else StandardNormal(plan.data.shape) if trained else plan.draft()
    here = plan.flow.arm(plan, name, 0, draft, blank if name == "warm" else None)
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
    if arm == "warm":
        draft = plan.draft(out / "draft", not quiet)
        if network is not None:
            plan.flow.arm(
                plan, arm, seed, draft, plan.data.train, network
            )  # does it fit? Asked before anything is written
        paired = pairs(plan, draft, None)
    elif plan.flow.needs(arm) == "prior":
        assert plan.prior is not None
        draft, about = plan.prior(out / "prior", not quiet)
        if "warning" in about:
            echo(f"warning: {about['warning']}")
    began = time.perf_counter()
    run_arm(
        plan, arm, seed, out, draft, paired, device=device, begin=network, begin_name=name,
        progress=None if quiet else f"{recipe} {arm}",
    )  # fmt: skip
    if int(os.environ.get("RANK", "0")) == 0:
        seconds = time.perf_counter() - began
        if plan.flow.needs(arm) == "prior":
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
        raise ValueError(f"--steps is {steps}; walk at least 1 step")
    if batch is not None and batch < 1:
        raise ValueError(f"--batch-size is {batch}; walk at least 1 sample at a time")
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
            raise ValueError(f"--solver is {solver!r}, but {run} walks tokens, by jumps: leave it out")
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


@dataclass(frozen=True)
class Writing:
    """What may be asked of a token run: changes of its law, by name, and tokens that are given.

    ``prefix`` is text that every sample begins with; ``template`` a text of the window's length with underscores where
    it is free.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    renoise: float = 0.0
    prefix: str = ""
    template: str = ""

    def none_for(self, run: Path) -> None:
        """ValueError where something is asked of a run that walks no tokens."""
        for f in fields(self):
            if getattr(self, f.name) != f.default:
                raise ValueError(f"--{f.name.replace('_', '-')} is for runs that walk tokens, which {run} does not")

    def applied(self, sampler: Sampler, codec: Any) -> Sampler:
        """The sampler with all of it; ValueError for impossible values and texts that do not fit."""
        found = replace(sampler, solver=Jump(self.renoise))
        if self.temperature != 1 or self.top_p != 1:
            found = replace(found, field=Tempered(found.field, self.temperature, self.top_p))
        patterns = []
        (length,) = sampler.shape
        for name in ("prefix", "template"):
            text = getattr(self, name)
            if not text:
                continue
            if not isinstance(codec, Alphabet):
                raise ValueError(f"--{name} is {text!r}, but this run makes no texts")
            if len(text) > length or (name == "template" and len(text) != length):
                raise ValueError(
                    f"--{name} has {len(text)} symbols, the windows of this run have {length}: fit it to them"
                )
            patterns.append(_pattern(text, codec, length, free="_" if name == "template" else None))
        return replace(found, source=Filled(found.source, together(*patterns))) if patterns else found


@dataclass(frozen=True)
class Asking:
    """What may be asked of a run whose flow is given labels: one label for all samples, and guidance other than its own.

    ``interval`` is LOW,HIGH as text; with ``guidance`` and no interval it guides everywhere.
    """

    label: int | None = None
    guidance: float | None = None
    interval: str = ""

    def applied(self, sampler: Sampler, run: Path, n: int) -> tuple[Sampler, dict[str, Tensor] | None]:
        """The sampler, and the condition of n samples; ValueError for a run without labels, or an impossible wish."""
        if self.label is None and self.guidance is None and not self.interval:
            return sampler, None
        source: Any = sampler.source
        while not isinstance(source, Labelled | ByLabel) and hasattr(source, "source"):
            source = source.source
        inner: Any = sampler.field.field if isinstance(sampler.field, Guided) else sampler.field
        if not isinstance(source, Labelled | ByLabel) or "label" not in getattr(inner, "sees", ()):
            name = (
                "label" if self.label is not None else "guidance" if self.guidance is not None else "guidance-interval"
            )
            raise ValueError(
                f"--{name} is for flows that are given labels, which {run} is not: train with --conditional"
            )
        scale = sampler.field.scale if isinstance(sampler.field, Guided) else 1.0
        scale = scale if self.guidance is None else scale_of(self.guidance)
        interval = interval_of(self.interval)
        if interval is not None and scale == 1:
            raise ValueError(
                f"--guidance-interval is {self.interval!r}, but guidance is 1, which is off: give --guidance"
            )
        if self.guidance is not None or interval is not None:
            sampler = replace(sampler, field=inner if scale == 1 else Guided(inner, scale, ("label",), interval))
        if self.label is None:
            return sampler, None
        if not 0 <= self.label < len(source.shares):
            raise ValueError(f"--label is {self.label}; the labels of {run} are 0 .. {len(source.shares) - 1}")
        return sampler, {"label": torch.full((n,), self.label)}


def _pattern(text: str, codec: Alphabet, length: int, free: str | None) -> Tensor:
    """Tokens (length,), -1 where the text says ``free`` or has ended."""
    out = torch.full((length,), -1, dtype=torch.int64)
    for i, symbol in enumerate(text):
        if symbol != free:
            out[i] = codec.encode(symbol)[0]
    return out


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


# ---------------------------------------------------------------- compare finished runs


def _alike(asked: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """ValueError unless the runs share data and training, and those of one arm all settings."""
    first, a = asked[0]
    seen: dict[tuple[Any, Any], Path] = {}
    arms: dict[Any, tuple[Path, Mapping[str, Any]]] = {}
    for path, b in asked:
        for key in ("recipe", "data"):
            if a.get(key) != b.get(key):
                what = f"are of different {key}: {a.get(key)!r} and {b.get(key)!r}"
                raise ValueError(f"{first} and {path} {what}; compare runs of one data set")
        again = seen.setdefault((b.get("arm"), b.get("seed")), path)
        if again is not path:
            raise ValueError(
                f"{again} and {path} are both {b.get('arm')}, seed {b.get('seed')}; name each arm and seed once"
            )
        for other, c, keys in ((first, a, TRAINING), (*arms.setdefault(b.get("arm"), (path, b)), None)):
            for key in keys or sorted(b["settings"]):
                if b["settings"].get(key) != c["settings"].get(key):
                    what = f"{key} is {c['settings'].get(key)!r} and {b['settings'].get(key)!r}"
                    raise ValueError(
                        f"{other} and {path} are trained unequally: {what}; compare runs of equal training"
                    )
        if b.get("updates") != a.get("updates"):
            what = f"{a.get('updates')} and {b.get('updates')} updates"
            raise ValueError(f"{first} and {path} are trained unequally: {what}; compare runs of equal training")


def compare_runs(runs: Sequence[Path], out: Path, *, steps: tuple[int, ...], device: str, progress: bool) -> Report:
    """``warmflow compare RUN...``: judges finished runs of one recipe and data set; arms and seeds are read from them.

    Raises:
        ValueError: runs of different data or training, a seed that lacks an arm, no warm or no cold run.
    """
    steps = whole(steps)
    device_of(device)
    asked = [(run, read_asked(run)) for run in runs]
    _alike(asked)
    seeds: dict[str, set[int]] = {}
    for _, a in asked:
        seeds.setdefault(a["arm"], set()).add(a["seed"])
    if not any(k in seeds for k in JUDGED) or not any(k.startswith("cold") for k in seeds):
        raise ValueError(
            f"the runs hold the arms {sorted(seeds)}; a comparison needs warm and cold ones, train the other"
        )
    if len({frozenset(s) for s in seeds.values()}) > 1:
        have = ", ".join(f"{k} has {sorted(s)}" for k, s in sorted(seeds.items()))
        raise ValueError(f"the arms have different seeds: {have}; train the missing ones")
    recipe = asked[0][1]["recipe"]
    if recipe == "custom":
        raise ValueError("runs on your own arrays are compared from Python: warmflow.compare(data=..., out=...)")
    judged = next(k for k in JUDGED if k in seeds)
    warm = next(a for _, a in asked if a["arm"] == judged)
    plan = plan_of(recipe, settings_of(recipe, **warm["settings"]))
    flow = plan.flow
    entries = []
    for run, a in asked:
        sampler = placed(load(run), device)
        seconds = float(read_json(run / "config.json")["training"]["seconds"])
        kind = "warm" if a["arm"] == judged else "cold" if a["arm"].startswith("cold") else "beside"
        entries.append(Entry(a["arm"], kind, a["seed"], sampler, seconds))
    make_folder(out)
    ruler, about = ruler_for(plan.data, plan.settings.samples)
    source: Source = next(e.sampler.source for e in entries if e.arm == judged)
    draft = source.source if isinstance(source, Blurred | Shown) else source
    alone = Alone("draft" if judged == "warm" else "prior", "draft", draft)
    found = {"warmflow": read_json(runs[0] / "config.json")["warmflow"], "kind": "compare", "state": "complete",
             "asked": {"runs": [str(r) for r in runs], "steps": list(steps)}}  # fmt: skip
    found |= described(plan, ruler, about, sorted(seeds[judged]), device)
    write_json(out / "config.json", found)
    rows = list(measured(plan, ruler, entries, (alone,), steps, progress))
    save_rows(out, rows)
    drafted = draft if judged == "warm" else plan.draft(out / "draft", progress)
    found_audits = audits(plan, drafted, pairs(plan, drafted, None))
    names = flow.names if judged == flow.judged else ("warm", "cold")
    trained, bill = "equal training", {}
    drafting = [trained_seconds(run / "draft") for run, a in asked if a["arm"] == "warm"]
    if any(drafting):
        bill["draft"] = float(np.mean(drafting))
    if judged == flow.judged and flow.needs(judged) == "prior":
        trained = flow.training
        priors = [
            (read_json(run / "config.json").get("facts") or {}).get("prior") or {}
            for run, a in asked
            if a["arm"] == judged
        ]
        for name, key in PRIOR_BILL.items():
            bill[name] = float(np.mean([p.get(key, 0.0) for p in priors]))
    verdict = judge(ruler, rows, audit=found_audits, trained=trained, bill=bill, names=names)
    facts = verdict.to_json()
    facts["bill"] = bill | {k: float(np.mean([e.seconds for e in entries if e.arm == k])) for k in seeds}
    write_tensors(out / "pictures.safetensors", pictures(plan, entries, drafted, steps, 64))
    write_json(out / "verdict.json", facts)
    report = Report.read(out)
    report.save(out)
    return report
