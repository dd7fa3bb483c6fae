"""What a page opens with: the badge, the heading, the unit, the methods, and the quoted numbers.

What a badge says and its colour follow from the outcome's value. Sentences are shown as they are and never parsed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmflow.report import remake, tables, words
from warmflow.report.folder import Run
from warmflow.report.verdict import Candidate

STATES = {"faster": "good", "nearer": "near", "draft enough": "open", "no faster": "bad", "cannot tell": "unsure"}
"""The colour of each outcome."""
BADGES = {"faster": "fewer calls"}
"""What a badge says where it is not the outcome's value: whether fewer calls save time is another question."""


CONTROL = "The recipe of {0}, pairing included, with noise in place of its draft."


@dataclass(frozen=True)
class Badge:
    text: str
    state: str


@dataclass(frozen=True)
class Tile:
    big: str
    small: tuple[str, ...]


def badge(run: Run, candidate: Candidate | None) -> Badge:
    """The outcome of a candidate as a badge; without one, the kind of the run."""
    if candidate is not None:
        text = BADGES.get(candidate.outcome, candidate.outcome) or "no outcome"
        return Badge(text, STATES.get(candidate.outcome, "none"))
    return Badge("training", "none") if run.kind == "run" else Badge("not finished", "none")


def about(run: Run) -> str:
    """The line at the top: the problem, and its data where they have another name."""
    found, name = ["warmflow", run.problem], str(run.config.data.get("name") or "")
    if name not in run.problem and run.problem not in name:
        found.append(name)
    return " · ".join(found)


def conditions(run: Run) -> str:
    """How much was measured, in a line."""
    verdict, items = run.verdict, run.verdict.items
    seeds = len(verdict.seeds)
    found = [f"{seeds} training seed{'' if seeds == 1 else 's'}"] if seeds else []
    for n, text in (
        (verdict.samples, "samples of each method"),
        (verdict.test, f"held-out real {items}"),
        (verdict.validation, f"more real {items} for choosing solvers"),
    ):
        if n:
            found.append(f"{words.number(n)} {text}")
    if run.config.json.get("device"):
        found.append(f"on {run.config.json['device']}")
    return " · ".join(found)


def title(run: Run) -> str:
    """The heading of a page without an answer on one candidate."""
    if len(run.verdict.candidates) > 1:
        return f"{len(run.verdict.candidates)} candidates, each against every baseline"
    if run.kind == "run":
        method = remake.method_name(run.config.asked.method)
        return f"Training run: {method} on {run.problem}" if method else f"Training run: {run.problem}"
    claim = run.verdict.claim
    return claim[:1].upper() + claim[1:]


def unit(run: Run) -> str:
    """What the primary metric's numbers mean."""
    metric, items = run.verdict.primary, run.verdict.items
    if metric is None:
        return ""
    if metric.scatter is None:
        unit = f" ({metric.unit})" if metric.unit else ""
        return f"The figure shows {metric.short}{unit}, a distance to held-out real data: lower is better."
    first = run.verdict.first
    known = first.quality.estimate if first and first.quality else 400.0
    n = words.equivalent(known) if math.isfinite(known) else "400"
    return (
        f"As good as {n} real {items} (n_eq = {n}): as near to the held-out real {items} as {n} other real {items} are on "
        "average. More is better."
    )


def reading() -> tuple[str, ...]:
    """How to read the answer."""
    return (
        "A baseline with some number of calls is shown to be worse where its distance exceeds the candidate's by more than other "
        "training seeds and other real data would explain (a one-sided bound of 97.5 %, on any metric).",
        "The answer names the fewest baseline calls that are not shown to be worse. Little data or much noise can therefore only "
        "make the candidate look less fast.",
    )


def methods(run: Run) -> list[tuple[str, str]]:
    """What each method is: the titles that share a sentence, and the sentence. Controls are described by their role, all others
    by the configuration."""
    found: dict[str, list[str]] = {}
    names = [m.name for m in run.verdict.methods] or list(run.described)
    for name in names:
        method = run.verdict.method(name)
        sentence = run.described.get(name, "")
        if method is not None and method.role == "control":
            sentence = CONTROL.format(run.verdict.title(method.of))
        if sentence:
            found.setdefault(sentence, []).append(run.verdict.title(name))
    return [(first(", ".join(titles)), sentence) for sentence, titles in found.items()]


def first(text: str) -> str:
    """The text with a capital letter."""
    return text[:1].upper() + text[1:]


def tiles(candidate: Candidate) -> list[Tile]:
    """The quoted numbers of a candidate."""
    e, found = candidate.exchange, []
    if e is not None:
        against = f"{words.calls(e.calls)} against {words.calls(e.baseline_calls)}"
        rate = words.number(e.rate)
        if e.baseline_calls == float("inf"):
            against, rate = f"no baseline within {words.calls(e.horizon)}", f"> {words.number(e.horizon / e.calls)}"
        found.append(Tile(f"{rate} ×", ("exchange rate of calls", against)))
    q = candidate.quality
    if q is not None:
        between = tables.equivalent(q)
        found.append(
            Tile(words.equivalent(q.estimate), ("n_eq of the quoted row", f"{between} (95 %)" if between else ""))
        )
    c = candidate.control_quality
    if c is not None:
        found.append(Tile(words.equivalent(c.estimate), ("n_eq of the same recipe from noise", tables.equivalent(c))))
    s = candidate.seconds
    if s is not None:
        what = "time of the baseline row divided by that of the quoted row"
        found.append(Tile(f"{words.number(s.estimate)} ×", (what, f"{tables.spread(s)} (95 %)")))
    if candidate.start_calls is not None:
        found.append(
            Tile(words.number(candidate.start_calls), ("calls of the network take as long as drawing a start",))
        )
    return found


def run_tiles(run: Run) -> list[Tile]:
    """The last numbers in the log of a training run."""
    lines = next(iter(run.logs.values()), ())
    found = []
    for key, name in (("step", "updates"), ("loss", "last loss"), ("samples_per_second", "samples per second")):
        values = [v for line in lines if (v := words.real(line.get(key))) is not None]
        if values:
            found.append(Tile(words.number(values[-1]), (name,)))
    return found
