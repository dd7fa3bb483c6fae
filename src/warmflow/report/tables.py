"""The tables of a report as plain values, which a template draws: the template escapes, and keeps every number in full."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmflow.report import words
from warmflow.report.verdict import Candidate, Exchange, Gain, Interval, Method, Metric, Point, Verdict
from warmflow.report.words import NONE


@dataclass(frozen=True)
class Cell:
    """A cell: the text, the number it rounds (kept in full beside it), a soft text after it, its class."""

    text: str
    value: float | None = None
    soft: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """A row; a group's title where it has no cells."""

    cells: tuple[Cell, ...] = ()
    title: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    kind: str = "rows"
    note: str = ""

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each column's heading with its side: text stands to the left, numbers to the right."""
        cells = next((line.cells for line in self.lines if line.cells), ())
        sides = ["left" if c.kind.startswith("left") else "" for c in cells]
        return list(zip(self.head, sides, strict=False))


def numeric(value: Any, text: str | None = None, soft: str = "", kind: str = "") -> Cell:
    """A number, rounded and in full; infinite and undefined ones keep their text only."""
    return Cell(words.number(value) if text is None else text, words.real(value), soft, kind)


def left(text: str, kind: str = "") -> Cell:
    return Cell(text, kind=f"left {kind}".strip())


def table(head: Sequence[str], lines: Iterable[Line], kind: str = "rows", note: str = "") -> Table | None:
    """A table, or None without lines."""
    found = tuple(lines)
    return Table(tuple(head), found, kind, note) if found else None


def facts(given: Mapping[str, Any]) -> Table | None:
    """Two columns: names and what they are."""
    return table(
        (), (Line((Cell(words.phrase(str(k))), Cell(words.plain(v), words.real(v)))) for k, v in given.items()), "facts"
    )


def calls_cell(n: float, none: str = "none measured") -> Cell:
    return Cell(none) if n == math.inf else numeric(n)


def spread(value: Interval, scale: float = 1.0) -> str:
    """ "0.2 to 0.4"; empty without an interval."""
    if math.isnan(value.low) and math.isnan(value.high):
        return ""
    return f"{words.number(value.low, scale)} to {words.number(value.high, scale)}"


def equivalent(value: Interval) -> str:
    """ "200 to ∞"; empty without an interval."""
    return "" if math.isnan(value.low) else f"{words.equivalent(value.low)} to {words.equivalent(value.high)}"


# ---------------------------------------------------------------- of one candidate


def _rate(e: Exchange) -> Cell:
    if math.isinf(e.rate):
        return Cell(f"more than {words.number(e.horizon / e.calls)}", soft=f"none within {words.calls(e.horizon)}")
    return numeric(e.rate, soft="" if e.measured else "not measured there")


def _exchanged(e: Exchange, verdict: Verdict) -> Cell:
    if math.isinf(e.baseline_calls):
        return left("none is as good")
    method = verdict.method(e.baseline)
    parts = (words.name(e.baseline), method.solver if method else "", words.calls(e.row_calls))
    return left(", ".join(part for part in parts if part))


def _passes(e: Exchange) -> Cell:
    failed = [g.name for g in e.guards if not g.passes]
    if not e.guards:
        return left(NONE)
    return left(f"fails: {', '.join(failed)}", "no") if failed else left("passes", "yes")


def _decides(e: Exchange) -> str:
    """The metric that alone would show the most baseline rows to be worse."""
    most = max(e.by_metric.values(), default=math.nan)
    named = [k for k, v in e.by_metric.items() if v == most]
    return (
        NONE
        if not named
        else "all alike"
        if len(named) == len(e.by_metric) > 1
        else ", ".join(map(words.phrase, named))
    )


def exchange(candidate: Candidate, verdict: Verdict) -> Table | None:
    """What each row of the candidate is exchanged for, with its guards and what each metric alone would give."""
    metrics = list(dict.fromkeys(k for e in candidate.rows for k in e.by_metric))
    several = len(metrics) > 1
    head = ["calls", "exchange rate", "exchanged for", "near enough to count", "guards", "worse on"]
    head += ["decided by", *(f"rate by {words.phrase(m)} alone" for m in metrics)] if several else []
    lines = []
    quoted = candidate.exchange
    for e in candidate.rows:
        ours = quoted is not None and e.calls == quoted.calls
        cells = [numeric(e.calls, soft="quoted" if ours else ""), _rate(e), _exchanged(e, verdict)]
        cells += [left("yes" if e.useful else "no", "" if e.useful else "dim"), _passes(e)]
        cells += [left(", ".join(map(words.phrase, e.worse_on)) or "none", "no" if e.worse_on else "dim")]
        if several:
            cells.append(left(_decides(e)))
            for m in metrics:
                n = e.by_metric.get(m, math.nan)
                cells.append(
                    Cell(f"more than {words.number(e.horizon / e.calls)}") if math.isinf(n) else numeric(n / e.calls)
                )
        lines.append(Line(tuple(cells), kind="quoted" if ours else ""))
    note = (
        "The rate is the fewest baseline calls that are not shown to be worse, divided by the candidate's calls. The verdict "
        "quotes the largest among rows that are near enough to the data to count and that pass the guards."
    )
    return table(head, lines, note=note)


def guards(candidate: Candidate) -> Table | None:
    """Each check of each row, with its bound and limit."""
    lines = [
        Line((
            numeric(e.calls), left(g.name), left("passes", "yes") if g.passes else left("fails", "no"),
            numeric(g.estimate), numeric(g.low), numeric(g.limit), left(g.detail, "long"),
        ))
        for e in candidate.rows for g in e.guards
    ]  # fmt: skip
    note = "A guard fails where even the lower bound is past the limit."
    return table(("calls", "guard", "result", "estimate", "lower bound", "limit", "detail"), lines, note=note)


def targets(candidate: Candidate, verdict: Verdict) -> Table | None:
    """The ladder: fewest calls for qualities that were fixed beforehand."""
    ours = words.name(candidate.name)
    head = (
        f"as good as … real {verdict.items}",
        f"{ours} is certain to reach it with",
        "a baseline may reach it with",
        "rate",
        f"{ours} may reach it with",
        "a baseline is certain to with",
    )
    lines = []
    for t in candidate.targets:
        rate = Cell("no baseline measured") if math.isinf(t.rate) else numeric(t.rate)
        cells = [numeric(t.n_eq), calls_cell(t.candidate_calls), calls_cell(t.baseline_calls), rate]
        cells += [calls_cell(t.candidate_possible), calls_cell(t.baseline_certain)]
        lines.append(Line(tuple(cells)))
    return table(head, lines, note="Numbers of calls. This is stricter than the exchange rate, and reads lower.")


def differences(gains: Mapping[str, Sequence[Gain]], verdict: Verdict, other: str) -> Table | None:
    """Differences of distances at equal calls with their bands, a column each metric."""
    metrics = [m for m in verdict.metrics if gains.get(m.name)]
    every = sorted({g.calls for m in metrics for g in gains[m.name] if math.isfinite(g.calls)})
    lines = []
    for calls in every:
        at = {m.name: next((g for g in gains[m.name] if g.calls == calls), None) for m in metrics}
        others = dict.fromkeys(words.name(g.other) for g in at.values() if g)
        cells = [numeric(calls), left(" or ".join(others))]
        for m in metrics:
            g = at[m.name]
            if g is None:
                cells.append(Cell(NONE))
                continue
            sure = "yes" if g.value.low > 0 else "no" if g.value.high < 0 else ""
            text = words.number(g.value.estimate, m.scale)
            cells.append(numeric(g.value.estimate, text, spread(g.value, m.scale), sure))
        lines.append(Line(tuple(cells)))
    note = "Above 0 the candidate is nearer to the data. The bands hold for all numbers of calls at once (95 %)."
    return table(("calls", other, *(m.title for m in metrics)), lines, note=note)


# ---------------------------------------------------------------- of all methods


ROLES = {"baseline": "baseline", "candidate": "candidate", "start": "start", "shown": "shown, not judged"}


def _title(method: Method) -> str:
    role = ROLES.get(method.role, method.role)
    if method.of and words.name(method.of) not in method.title:
        role += f" of {words.name(method.of)}"
    return " · ".join(part for part in (method.title, role, method.solver) if part)


def _listed(value: Any) -> list[float]:
    return [x for x in value if words.real(x) is not None] if isinstance(value, list) else []


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
    raw, points = verdict.json, [p for m in verdict.methods for p in m.points]
    shares, quantiles = (_listed(raw.get(k)) for k in ("shares", "quantiles"))
    timed = any(p.seconds is not None for p in points)
    varied = any(not math.isnan(variation(p, shares)) for p in points)
    copied = [q for i, q in enumerate(quantiles) if any(len(p.copies) > i for p in points)]
    head = ["calls", "steps"]
    for m in verdict.metrics:
        head += (
            [f"n_eq on {m.short}", m.title] if m.scatter is not None else [m.title + (f" ({m.unit})" if m.unit else "")]
        )
    head += ["time a sample"] * timed + ["class variation"] * varied
    head += [f"copying, {words.number(q, 100)} %" for q in copied]
    lines = []
    for method in verdict.methods:
        lines.append(Line(title=_title(method)))
        for p in method.points:
            cells = [numeric(p.calls), numeric(p.steps), *_measured(p, verdict.metrics)]
            cells += [numeric(p.seconds, words.duration(p.seconds))] * timed
            cells += [numeric(variation(p, shares))] * varied
            for i in range(len(copied)):
                share = p.copies[i] if i < len(p.copies) else math.nan
                cells.append(numeric(share, NONE if math.isnan(share) else f"{words.number(share, 100)} %"))
            lines.append(Line(tuple(cells)))
    note = "Beside each number stands its 95 % interval; ∞ means that the distance is at most 0."
    limit = words.real(raw["variation"].get("limit")) if isinstance(raw.get("variation"), dict) else None
    if varied and limit:
        note += f" Sampling alone gives a class variation of up to {words.number(limit)}."
    if copied:
        note += " Copying: the share of the samples that is nearer to the training data than so many per cent of new real data."
    return table(head, lines if points else (), note=note)


def beside(verdict: Verdict) -> Table | None:
    """What was measured of every row and is not judged."""
    names = list(dict.fromkeys(str(k) for m in verdict.methods for p in m.points for k in p.beside))
    lines = []
    for method in verdict.methods:
        found = [p for p in method.points if p.beside]
        lines += [Line(title=_title(method))] if found else []
        for p in found:
            cells = [numeric(p.beside.get(k), words.number(p.beside.get(k), _scale(k))) for k in names]
            lines.append(Line((numeric(p.calls), *cells)))
    return table(("calls", *(words.metric_name(k) for k in names)), lines)


def _scale(name: str) -> float:
    return 1000.0 if "mmd" in name.lower() else 1.0


def choices(verdict: Verdict) -> Table | None:
    """The solver of each method, and the validation distances that it was chosen by."""
    raw = verdict.json.get("choices")
    given = (
        [c for c in raw if isinstance(c, dict) and isinstance(c.get("distances"), dict)]
        if isinstance(raw, list)
        else []
    )
    known = {c.get("method"): {k: v for k, v in c["distances"].items() if isinstance(v, dict)} for c in given}
    calls = sorted({str(n) for d in known.values() for at in d.values() for n in at}, key=lambda n: (len(n), n))
    scale = verdict.primary.scale if verdict.primary else 1.0
    lines = []
    for c in given:
        lines.append(Line(title=words.name(str(c.get("method")))))
        for solver, at in known[c.get("method")].items():
            chosen = solver == c.get("chosen")
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
    """What each pairing does to the data, and what it was warned of."""
    raw = verdict.json.get("audit")
    pairings = {str(k): v for k, v in raw.items() if isinstance(v, dict)} if isinstance(raw, dict) else {}
    keys = [k for k in AUDIT if any(words.real(p.get(k)) is not None for p in pairings.values())]
    if not keys and not any(p.get("flags") for p in pairings.values()):
        return None
    lines = []
    for pairing, found in pairings.items():
        flags = found.get("flags")
        said = "; ".join([flags] if isinstance(flags, str) else map(str, flags if isinstance(flags, list) else []))
        cells = [left(words.phrase(pairing)), left(said, "long no") if said else left("none", "yes")]
        for key in keys:
            scale, x = AUDIT[key][1], words.real(found.get(key))
            share = scale == 100 or (key == "effective_sample_size" and x is not None and x <= 1)
            text = words.number(x, 100.0 if share else 1.0) + (" %" if share and x is not None else "")
            cells.append(numeric(x, text))
        lines.append(Line(tuple(cells)))
    return table(("pairing", "warnings", *(AUDIT[k][0] for k in keys)), lines)


def bill(verdict: Verdict) -> Table | None:
    """One-off seconds before the first sample, of the whole study and by method."""
    raw, lines = verdict.json.get("bill"), []
    for key, value in raw.items() if isinstance(raw, dict) else ():
        if words.real(value) is not None:
            text = f"{words.number(value)} samples" if "samples" in key else words.duration(value)
            lines.append(Line((left(words.phrase(str(key))), numeric(value, text))))
    paid = verdict.json.get("paid")
    for steps, samples in paid.items() if isinstance(paid, dict) else ():
        text = "never" if samples is None else f"{words.number(samples)} samples"
        name = f"paid back, against {steps} call{'' if steps == '1' else 's'} of the teacher, after"
        lines.append(Line((left(name), numeric(samples, text))))
    for method in verdict.methods:
        for key, value in method.bill.items():
            if words.real(value) is not None:
                lines.append(
                    Line((left(f"{method.title}: {words.phrase(str(key))}"), numeric(value, words.duration(value))))
                )
    return table((), lines, "narrow")
