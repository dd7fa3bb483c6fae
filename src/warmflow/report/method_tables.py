"""The tables of all methods: every row, choices of solvers, audits of pairings, one-off costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from warmflow.report import words
from warmflow.report.records import texts
from warmflow.report.tables import Cell, Line, Table, equivalent, left, numeric, spread, table
from warmflow.report.verdict import Method, Metric, Point, Verdict
from warmflow.report.words import NONE

ROLES = {"baseline": "baseline", "candidate": "candidate", "start": "start", "shown": "shown, not judged"}


def _heading(method: Method, verdict: Verdict) -> str:
    """The title of a method's rows, with its role and solver."""
    role, of = ROLES.get(method.role, method.role), verdict.title(method.of) if method.of else ""
    if of and of not in method.title and f"({method.of})" not in method.title:
        role += f" of {of}"
    return " · ".join(part for part in (method.title, role, method.solver) if part)


def variation(point: Point, shares: Sequence[float]) -> float:
    """Half the summed difference between the shares of classes in the samples and in the test set."""
    if not shares or len(point.classes) != len(shares):
        return math.nan
    return 0.5 * sum(abs(p - q) for p, q in zip(point.classes, shares, strict=True))


def _measured(point: Point, metrics: Sequence[Metric]) -> list[Cell]:
    cells = []
    for m in metrics:
        found = point.metrics.get(m.name)
        if m.scatter is not None:
            text = words.equivalent(found.n_eq.estimate) if found else NONE
            cells.append(numeric(found.n_eq.estimate if found else None, text, equivalent(found.n_eq) if found else ""))
        text = words.number(found.distance.estimate, m.scale) if found else NONE
        cells.append(
            numeric(found.distance.estimate if found else None, text, spread(found.distance, m.scale) if found else "")
        )
    return cells


def rows(verdict: Verdict) -> Table | None:
    """Every method at every number of calls."""
    points, shares = [p for m in verdict.methods for p in m.points], verdict.shares
    timed = any(p.seconds is not None for p in points)
    varied = any(not math.isnan(variation(p, shares)) for p in points)
    copied = [q for i, q in enumerate(verdict.quantiles) if any(len(p.copies) > i for p in points)]
    head = ["calls", "steps"]
    for m in verdict.metrics:
        head += (
            [f"n_eq on {m.short}", m.title] if m.scatter is not None else [m.title + (f" ({m.unit})" if m.unit else "")]
        )
    head += ["time a sample"] * timed + ["class variation"] * varied
    head += [f"copying, {words.number(q, 100)} %" for q in copied]
    lines = []
    for method in verdict.methods:
        lines.append(Line(title=_heading(method, verdict)))
        for p in method.points:
            cells = [numeric(p.calls), numeric(p.steps), *_measured(p, verdict.metrics)]
            cells += [numeric(p.seconds, words.duration(p.seconds))] * timed
            cells += [numeric(variation(p, shares))] * varied
            for i in range(len(copied)):
                share = p.copies[i] if i < len(p.copies) else math.nan
                cells.append(numeric(share, NONE if math.isnan(share) else f"{words.number(share, 100)} %"))
            lines.append(Line(tuple(cells)))
    note = "Beside each number stands its 95 % interval; ∞ means that the distance is at most 0."
    if varied and verdict.variation.limit:
        note += f" Sampling alone gives a class variation of up to {words.number(verdict.variation.limit)}."
    if copied:
        note += " Copying: the share of the samples that is nearer to the training data than so many per cent of new real data."
    return table(head, lines if points else (), note=note)


def beside(verdict: Verdict) -> Table | None:
    """Numbers of every row that the verdict does not use."""
    names = list(dict.fromkeys(k for m in verdict.methods for p in m.points for k in p.beside))
    lines = []
    for method in verdict.methods:
        found = [p for p in method.points if p.beside]
        lines += [Line(title=_heading(method, verdict))] if found else []
        for p in found:
            cells = [numeric(p.beside.get(k), words.number(p.beside.get(k), _scale(k))) for k in names]
            lines.append(Line((numeric(p.calls), *cells)))
    return table(("calls", *(words.metric_name(k) for k in names)), lines)


def _scale(name: str) -> float:
    return 1000.0 if "mmd" in name.lower() else 1.0


def choices(verdict: Verdict) -> Table | None:
    """The solver of each method, and the validation distances that it was chosen by."""
    calls = sorted({n for c in verdict.choices for at in c.distances.values() for n in at}, key=lambda n: (len(n), n))
    scale = verdict.primary.scale if verdict.primary else 1.0
    lines = []
    for c in verdict.choices:
        lines.append(Line(title=verdict.title(c.method)))
        for solver, at in c.distances.items():
            chosen = solver == c.chosen
            cells = [left(words.solver(solver) or NONE), left("chosen" if chosen else "", "yes")]
            cells += [numeric(at.get(n), words.number(at.get(n), scale)) for n in calls]
            lines.append(Line(tuple(cells), kind="quoted" if chosen else ""))
    title = verdict.primary.title if verdict.primary else "distance"
    head = ("solver", "", *(f"{title}, {n} call{'' if n == '1' else 's'}" for n in calls))
    return table(head, lines, note="Distances on validation data, which the verdict does not use.")


AUDIT = {
    "agreement": ("tokens kept", 100.0),
    "divergence": ("bigram divergence of the targets", 1.0),
    "never_chosen": ("data never chosen", 100.0),
    "effective_sample_size": ("effective sample size", 1.0),
    "variation": ("class variation", 1.0),
    "mean_cost": ("mean cost", 1.0),
    "explained": ("velocity explained by the start", 100.0),
    "draft_shift": ("draft shift (AUC)", 1.0),
}


def audit(verdict: Verdict) -> Table | None:
    """What each pairing does to the data, with its warnings."""
    pairings = verdict.audit
    keys = [k for k in AUDIT if any(words.real(p.get(k)) is not None for p in pairings.values())]
    if not keys and not any(p.get("flags") for p in pairings.values()):
        return None
    lines = []
    for pairing, found in pairings.items():
        said = "; ".join(texts(found.get("flags")))
        cells = [left(words.phrase(pairing)), left(said, "long no") if said else left("none", "yes")]
        for key in keys:
            scale, x = AUDIT[key][1], words.real(found.get(key))
            share = scale == 100 or (key == "effective_sample_size" and x is not None and x <= 1)
            text = words.number(x, 100.0 if share else 1.0) + (" %" if share and x is not None else "")
            cells.append(numeric(x, text))
        lines.append(Line(tuple(cells)))
    return table(("pairing", "warnings", *(AUDIT[k][0] for k in keys)), lines)


def bill(verdict: Verdict) -> Table | None:
    """One-off costs before the first sample, of the whole study and of each method."""
    lines = []
    for key, value in verdict.bill.items():
        text = f"{words.number(value)} samples" if "samples" in key else words.duration(value)
        lines.append(Line((left(words.phrase(key)), numeric(value, text))))
    for steps, samples in verdict.paid.items():
        text = "never" if samples is None else f"{words.number(samples)} samples"
        name = f"paid back, against {steps} call{'' if steps == '1' else 's'} of the teacher, after"
        lines.append(Line((left(name), numeric(samples, text))))
    for method in verdict.methods:
        for key, value in method.bill.items():
            lines.append(Line((left(f"{method.title}: {words.phrase(key)}"), numeric(value, words.duration(value)))))
    return table((), lines, "narrow")
