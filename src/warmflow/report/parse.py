"""``verdict.json`` of version 2 read into records.

The file writes null for what is infinite or undefined. A null is infinite where the format says so: the n_eq of a distance that
is at most 0, and the calls at which no measured row will do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warmflow.report import words
from warmflow.report.verdict import (
    NAN,
    Candidate,
    Exchange,
    Gain,
    Guard,
    Interval,
    Method,
    Metric,
    Numbers,
    Point,
    Target,
    Verdict,
)

VERSION = 2


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float:
    found = words.real(value)
    return NAN if found is None else found


def _calls(raw: Mapping[str, Any], key: str) -> float:
    """Calls: null is infinite, what is missing is undefined."""
    return math.inf if key in raw and raw[key] is None else _number(raw.get(key))


def parse(raw: Mapping[str, Any]) -> Verdict:
    """The view of a file's contents; keys that are missing or of another type are left out."""
    metrics = tuple(
        Metric(str(m.get("name")), words.real(m.get("scatter")), m.get("zero") is not False, _text(m.get("unit")))
        for m in _maps(raw.get("metrics"))
    )
    candidates = {str(k): _candidate(str(k), v) for k, v in _map(raw.get("candidates")).items() if isinstance(v, dict)}
    methods = _told_apart([_method(m, metrics) for m in _maps(raw.get("curves"))])
    return Verdict("the file holds no candidate", candidates, methods, metrics, raw)


def _told_apart(methods: list[Method]) -> tuple[Method, ...]:
    """The methods with titles of their own: where several share one, each has its label beside it, of a start or control the
    label of its candidate."""
    shared = Counter(m.title for m in methods)
    return tuple(replace(m, title=f"{m.title} ({m.of or m.name})") if shared[m.title] > 1 else m for m in methods)


def _interval(raw: Mapping[str, Any]) -> Interval:
    return Interval(*(_number(raw.get(k)) for k in ("estimate", "low", "high")))


def _quality(raw: Any) -> Interval | None:
    return Interval(*(_calls(raw, k) for k in ("estimate", "low", "high"))) if isinstance(raw, dict) else None


def _numbers(raw: Mapping[str, Any], metric: Metric) -> Numbers:
    d = {k: _number(raw.get(k)) for k in ("distance", "low", "high", "band_low", "band_high")}

    def equivalent(key: str, distance: str) -> float:
        found = words.real(raw.get(key))
        if metric.scatter is None or found is not None:
            return NAN if found is None else found
        return math.inf if d[distance] <= 0 else NAN

    return Numbers(
        Interval(d["distance"], d["low"], d["high"]),
        Interval(d["distance"], d["band_low"], d["band_high"]),
        Interval(equivalent("n_eq", "distance"), equivalent("n_eq_low", "high"), equivalent("n_eq_high", "low")),
        Interval(
            equivalent("n_eq", "distance"),
            equivalent("n_eq_band_low", "band_high"),
            equivalent("n_eq_band_high", "band_low"),
        ),
    )


def _shares(value: Any) -> tuple[float, ...]:
    return tuple(_number(v) for v in value) if isinstance(value, list) else ()


def _point(raw: Mapping[str, Any], metrics: tuple[Metric, ...]) -> Point:
    measured = _map(raw.get("metrics"))
    return Point(
        _number(raw.get("steps")),
        _number(raw.get("calls")),
        words.real(raw.get("seconds")),
        {m.name: _numbers(_map(measured.get(m.name)), m) for m in metrics if m.name in measured},
        _map(raw.get("beside")),
        _shares(raw.get("copies")),
        _shares(raw.get("classes")),
    )


def _method(raw: Mapping[str, Any], metrics: tuple[Metric, ...]) -> Method:
    points = [_point(p, metrics) for p in _maps(raw.get("points"))]
    known = sorted((p for p in points if math.isfinite(p.calls)), key=lambda p: p.calls)
    solver, of = words.solver(_text(raw.get("solver"))), _text(raw.get("of"))
    name = str(raw.get("name"))
    title = _text(raw.get("title")) or words.name(name)
    return Method(name, _text(raw.get("role")), solver, of, _map(raw.get("bill")), tuple(known), title)


def _exchange(raw: Any) -> Exchange | None:
    if not isinstance(raw, dict) or words.real(raw.get("calls")) is None:
        return None
    alone = _map(raw.get("by_metric"))
    return Exchange(
        calls=_number(raw.get("calls")),
        steps=_number(raw.get("steps")),
        baseline_calls=_calls(raw, "baseline_calls"),
        horizon=_number(raw.get("horizon")),
        baseline=str(raw.get("baseline") or ""),
        baseline_steps=_number(raw.get("baseline_steps")),
        row_calls=_number(raw.get("row_calls", raw.get("baseline_calls"))),
        measured=raw.get("measured") is not False,
        useful=raw.get("useful") is True,
        by_metric={str(k): _calls(alone, k) for k in alone},
        worse_on=_texts(raw.get("worse_on")),
        guards=tuple(
            Guard(
                name=str(g.get("name")),
                passes=g.get("passes") is True,
                estimate=_number(g.get("estimate")),
                low=_number(g.get("low")),
                limit=_number(g.get("limit")),
                detail=_text(g.get("detail")),
            )
            for g in _maps(raw.get("guards"))
        ),
    )


def _gains(raw: Any) -> dict[str, tuple[Gain, ...]]:
    return {
        str(k): tuple(Gain(_number(g.get("calls")), str(g.get("other") or ""), _interval(g)) for g in _maps(v))
        for k, v in _map(raw).items()
    }


def _candidate(name: str, raw: Mapping[str, Any]) -> Candidate:
    said = _map(raw.get("words"))
    keys = ("n_eq", "candidate_calls", "baseline_calls", "candidate_possible", "baseline_certain")
    seconds = raw.get("seconds")
    return Candidate(
        name=name,
        outcome=_text(raw.get("outcome")),
        missing=_texts(raw.get("missing")),
        credit=_text(raw.get("credit")),
        question=_text(said.get("question")),
        answer=_text(said.get("answer")),
        credited=_text(said.get("credit")),
        text=_text(said.get("text")) or _text(said.get("answer")),
        notes=_texts(said.get("notes")),
        exchange=_exchange(raw.get("exchange")),
        quality=_quality(raw.get("quality")),
        control_quality=_quality(raw.get("control_quality")),
        rows=tuple(e for r in _maps(raw.get("rows")) if (e := _exchange(r)) is not None),
        targets=tuple(Target(*(_calls(t, k) for k in keys)) for t in _maps(raw.get("targets"))),
        gains=_gains(raw.get("gains")),
        start_effect=_gains(raw.get("start_effect")),
        seconds=_interval(seconds) if isinstance(seconds, dict) else None,
        start_calls=words.real(raw.get("start_calls")),
    )
