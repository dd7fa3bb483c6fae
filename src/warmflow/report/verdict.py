"""What ``verdict.json`` of version 2 says, as typed records. What the file lacks is empty, NaN or None here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import AfterValidator, OnErrorOmit, PlainValidator, StrictBool, TypeAdapter

from warmflow.report import words
from warmflow.report.records import NAN, Calls, Finite, Name, Number, Options, Real, Record, Texts, mapping, number

VERSION = 2


@dataclass(frozen=True)
class Metric(Record):
    """A metric; ``scatter`` is None where it keeps its own unit and has no n_eq."""

    name: Name = "None"
    scatter: Real = None
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
class Interval(Record):
    """An estimate with an interval; NaN where undefined."""

    estimate: Number = NAN
    low: Number = NAN
    high: Number = NAN


@dataclass(frozen=True)
class Quality(Interval):
    """An n_eq with its interval."""

    estimate: Calls = NAN
    low: Calls = NAN
    high: Calls = NAN


@dataclass(frozen=True)
class Numbers:
    """One metric of one row: the distance and n_eq, each with its 95 % interval and its simultaneous band."""

    distance: Interval
    band: Interval
    n_eq: Interval
    n_eq_band: Interval

    @classmethod
    def of(cls, value: object) -> Numbers:
        """The numbers that the file has by name; an n_eq without one is infinite where its distance is at most 0."""
        raw = mapping(value)

        def read(*keys: str) -> Interval:
            return Interval(*(number(raw.get(k)) for k in keys))

        def n_eq(d: Interval, *keys: str) -> Interval:
            pairs = zip((d.estimate, d.high, d.low), (number(raw.get(k)) for k in keys), strict=True)
            return Interval(*(math.inf if math.isnan(n) and bound <= 0 else n for bound, n in pairs))

        distance, band = read("distance", "low", "high"), read("distance", "band_low", "band_high")
        return cls(
            distance,
            band,
            n_eq(distance, "n_eq", "n_eq_low", "n_eq_high"),
            n_eq(band, "n_eq", "n_eq_band_low", "n_eq_band_high"),
        )


@dataclass(frozen=True)
class Point(Record):
    """A method at one number of calls, averaged over training seeds."""

    steps: Number = NAN
    calls: Number = NAN
    seconds: Real = None
    metrics: dict[str, Annotated[Numbers, PlainValidator(Numbers.of)]] = field(default_factory=dict)
    beside: dict[str, Real] = field(default_factory=dict)
    copies: tuple[Number, ...] = ()
    classes: tuple[Number, ...] = ()


def _by_calls(points: tuple[Point, ...]) -> tuple[Point, ...]:
    return tuple(sorted((p for p in points if math.isfinite(p.calls)), key=lambda p: p.calls))


@dataclass(frozen=True)
class Method(Record):
    """A method with its rows, fewest calls first.

    Args:
        name: its label, which is unique and may be any text; nothing follows from it.
        role: baseline, candidate, control, start or shown; colours, order and captions follow from it.
        of: for a control or a start, the candidate that it belongs to.
        title: what figures and tables call it; unique too.
    """

    name: Name = "None"
    role: str = ""
    solver: Annotated[str, AfterValidator(words.solver)] = ""
    of: str = ""
    bill: dict[str, OnErrorOmit[Finite]] = field(default_factory=dict)
    points: Annotated[tuple[OnErrorOmit[Point], ...], AfterValidator(_by_calls)] = ()
    title: str = ""

    def at(self, calls: float) -> Point | None:
        return next((p for p in self.points if abs(p.calls - calls) < 1e-6), None)


@dataclass(frozen=True)
class Guard(Record):
    name: Name = "None"
    passes: StrictBool = False
    estimate: Number = NAN
    low: Number = NAN
    limit: Number = NAN
    detail: str = ""


@dataclass(frozen=True)
class Exchange(Record):
    """A candidate's row and the baseline row it is exchanged for; infinite ``baseline_calls`` for none.
    ``row_calls`` are more where the baseline was not measured at ``baseline_calls``."""

    calls: Finite
    baseline_calls: Calls = NAN
    horizon: Number = NAN
    baseline: str = ""
    row_calls: Number = NAN
    measured: StrictBool = True
    useful: StrictBool = False
    by_metric: dict[str, Calls] = field(default_factory=dict)
    worse_on: Texts = ()
    guards: tuple[OnErrorOmit[Guard], ...] = ()

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.calls if self.calls > 0 else NAN


@dataclass(frozen=True)
class Target(Record):
    n_eq: Calls = NAN
    candidate_calls: Calls = NAN
    baseline_calls: Calls = NAN
    candidate_possible: Calls = NAN
    baseline_certain: Calls = NAN

    @property
    def rate(self) -> float:
        return self.baseline_calls / self.candidate_calls if 0 < self.candidate_calls < math.inf else NAN


@dataclass(frozen=True)
class Gain(Interval):
    """A difference of distances at equal calls, with its simultaneous band."""

    calls: Number = NAN
    other: str = ""


Gains = dict[str, OnErrorOmit[tuple[OnErrorOmit[Gain], ...]]]


@dataclass(frozen=True)
class Words(Record):
    """The verdict in sentences, for display only: no code depends on their wording."""

    question: str = ""
    answer: str = ""
    credit: str = ""
    text: str = ""
    notes: Texts = ()


@dataclass(frozen=True)
class Candidate(Record):
    """The verdict on one candidate; ``name`` is its label."""

    name: str = ""
    outcome: str = ""
    words: Words = Words()
    exchange: Exchange | None = None
    quality: Quality | None = None
    control_quality: Quality | None = None
    rows: tuple[OnErrorOmit[Exchange], ...] = ()
    targets: tuple[OnErrorOmit[Target], ...] = ()
    gains: Gains = field(default_factory=dict)
    start_effect: Gains = field(default_factory=dict)
    seconds: Interval | None = None
    start_calls: Real = None

    @property
    def text(self) -> str:
        """The answer with what the gain is credited to."""
        return self.words.text or self.words.answer


@dataclass(frozen=True)
class Choice(Record):
    """The solver that was chosen for a method, and the distances by solver and number of calls that it was chosen by."""

    distances: dict[str, OnErrorOmit[dict[str, Real]]]
    method: Name = "None"
    chosen: str = ""


@dataclass(frozen=True)
class Doubled(Record):
    """The answers with a baseline among the others that was trained twice as long."""

    baseline: str = ""
    settled: Options = field(default_factory=dict)
    words: dict[str, OnErrorOmit[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Variation(Record):
    limit: Real = None


@dataclass(frozen=True)
class Verdict(Record):
    """``verdict.json`` as attributes. Without one there are no candidates and ``absent`` says why."""

    absent: str = ""
    candidates: dict[str, OnErrorOmit[Candidate]] = field(default_factory=dict)
    methods: tuple[OnErrorOmit[Method], ...] = ()
    metrics: tuple[OnErrorOmit[Metric], ...] = ()
    json: Options = field(default_factory=dict)
    items: Annotated[str, AfterValidator(lambda items: items or "samples")] = "samples"
    seeds: list[object] = field(default_factory=list)
    samples: Real = None
    test: Real = None
    validation: Real = None
    variation: Variation = Variation()
    shares: tuple[OnErrorOmit[Finite], ...] = ()
    quantiles: tuple[OnErrorOmit[Finite], ...] = ()
    choices: tuple[OnErrorOmit[Choice], ...] = ()
    audit: dict[str, OnErrorOmit[dict[str, object]]] = field(default_factory=dict)
    bill: dict[str, OnErrorOmit[Finite]] = field(default_factory=dict)
    paid: Options = field(default_factory=dict)
    doubled: Doubled = Doubled()

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
        return (self.first.words.answer if self.first else "") or self.absent

    @property
    def claim(self) -> str:
        """The answer on the first candidate with what the gain is credited to."""
        return (self.first.text if self.first else "") or self.answer

    @property
    def primary(self) -> Metric | None:
        return self.metrics[0] if self.metrics else None

    def named(self, *roles: str) -> list[Method]:
        return [m for m in self.methods if m.role in roles]

    def method(self, name: str) -> Method | None:
        return next((m for m in self.methods if m.name == name), None)

    def title(self, name: str) -> str:
        """What a method is called; the words of its label where it has no title."""
        found = self.method(name)
        return words.name(name) if found is None else found.title


_VERDICT = TypeAdapter(Verdict)


def parse(raw: Mapping[str, object]) -> Verdict:
    """The view of a file's contents; keys that are missing or of another type are left out.

    Where several methods share a title, each has its label beside it, of a start or control the label of its candidate.
    """
    said = {"absent": "the file holds no candidate", "methods": raw.get("curves"), "json": raw}
    found = _VERDICT.validate_python({**raw, **said})
    methods = [replace(m, title=m.title or words.name(m.name)) for m in found.methods]
    shared = Counter(m.title for m in methods)
    told_apart = (replace(m, title=f"{m.title} ({m.of or m.name})") if shared[m.title] > 1 else m for m in methods)
    candidates = {name: replace(c, name=name) for name, c in found.candidates.items()}
    return replace(found, methods=tuple(told_apart), candidates=candidates)
