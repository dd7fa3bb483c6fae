"""What ``verdict.json`` says, as typed records. What the file lacks is empty, NaN or None here; ``parse`` reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from warmflow.report import words

NAN = math.nan


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
    """A method with its rows, fewest calls first.

    Args:
        name: its label, which is unique and may be any text; nothing follows from it.
        role: baseline, candidate, control, start or shown; colours, order and captions follow from it.
        of: of a control or a start, the candidate it belongs to.
        title: what figures and tables call it; unique too.
    """

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
        found = self.json.get("items")
        return found if isinstance(found, str) and found else "samples"

    def named(self, *roles: str) -> list[Method]:
        return [m for m in self.methods if m.role in roles]

    def method(self, name: str) -> Method | None:
        return next((m for m in self.methods if m.name == name), None)

    def title(self, name: str) -> str:
        """What a method is called; the words of its label where it has no title."""
        found = self.method(name)
        return words.name(name) if found is None else found.title
