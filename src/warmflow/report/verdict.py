"""A light, typed view of ``verdict.json`` of version 2. What the file lacks is empty, NaN or None here.

The file writes null for what is infinite or undefined. A null is infinite where the format says so: the n_eq of a distance that
is at most 0, and the calls at which no measured row will do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from warmflow.report import words

VERSION = 2
NAN = math.nan


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


@dataclass(frozen=True)
class Metric:
    """A metric; ``scatter`` is None where it keeps its own unit and has no n_eq."""

    name: str
    scatter: float | None = None
    zero: bool = True
    unit: str = ""

    @property
    def scale(self) -> float:
        """What its distances are multiplied by to be shown: squared MMDs are small."""
        return 1000.0 if self.scatter is not None or "mmd" in self.name.lower() else 1.0

    @property
    def title(self) -> str:
        """ "MMD² on pixels × 1,000": what stands above its distances."""
        name = self.name
        if self.scatter is not None and "mmd" not in name.lower():
            name = f"mmd {name}"
        return words.metric_name(name) if self.scatter is None else words.metric_name(name, self.scale)

    @property
    def short(self) -> str:
        """ "pixels": its name in a sentence."""
        return words.phrase(self.name)


@dataclass(frozen=True)
class Interval:
    """An estimate with an interval; NaN where undefined."""

    estimate: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class Numbers:
    """One metric of one row: the distance and n_eq, each with its 95 % interval and its simultaneous band."""

    distance: Interval
    band: Interval
    n_eq: Interval
    n_eq_band: Interval


@dataclass(frozen=True)
class Point:
    """A method at one number of calls, averaged over training seeds."""

    steps: float
    calls: float
    seconds: float | None
    metrics: Mapping[str, Numbers]
    beside: Mapping[str, Any] = field(default_factory=dict)
    copies: tuple[float, ...] = ()
    classes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Method:
    """A method with its rows, fewest calls first."""

    name: str
    role: str
    solver: str
    of: str
    bill: Mapping[str, Any]
    points: tuple[Point, ...]
    title: str

    def at(self, calls: float) -> Point | None:
        return next((p for p in self.points if abs(p.calls - calls) < 1e-6), None)


@dataclass(frozen=True)
class Guard:
    name: str
    passes: bool
    estimate: float
    low: float
    limit: float
    detail: str


@dataclass(frozen=True)
class Exchange:
    """A candidate's row and the baseline row it is exchanged for; infinite ``baseline_calls`` for none.
    ``row_calls`` are more where the baseline was not measured at ``baseline_calls``."""

    calls: float
    steps: float
    baseline_calls: float
    horizon: float
    baseline: str
    baseline_steps: float
    row_calls: float
    measured: bool
    useful: bool
    by_metric: Mapping[str, float]
    worse_on: tuple[str, ...]
    guards: tuple[Guard, ...] = ()

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.calls if self.calls > 0 else NAN


@dataclass(frozen=True)
class Target:
    n_eq: float
    candidate_calls: float
    baseline_calls: float
    candidate_possible: float
    baseline_certain: float

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.candidate_calls if 0 < self.candidate_calls < math.inf else NAN


@dataclass(frozen=True)
class Gain:
    """A difference of distances at equal calls, with its simultaneous band."""

    calls: float
    other: str
    value: Interval


@dataclass(frozen=True)
class Candidate:
    """The verdict on one candidate. ``outcome`` and ``credit`` are values; the other texts are shown and never read."""

    name: str
    outcome: str
    missing: tuple[str, ...]
    credit: str
    question: str
    answer: str
    credited: str
    text: str
    notes: tuple[str, ...]
    exchange: Exchange | None
    quality: Interval | None
    control_quality: Interval | None
    rows: tuple[Exchange, ...]
    targets: tuple[Target, ...]
    gains: Mapping[str, tuple[Gain, ...]]
    start_effect: Mapping[str, tuple[Gain, ...]]
    seconds: Interval | None
    start_calls: float | None


@dataclass(frozen=True)
class Verdict:
    """``verdict.json`` as attributes. Without one there are no candidates and ``absent`` says why."""

    absent: str = ""
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    methods: tuple[Method, ...] = ()
    metrics: tuple[Metric, ...] = ()
    json: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> Candidate | None:
        return next(iter(self.candidates.values()), None)

    @property
    def outcome(self) -> str:
        """The first candidate's outcome: faster, nearer, draft enough, no faster, cannot tell; empty without a verdict."""
        return self.first.outcome if self.first else ""

    @property
    def answer(self) -> str:
        """The answer on the first candidate in one sentence."""
        return (self.first.answer if self.first else "") or self.absent

    @property
    def claim(self) -> str:
        """The answer on the first candidate with what the gain is credited to."""
        return (self.first.text if self.first else "") or self.answer

    @property
    def primary(self) -> Metric | None:
        return self.metrics[0] if self.metrics else None

    @property
    def compared(self) -> list[Method]:
        """The candidates, and the baselines that their quoted rows are exchanged for."""
        named = {e.baseline for c in self.candidates.values() if (e := c.exchange) is not None}
        return [m for m in self.methods if m.name in self.candidates or m.name in named]

    @property
    def items(self) -> str:
        return _text(self.json.get("items")) or "samples"

    def named(self, *roles: str) -> list[Method]:
        return [m for m in self.methods if m.role in roles]

    def method(self, name: str) -> Method | None:
        return next((m for m in self.methods if m.name == name), None)


def parse(raw: Mapping[str, Any]) -> Verdict:
    """The view of a file's contents; keys that are missing or of another type are left out."""
    metrics = tuple(
        Metric(str(m.get("name")), words.real(m.get("scatter")), m.get("zero") is not False, _text(m.get("unit")))
        for m in _maps(raw.get("metrics"))
    )
    candidates = {str(k): _candidate(str(k), v) for k, v in _map(raw.get("candidates")).items() if isinstance(v, dict)}
    methods = tuple(_method(m, metrics) for m in _maps(raw.get("curves")))
    return Verdict("the file holds no candidate", candidates, methods, metrics, raw)


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
