"""Measuring trained arms: every row of a verdict, the audits, the pictures; and rows kept for whoever asks another question.

folder/rows.json, rows.safetensors    each arm, solver, steps and seed with its distances, the resamplings they were
                                      bounded by, and its guards: any two rows can be compared again without sampling
folder/measured/RULER/ROW/            rows so far: a measurement that is cut off goes on, and several processes share one
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.checkpoints import read_json, read_tensors, write_json, write_tensors
from warmflow.contracts import Batch, Solver, Source
from warmflow.couplings import prepare
from warmflow.data.grid import Grid
from warmflow.data.text import Alphabet
from warmflow.metrics.audit import audit_pairs
from warmflow.metrics.cost import timed
from warmflow.noise import Noise, permutation
from warmflow.recipes.plan import Plan
from warmflow.sampler import Sampler, trajectory
from warmflow.sources import LearnedPrior
from warmflow.verdict import Measure, Row, Ruler

AUDITED = 10_000
"""Of a larger training set, the rows that each pairing is audited on."""
AT_ONCE, LEAST_AT_ONCE = 2**18, 64
"""Numbers walked at once, and rows at least: a U-Net's layers of 2,000 images leave the cache and take three times as long."""


def at_once(sampler: Sampler) -> int:
    """Rows that are walked at once."""
    return max(LEAST_AT_ONCE, AT_ONCE // math.prod(sampler.shape))


@dataclass(frozen=True, eq=False)
class Entry:
    """A trained arm of one seed."""

    arm: str
    kind: str
    seed: int
    sampler: Sampler
    seconds: float


@dataclass(frozen=True, eq=False)
class Alone:
    """A source whose starts are measured as they come: the "draft" that warm samples start from, or the "prior".

    ``kind`` is "draft" for the one that the judged arm starts from, which may do as well alone, else "beside".
    """

    arm: str
    kind: str
    source: Source

    def drawn(self, n: int, seed: int) -> Tensor:
        """The starts of the samples of the same seed, of a draft before it is blurred."""
        noise = Noise.of(seed, n).fold("source")
        return self.source.draw(n, noise=noise.fold("draft") if self.arm == "draft" else noise).x0

    def given(self, condition: dict[str, Tensor], seed: int) -> Tensor:
        """The starts for these conditions, one a row."""
        n = len(next(iter(condition.values())))
        return self.source.draw(n, condition, noise=Noise.of(seed, n).fold("source").fold("draft")).x0


def sources_alone(plan: Plan, sources: Mapping[str, Source]) -> list[Alone]:
    """The sources of a plan's arms ("draft", "prior"), each to be measured alone."""
    judged = plan.flow.needs(plan.flow.judged)
    return [Alone(name, "draft" if name == judged else "beside", source) for name, source in sources.items()]


def _single(sampler: Sampler, seed: int) -> float:
    """Seconds of one sample at batch 1, the source included."""
    return timed(lambda: sampler(1, seed=seed), repeats=7, warmup=1).seconds


def measured(
    plan: Plan, ruler: Ruler, entries: Sequence[Entry], alone: Sequence[Alone], steps: Sequence[int], progress: bool,
    walks: Callable[[Entry], Sequence[tuple[Solver, int]]] | None = None, folder: Path | None = None,
    backwards: bool = False, estimated: Callable[[float], None] | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Every row: each arm and seed by its ``walks`` (the flow's own schedule), and each source alone on the same seeds.

    Args:
        folder: rows found there are read, others are kept there as soon as they are measured; None keeps nothing.
        backwards: from the last arm to the first, beside a process that begins with the first.
        estimated: told once about how many seconds the sampling will take, before it begins.
    """
    from tqdm import tqdm

    n, singles = ruler.samples, {}
    schedule = walks or (lambda e: plan.flow.schedule(plan, e.kind, steps))
    jobs = [(e, solver, k) for e in entries for solver, k in schedule(e)]
    where = None if folder is None else folder / "measured" / _known(ruler)

    def place(e: Entry, solver: Solver, k: int) -> Path | None:
        return None if where is None else where / _name(e.arm, e.seed, type(solver).__name__, k)

    for e in entries[:1]:
        began = time.perf_counter()
        e.sampler(n, seed=0, steps=1, batch=at_once(e.sampler))  # warm the caches before the clock runs
        if estimated is not None:
            left = [job for job in jobs if (found := place(*job)) is None or not (found / "rows.json").exists()]
            passes = sum((k - 1) * solver.calls_per_step + solver.calls_last_step for _, solver, k in left)
            estimated(passes * (time.perf_counter() - began))
    order = jobs[::-1] if backwards else jobs
    for e, solver, k in tqdm(order, desc="sampling", unit="row", disable=not progress, mininterval=0.5):
        sampler = replace(e.sampler, solver=solver, steps=k)
        key, kept = (e.arm, type(solver).__name__, k), place(e, solver, k)
        if kept is not None and (kept / "rows.json").exists():
            yield read_rows(kept)[0]
            continue
        if key not in singles:
            singles[key] = _single(sampler, e.seed)
        drawn = sampler(n, seed=e.seed, batch=at_once(sampler))
        calls = float(drawn.calls.double().mean())
        beside = plan.flow.beside(plan, lambda c, k, s=sampler: s(len(c["input"]), seed=k, condition=c).x)  # type: ignore[misc]
        measure = _told(ruler.measure(drawn.x.cpu()), beside)
        row = Row(e.arm, e.kind, key[1], k, calls, drawn.seconds / n, singles[key], e.seed, measure)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            save_rows(kept, [row])
        yield row
    for one in alone:
        for seed in sorted({e.seed for e in entries}):
            began = time.perf_counter()
            x = plan.clip(one.drawn(n, seed))
            seconds = time.perf_counter() - began
            single = timed(lambda s=seed, one=one: one.drawn(1, s), repeats=5).seconds  # type: ignore[misc]
            beside = plan.flow.beside(plan, lambda c, k, one=one: one.given(c, k))  # type: ignore[misc]
            measure = _told(ruler.measure(x), beside)
            yield Row(one.arm, one.kind, "none", 0, 0.0, seconds / n, single, seed, measure)


def _known(ruler: Ruler) -> str:
    """Twelve hexadecimal digits of all that a ruler has fixed: rows of another are none of its own."""
    return hashlib.sha256(json.dumps(ruler.to_json(), sort_keys=True).encode()).hexdigest()[:12]


def _name(arm: str, seed: int, solver: str, steps: int) -> str:
    return f"{arm}-{seed}-{solver}-{steps}"


def recall(folder: Path, ruler: Ruler) -> bool:
    """Lays the rows of a finished comparison out one by one again, where this ruler measured them and every arm is there: the
    same command then judges them anew, and draws nothing. Whether it did."""
    margins = read_json(folder / "config.json").get("margins")
    if margins != json.loads(json.dumps(ruler.to_json())) or not (folder / "rows.safetensors").exists():
        return False
    rows = read_rows(folder)
    walked = {folder / "seeds" / str(row.seed) / row.arm for row in rows if row.solver != "none"}
    if not all((arm / "model.safetensors").exists() for arm in walked):
        return False
    for row in rows:
        kept = folder / "measured" / _known(ruler) / _name(row.arm, row.seed, row.solver, row.steps)
        kept.mkdir(parents=True, exist_ok=True)
        save_rows(kept, [row])
    return True


def forget(folder: Path) -> None:
    """Removes the rows that were kept one by one: ``rows.json`` has them all."""
    shutil.rmtree(folder / "measured", ignore_errors=True)


def _told(measure: Measure, beside: Mapping[str, float]) -> Measure:
    return replace(measure, beside={**measure.beside, **beside}) if beside else measure


def seen_as(plan: Plan, x: Tensor) -> Tensor:
    """Samples as they are measured and drawn: tokens of a grid as points of the plane, all else as it is."""
    return plan.data.codec.decode(x) if isinstance(plan.data.codec, Grid) else x


def audits(plan: Plan, draft: Source, paired: Batch | None) -> dict[str, Any]:
    """The audit of the pairing that is trained on, and beside it of the others on one round."""
    if isinstance(plan.data.codec, Alphabet):
        return _text_audits(plan, draft, paired)
    whole, s = plan.data.train, plan.settings
    data = whole
    if len(whole) > AUDITED:  # pairing all of a large set by every pairing would take longer than training on it
        data = whole[permutation(s.data_seed, len(whole), "audit")[:AUDITED]]
        data = replace(data, index=torch.arange(AUDITED))
    m = min(len(data), 2000)
    fresh = seen_as(plan, draft.draw(m, noise=Noise.of(s.data_seed + 7919, m)).x0)
    x1 = seen_as(plan, data.x1)
    found = {}
    nearest = () if "label" in draft.takes else ("nearest-datum", "nearest-draft")  # may be of another label
    others = ("assignment", *nearest, "independent")
    for name in dict.fromkeys((s.pairing, *others)):
        block = 256 if name == "minibatch-assignment" else s.block
        trained_on = name == s.pairing and paired is not None and paired.start is not None
        rows, ends = data, x1
        if (
            trained_on and name == "given"
        ):  # no other pairs of some rows can be made: these are audited as they are, all
            assert paired is not None
            part, rows, ends = paired[torch.arange(len(whole))], whole, seen_as(plan, whole.x1)
        elif trained_on and data is whole:
            assert paired is not None
            part = paired[torch.arange(len(data))]
        else:
            part = prepare(plan.flow.coupling(plan, name), data, draft, block=block, seed=s.data_seed)
        assert part.start is not None and part.index is not None
        labels = rows.condition.get("label")
        start, end = seen_as(plan, part.start.x0), seen_as(plan, part.x1)
        audit = audit_pairs(start, end, part.index, len(rows), labels, fresh, ends, s.data_seed)
        found[name] = audit.to_json()
    return found


def _text_audits(plan: Plan, draft: Source, paired: Batch | None, rows: int = 2000) -> dict[str, Any]:
    """The audit of the pairing of texts that is trained on, and of independent pairs: each made once more, on some rows of
    the data (pairs from a file are taken as they are)."""
    from warmflow.metrics.audit_tokens import audit_tokens

    data, s, found = plan.data.train, plan.settings, {}
    few = data[permutation(s.data_seed, len(data), "audit")[:rows]]
    few = Batch(few.x1, {}, torch.arange(len(few)))
    fresh = draft.draw(len(few), noise=Noise.of(s.data_seed + 7919, len(few))).x0
    for name in dict.fromkeys((s.pairing, "independent")):
        if name == "given":
            assert paired is not None
            part = paired[torch.arange(min(rows, len(paired)))]
        else:
            part = prepare(plan.flow.coupling(plan, name), few, draft, block=s.block, seed=s.data_seed)
        assert part.start is not None
        index = None if name == "given" else part.index
        audit = audit_tokens(part.start.x0, part.x1, index, len(few), fresh, few.x1, len(plan.data.codec), s.data_seed)
        found[name] = audit.to_json()
    return found


def pictures(
    plan: Plan, entries: Sequence[Entry], draft: Source | None, steps: Sequence[int], n: int
) -> dict[str, Tensor]:
    """Samples at equal seeds for the report: real, draft, start, cold and warm; trajectories for points."""
    n = min(n, len(plan.data.heldout))
    out: dict[str, Tensor] = {"real": plan.data.heldout.x1[:n]}
    plane = plan.data.kind == "points" or isinstance(plan.data.codec, Grid)
    seed = min((e.seed for e in entries), default=0)
    if draft is not None:
        out["draft"] = plan.clip(Alone("draft", "draft", draft).drawn(n, seed))
    first = {e.arm: e for e in entries if e.seed == seed}
    if "warm" in first:
        sampler = first["warm"].sampler
        start = sampler.source.draw(n, noise=Noise.of(seed, n).fold("source"))
        out["start"] = plan.clip(start.x0)
        for k in steps:
            out[f"warm.{k}"] = sampler(n, seed=seed, steps=k).x
        if plane:
            out["trajectory.warm"] = trajectory(replace(sampler, steps=4), start[:200], seed=seed)
    for arm in plan.flow.of_prior:
        if arm in first:
            out |= {f"{arm}.{k}": first[arm].sampler(n, seed=seed, steps=k).x for k in steps if k <= 8}
    judged = first.get(plan.flow.judged)
    if judged is not None and isinstance(judged.sampler.source, LearnedPrior):
        out |= _prior_pictures(judged.sampler.source, n, seed)
    if "cold" in first:
        sampler = first["cold"].sampler
        for k in (1, 4, 20, 50) if plan.data.kind != "tokens" else (4, 16, 64):
            out[f"cold.{k}"] = sampler(n, seed=seed, steps=k).x
        if plane:
            start = sampler.source.draw(200, noise=Noise.of(seed, 200).fold("source"))
            out["trajectory.cold"] = trajectory(replace(sampler, steps=20), start, seed=seed)
    whole = {k: seen_as(plan, v).cpu().contiguous() for k, v in out.items()}
    return {k: v if v.dtype == torch.int64 else v.float() for k, v in whole.items()}


def _prior_pictures(source: LearnedPrior, n: int, seed: int) -> dict[str, Tensor]:
    """The prior's mean, its sigma (black for none, white for the largest), and starts at half, the whole and twice of it."""
    noise = Noise.of(seed, n).fold("source")
    start = source.draw(n, noise=noise)
    sigma = start.condition["log_sigma"].exp()
    out = {"prior.mean": start.condition["mean"], "prior.sigma": 2 * sigma / sigma.max() - 1}
    for name, scale in (("start_at_half_of_sigma", 0.5), ("start", 1.0), ("start_at_twice_sigma", 2.0)):
        out[f"prior.{name}"] = replace(source, scale=scale).draw(n, noise=noise).x0
    return out


# ---------------------------------------------------------------- rows, kept


def save_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Writes rows.json and rows.safetensors."""
    tensors: dict[str, Tensor] = {}
    lines = []
    for i, row in enumerate(rows):
        tensors |= {f"{i}.{name}": value for name, value in row.measure.replicates.items()}
        facts = {f.name: getattr(row, f.name) for f in dataclasses.fields(Row) if f.name != "measure"}
        measure = {k: v for k, v in vars(row.measure).items() if k != "replicates"}
        lines.append({**facts, "measure": measure})
    write_tensors(folder / "rows.safetensors", tensors)
    write_json(folder / "rows.json", lines)


def read_rows(folder: str | Path) -> list[Row]:
    """The rows that ``save_rows`` wrote; feed them to ``verdict.as_good`` or ``verdict.judge``."""
    folder = Path(folder)
    tensors, _ = read_tensors(folder / "rows.safetensors")
    rows = []
    for i, line in enumerate(read_json(folder / "rows.json")):
        facts = line.pop("measure")
        replicates = {name: tensors[f"{i}.{name}"] for name in facts["distance"]}
        rows.append(Row(**line, measure=Measure(**facts, replicates=replicates)))
    return rows
