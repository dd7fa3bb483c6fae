"""Warm against cold: is the walk shorter at the same quality?

    as good: for every metric, the one-sided 95 % upper bound of the mean over training seeds of D(warm) - D(cold) is
             below delta, the 95 % quantile of D between two real sets (bounds: metrics/comparison.py)

"Not significantly worse" is another question: it would reward few seeds. All metrics must hold, so their number needs
no correction.

Cold's best is the cold row (any pairing, solver, steps) with the lowest mean primary D. Cold needs c* calls: the fewest
at which a cold row is as good as that best; warm needs w* calls: the fewest at which a warm row is as good as that same
best and passes the guards. Steps are scanned from many to few, one series an (arm, solver), stopping at the first
failure, so a lucky short walk below a failing longer one is not found. The factor is c* / w*.

Where samples answer an input (restoration), whole sets may agree and the law given the input be lost: a regression keeps
none of it. There every row, cold's best and shortest too, must also hold a ratio that is 1 for the true conditional law
about as near to 1 as the cold row nearest to it (``ratio_guard``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch

from warmflow.metrics.comparison import Comparison, Difference, Guard, as_good, guards, interval, ratio_guard
from warmflow.metrics.ruler import CopyingBand, Floor, Measure, Ruler

__all__ = [
    "Comparison",
    "CopyingBand",
    "Difference",
    "Floor",
    "Guard",
    "Measure",
    "Row",
    "Ruler",
    "Verdict",
    "as_good",
    "at_convergence",
    "guards",
    "judge",
]

KINDS = ("real", "draft", "cold", "warm", "beside")
TRAINED = {
    "equal training": " at equal training",
    "equal training of the flows": " at equal training of the flows (the prior's comes on top)",
    "convergence": " at convergence",
    "distilled": "",
}
ALONE = {"draft": "the draft alone", "prior": "the learned prior alone"}


@dataclass(frozen=True)
class Row:
    """One arm at one number of steps under one training seed.

    ``arm`` is a name ("warm", "cold_assigned"), ``kind`` one of real, draft, cold, warm, or beside: measured and shown, not
    judged. ``calls`` are the flow
    network's evaluations a sample; ``seconds`` a sample at a large batch and ``seconds_single`` at batch 1, both with
    the source's own time in them.
    """

    arm: str
    kind: str
    solver: str
    steps: int
    calls: float
    seconds: float
    seconds_single: float
    seed: int
    measure: Measure

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind of row {self.arm!r} is {self.kind!r}; it must be one of {', '.join(KINDS)}")


def _calls(calls: float) -> str:
    """A number of calls as a sentence says it; where steps are skipped it is a mean, and no whole number."""
    return f"{round(calls, 1):g}"


@dataclass(frozen=True)
class _Group:
    """The rows of one arm, solver and number of steps, over its seeds."""

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def by_seed(self) -> dict[int, Measure]:
        return {row.seed: row.measure for row in self.rows}

    def mean(self, of: Callable[[Row], float]) -> float:
        return float(np.mean([of(row) for row in self.rows]))

    @property
    def calls(self) -> float:
        return self.mean(lambda row: row.calls)

    @property
    def seconds(self) -> float:
        return self.mean(lambda row: row.seconds)

    @property
    def label(self) -> str:
        parts = [self.first.arm.replace("_", " "), self.first.solver, f"{_calls(self.calls)} calls"]
        return ", ".join(p for p in parts if p)

    def brief(self) -> dict[str, Any]:
        keys = {"arm": self.first.arm, "solver": self.first.solver, "steps": self.first.steps}
        return {**keys, "calls": self.calls, "seconds": self.seconds}


def at_convergence(d_cold: float, d_cold_doubled: float, margin: float) -> bool:
    """Has cold's training converged? True if doubling it improves D by less than 10 %.

    Where D is at or below the margin (it may be 0 or negative) a share of it means nothing: there the improvement is
    compared with the margin instead.
    """
    improvement = d_cold - d_cold_doubled
    return improvement < (0.1 * d_cold if d_cold > margin else margin)


def _groups(rows: Sequence[Row]) -> list[_Group]:
    table: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in rows:
        table.setdefault((row.kind, row.arm, row.solver, row.steps), []).append(row)
    for key, group in table.items():
        seeds = [row.seed for row in group]
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"rows: {key} has seeds {seeds}; give one row a seed")
    return [_Group(tuple(sorted(group, key=lambda row: row.seed))) for group in table.values()]


def _fewest(groups: Sequence[_Group], passes: Callable[[_Group], bool], top: _Group | None = None) -> _Group | None:
    """The group with fewest calls found by scanning each (arm, solver) from many calls to few up to its first failure.

    ``top`` passes by definition, and the scan of its own series starts there. Ties go to fewer seconds.
    """
    series: dict[tuple[str, str], list[_Group]] = {}
    for group in groups:
        series.setdefault((group.first.arm, group.first.solver), []).append(group)
    found: list[_Group] = []
    for members in series.values():
        ordered = sorted(members, key=lambda g: (-g.calls, -g.first.steps))
        if top is not None and any(g is top for g in ordered):
            ordered = ordered[next(i for i, g in enumerate(ordered) if g is top) :]
        for group in ordered:
            if group is not top and not passes(group):
                break
            found.append(group)
    return min(found, key=lambda g: (g.calls, g.seconds), default=None)


def _best(kinds: Mapping[str, Sequence[_Group]], name: str, passes: Callable[[_Group], bool]) -> _Group:
    """Cold's best: the lowest mean distance of those that pass; every arm must have its seeds."""
    if not kinds["cold"] or not kinds["warm"]:
        raise ValueError(
            f"rows hold {len(kinds['cold'])} cold, {len(kinds['warm'])} warm settings; a verdict needs both"
        )
    best = min(filter(passes, kinds["cold"]), key=lambda g: g.mean(lambda row: row.measure.distance[name]))
    for group in (*kinds["draft"], *kinds["cold"], *kinds["warm"], *kinds["beside"]):
        if set(group.by_seed) != set(best.by_seed):
            seeds = f"{sorted(group.by_seed)}, {best.label} has {sorted(best.by_seed)}"
            raise ValueError(f"rows: {group.label} has seeds {seeds}; run every arm under the same seeds")
    return best


def judge(
    ruler: Ruler,
    rows: Sequence[Row],
    *,
    audit: Mapping[str, Any] | None = None,
    trained: str = "equal training",
    source_seconds: float | None = None,
    bill: Mapping[str, float] | None = None,
    names: tuple[str, str] = ("warm", "cold"),
    ratios: Mapping[str, float] | None = None,
) -> Verdict:
    """The verdict on rows of cold and warm arms (draft and real ones beside them), all under the same seeds.

    ``trained`` is what was held equal: "equal training", or "convergence" where ``at_convergence`` said so; "distilled"
    where nothing was. ``names`` are what the sentence calls the two.
    ``source_seconds`` is the source's time a sample (already in the rows' seconds; printed). ``bill`` lists one-off
    seconds that only the warm arm spends (training its draft, pairing); the verdict tells after how many samples the
    time saved has paid it. ``ratios`` names numbers beside the distances that are 1 where the law given the input is kept,
    and how much further from 1 than the nearest cold row a row may lie.
    """
    if trained not in TRAINED:
        raise ValueError(f"trained is {trained!r}; say one of {', '.join(TRAINED)}")
    groups = _groups(rows)
    kinds = {kind: [g for g in groups if g.first.kind == kind] for kind in KINDS}
    colds = [g.by_seed for g in kinds["cold"]]

    def kept(g: _Group) -> dict[str, Guard]:
        return {name: ratio_guard(name, g.by_seed, colds, slack) for name, slack in (ratios or {}).items()}

    def keeps(g: _Group) -> bool:
        return all(guard.passes for guard in kept(g).values())

    best = _best(kinds, ruler.primary, keeps)
    judged = [g for kind in ("draft", "cold", "warm") for g in kinds[kind]]
    compared = {id(g): as_good(ruler, g.by_seed, best.by_seed) for g in judged}
    guarded = {id(g): guards(ruler, g.by_seed, best.by_seed) | kept(g) for g in judged}

    def warm_passes(g: _Group) -> bool:
        return compared[id(g)].holds and all(guard.passes for guard in guarded[id(g)].values())

    def draft_passes(g: _Group) -> bool:
        return compared[id(g)].holds and guarded[id(g)]["variation"].passes and keeps(g)

    cold = _fewest(kinds["cold"], lambda g: compared[id(g)].holds and keeps(g), top=best) or best
    warm = _fewest(kinds["warm"], warm_passes)
    draft = next((g for g in kinds["draft"] if draft_passes(g)), None)
    shown = draft or warm or _nearest(kinds["warm"], compared, ruler.primary)
    if not (draft or warm) and warm_passes(shown):  # a short walk passes below a longer one that stopped the scan
        shown = min((g for g in kinds["warm"] if g.calls > shown.calls and not warm_passes(g)), key=lambda g: g.calls)
    claim, holds = _claim(best, cold, warm, draft, shown, compared, guarded, trained, names)
    saved = cold.seconds - warm.seconds if holds and warm else 0.0
    primary = compared[id(shown)].primary
    return Verdict(
        claim=claim,
        holds=holds,
        margin=ruler.margin(),
        metric={"name": ruler.primary, **ruler.to_json()["metrics"][ruler.primary]},
        samples=ruler.samples,
        factor_calls=cold.calls / warm.calls if holds and warm else None,
        factor_seconds=cold.seconds / warm.seconds if holds and warm and warm.seconds > 0 else None,
        difference={key: getattr(primary, key) for key in ("estimate", "low", "high", "level")},
        rows=_table(ruler, groups, compared, guarded),
        audit=dict(audit or {}),
        seeds=sorted(best.by_seed),
        more={
            "factor_calls_best": best.calls / warm.calls if holds and warm else None,
            "trained": trained,
            "names": list(names),
            "reference": best.brief(),
            "cold": cold.brief(),
            "warm": warm.brief() if warm else None,
            "draft": {"as_good": draft is not None, **(draft.brief() if draft else {})},
            "compared": shown.brief(),
            "equal_calls": _equal_calls(ruler, kinds),
            "differences": {d.metric: {**vars(d), "holds": d.holds} for d in compared[id(shown)].differences},
            "guards": {name: vars(guard) for name, guard in guarded[id(shown)].items()},
            "ruler": ruler.to_json(),
            "source_seconds": source_seconds,
            "bill": dict(bill or {}),
            "paid_after": math.ceil(sum(bill.values()) / saved) if bill and saved > 0 else None,
        },
    )


def _equal_calls(ruler: Ruler, kinds: Mapping[str, Sequence[_Group]]) -> list[dict[str, Any]]:
    """Beside each warm row the cold row with the lowest mean primary D among those of no more calls, and D(cold) -
    D(warm) with its one-sided bounds: what the warm start buys where nobody spends more."""
    found = []
    for warm in kinds["warm"]:
        within = [g for g in kinds["cold"] if g.calls <= warm.calls]
        if within:
            cold = min(within, key=lambda g: g.mean(lambda row: row.measure.distance[ruler.primary]))
            gained = as_good(ruler, cold.by_seed, warm.by_seed).differences
            rows = {d.metric: {k: getattr(d, k) for k in ("estimate", "low", "high", "margin")} for d in gained}
            found.append({"calls": warm.calls, "warm": warm.brief(), "cold": cold.brief(), "gain": rows})
    return found


def _nearest(groups: Sequence[_Group], compared: Mapping[int, Comparison], name: str) -> _Group:
    """Where nothing passes: the row whose distances hold with the fewest calls, else the one with the lowest D."""
    good = [g for g in groups if compared[id(g)].holds]
    if good:
        return min(good, key=lambda g: g.calls)
    return min(groups, key=lambda g: g.mean(lambda row: row.measure.distance[name]))


def _claim(
    best: _Group,
    cold: _Group,
    warm: _Group | None,
    draft: _Group | None,
    shown: _Group,
    compared: Mapping[int, Comparison],
    guarded: Mapping[int, Mapping[str, Guard]],
    trained: str,
    names: tuple[str, str],
) -> tuple[str, bool]:
    """The sentence, in the order of the definition, and whether warm is as good as cold and shorter."""
    failed = " and ".join(guard.says for guard in guarded[id(shown)].values() if not guard.passes)
    when = TRAINED[trained]
    ours, theirs = names
    no = f"{ours} is not as good as {theirs} ({best.label}){when}"
    if len(best.rows) == 1:
        return (
            f"one seed: no claim; train {ours} and {theirs} under at least two more (the table is an indication)",
            False,
        )
    if draft is not None:
        note = f"; but it fails the {failed}" if failed else ""
        name = ALONE.get(draft.first.arm, draft.first.arm)
        return f"{name} does as well as {theirs} ({best.label}){when}: no flow is needed{note}", False
    if warm is None:
        lost = next((d for d in compared[id(shown)].differences if not d.holds), None)
        if lost is None:
            return f"{no}: at {_calls(shown.calls)} calls it fails the {failed}", False
        why = f"at {_calls(shown.calls)} calls, D on {lost.metric} differs by {lost.estimate:.2e}, at most {lost.high:.2e}"
        also = f"; it also fails the {failed}" if failed else ""
        return f"{no}: {why}, margin {lost.margin:.2e}{also}", False
    calls = cold.calls / warm.calls
    if calls <= 1:
        needs = f"{ours} needs {_calls(warm.calls)} calls, {theirs} {_calls(cold.calls)}"
        return f"{ours} is as good as {theirs} but no faster{when}: {needs}", False
    time = cold.seconds / warm.seconds if warm.seconds > 0 else math.inf
    said = f", {time:.1f} times less time" if time >= 1.05 else f", but {1 / max(time, 1e-9):.1f} times the time"
    if 1 / 1.05 < time < 1.05:
        said = ", but in the same time"
    return f"{ours} is as good as {theirs} in {calls:.1f} times fewer calls{said}{when and ','}{when}", True


def _table(
    ruler: Ruler,
    groups: Sequence[_Group],
    compared: Mapping[int, Comparison],
    guarded: Mapping[int, Mapping[str, Guard]],
) -> list[dict[str, Any]]:
    """One row an arm, solver and steps, averaged over seeds; the first is real against real, from the splits."""
    floors = {name: {"distance": f.mean, "low": f.low, "high": f.high} for name, f in ruler.margins.items()}
    real = {
        "arm": "real",
        "kind": "real",
        "solver": "",
        "steps": 0,
        "calls": 0.0,
        "seconds": 0.0,
        "seconds_single": 0.0,
    }
    band = {"variation": ruler.variation.mean, "copying": ruler.copying.share, "copying_mean": ruler.copying.mean}
    beside = {name: floor.mean for name, floor in ruler.beside_floors.items()}
    table = [{**real, **floors[ruler.primary], **band, "distances": floors, "beside": beside, "seeds": []}]
    for g in groups:
        distances = {metric.name: interval(g.by_seed, metric.name) for metric in ruler.metrics}
        line = {
            **g.brief(),
            "kind": g.first.kind,
            "seconds_single": g.mean(lambda row: row.seconds_single),
            **distances[ruler.primary],
            "variation": g.mean(lambda row: row.measure.variation),
            "copying": g.mean(lambda row: row.measure.copying_share),
            "copying_mean": g.mean(lambda row: row.measure.copying_mean),
            "distances": distances,
            "beside": {
                name: float(np.mean([row.measure.beside[name] for row in g.rows])) for name in g.rows[0].measure.beside
            },
            "seeds": [row.seed for row in g.rows],
        }
        if id(g) in compared:
            line["as_good"] = compared[id(g)].holds
            line["guards"] = {name: guard.passes for name, guard in guarded[id(g)].items()}
        table.append(line)
    return table


def _plain(value: Any) -> Any:
    """JSON without NaN or infinity: those, and anything undefined, are null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, torch.Tensor | np.generic | np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Verdict:
    """The sentence, whether it holds, and everything it was read from; factors are None where nothing holds.

    ``difference`` is that of the row the sentence speaks of, on the primary metric, to cold's best. ``more`` holds
    further keys of verdict.json (reference, guards, differences, ruler, bill, ...).
    """

    claim: str
    holds: bool
    margin: float
    metric: Mapping[str, Any]
    samples: int
    factor_calls: float | None
    factor_seconds: float | None
    difference: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    audit: Mapping[str, Any]
    seeds: Sequence[int]
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """verdict.json: the named keys, then those of ``more``; plain JSON values, null for what is undefined."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "more"}
        plain: dict[str, Any] = _plain({**named, **self.more})
        return plain

    @staticmethod
    def from_json(json: Mapping[str, Any]) -> Verdict:
        """The verdict in a verdict.json; unknown keys go to ``more``, a missing one is a ValueError that names it."""
        named = [f.name for f in fields(Verdict) if f.name != "more"]
        missing = [name for name in named if name not in json]
        if missing:
            raise ValueError(
                f"verdict.json lacks {', '.join(missing)}; half-written or of another version: compare again"
            )
        return Verdict(**{name: json[name] for name in named}, more={k: v for k, v in json.items() if k not in named})
