"""The tables of one candidate: what its rows are exchanged for, their guards, targets, and differences at equal calls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from warmflow.report import words
from warmflow.report.tables import Cell, Line, Table, calls_cell, left, numeric, spread, table
from warmflow.report.verdict import Candidate, Exchange, Gain, Verdict
from warmflow.report.words import NONE


def _rate(e: Exchange) -> Cell:
    if math.isinf(e.rate):
        return Cell(f"more than {words.number(e.horizon / e.calls)}", soft=f"none within {words.calls(e.horizon)}")
    return numeric(e.rate, soft="" if e.measured else "not measured there")


def _exchanged(e: Exchange, verdict: Verdict) -> Cell:
    if math.isinf(e.baseline_calls):
        return left("none is as good")
    method = verdict.method(e.baseline)
    parts = (verdict.title(e.baseline), method.solver if method else "", words.calls(e.row_calls))
    return left(", ".join(part for part in parts if part), "long")


def _passes(e: Exchange) -> Cell:
    failed = [g.name for g in e.guards if not g.passes]
    if not e.guards:
        return left(NONE)
    return left(f"fails: {', '.join(failed)}", "no") if failed else left("passes", "yes")


def _decides(e: Exchange) -> str:
    """The metric that shows the most baseline rows to be worse."""
    most = max(e.by_metric.values(), default=math.nan)
    named = [k for k, v in e.by_metric.items() if v == most]
    if not named:
        return NONE
    return "all alike" if len(named) == len(e.by_metric) > 1 else ", ".join(map(words.phrase, named))


def exchange(candidate: Candidate, verdict: Verdict) -> Table | None:
    """What each row of the candidate is exchanged for, with its guards and the rate by each metric alone."""
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
    """Fewest calls for a ladder of qualities that was fixed beforehand."""
    ours = verdict.title(candidate.name)
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
    return table(
        head, lines, note="Numbers of calls. This rate is stricter than the exchange rate, and therefore lower."
    )


def differences(gains: Mapping[str, Sequence[Gain]], verdict: Verdict, other: str) -> Table | None:
    """Differences of distances at equal calls with their bands, a column each metric."""
    metrics = [m for m in verdict.metrics if gains.get(m.name)]
    every = sorted({g.calls for m in metrics for g in gains[m.name] if math.isfinite(g.calls)})
    lines = []
    for calls in every:
        at = {m.name: next((g for g in gains[m.name] if g.calls == calls), None) for m in metrics}
        others = dict.fromkeys(verdict.title(g.other) for g in at.values() if g)
        cells = [numeric(calls), left(" or ".join(others), "long")]
        for m in metrics:
            g = at[m.name]
            if g is None:
                cells.append(Cell(NONE))
                continue
            sure = "yes" if g.low > 0 else "no" if g.high < 0 else ""
            text = words.number(g.estimate, m.scale)
            cells.append(numeric(g.estimate, text, spread(g, m.scale), sure))
        lines.append(Line(tuple(cells)))
    note = "Above 0 the candidate is nearer to the data. The bands hold for all numbers of calls at once (95 %)."
    return table(("calls", other, *(m.title for m in metrics)), lines, note=note)
