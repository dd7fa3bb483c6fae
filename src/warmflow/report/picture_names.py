"""Which pictures there are: what each shows, its caption, their order, and the few that a page opens with.

real                    held-out data               METHOD.STEPS          samples of a method
draft, start, prior.*   what candidates start from  METHOD.start          what one method starts from
START.0                 samples of a start          trajectory.METHOD     paths of points
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmflow.report import roles, words
from warmflow.report.folder import Run
from warmflow.report.roles import Look

FIXED = ("real", "draft", "start", "prior")
SHOWN = ("candidate", "start", "baseline", "control", "shown")
"""Roles in the order in which pictures are shown."""


@dataclass(frozen=True)
class Shown:
    """What a picture shows: a method or one of ``FIXED``; ``steps`` of the solver, or in words what of it."""

    method: str
    steps: int | None = None
    part: str = ""


def shown(run: Run, name: str) -> Shown:
    """What the picture of this name shows."""
    head, _, tail = name.rpartition(".")
    if head and tail.isdigit():
        return Shown(head, int(tail))
    owners = [m.name for m in run.verdict.methods if name == m.name or name.startswith(f"{m.name}.")]
    owner = max(owners, key=len, default=name.partition(".")[0])
    return Shown(owner, None, name[len(owner) + 1 :])


def names(run: Run, kind: str = "") -> list[str]:
    """The pictures that are samples: real data, drafts and starts, candidates, baselines, the others; each by rising steps.

    Args:
        kind: "texts" for rows of tokens; by default images, or points where the data are.
    """
    if kind == "texts":
        found = [n for n, x in run.pictures.items() if x.ndim == 2 and x.dtype.kind in "iu" and len(x)]
    else:
        wanted = 2 if run.points else 4
        found = [n for n, x in run.pictures.items() if x.ndim == wanted and len(x)]
    known = [m.name for m in run.verdict.methods]

    def key(name: str) -> tuple[int, int, int, str]:
        it = shown(run, name)
        method = run.verdict.method(it.method)
        if method is None:
            first = FIXED.index(it.method) if it.method in FIXED else len(FIXED) + len(SHOWN)
            return first, 0, it.steps or 0, name
        role = SHOWN.index(method.role) if method.role in SHOWN else len(SHOWN)
        return len(FIXED) + role, known.index(it.method), -1 if it.steps is None else it.steps, name

    return sorted(found, key=key)


def caption(run: Run, name: str) -> str:
    """The caption that the file gives, else what the picture shows: "warm, 4 steps"."""
    if name in run.captions:
        return run.captions[name]
    it, method = shown(run, name), run.verdict.method(shown(run, name).method)
    if method is None and it.method in FIXED:
        text = {"real": "real data", "draft": "the draft alone", "prior": "the learned prior"}.get(
            it.method, _start(run)
        )
    else:
        text = run.verdict.title(it.method)
    if it.steps is None:
        if it.part == "start" and method is not None:
            return f"where {text} starts"
        return f"{text}, {words.phrase(it.part)}" if it.part else text
    if method is not None and method.role == "start":
        return text
    points = method.points if method else ()
    calls_only = any(p.calls == it.steps for p in points) and not any(p.steps == it.steps for p in points)
    unit = "call" if calls_only else "step"
    return f"{text}, {it.steps} {unit}{'' if it.steps == 1 else 's'}"


def _start(run: Run) -> str:
    only = list(run.verdict.candidates)
    return f"where {run.verdict.title(only[0])} starts" if len(only) == 1 else "where the flow starts"


def look(run: Run, name: str) -> Look:
    """How the points of a picture are drawn."""
    method = shown(run, name).method
    known = roles.looks(run.verdict)
    if method in known:
        return known[method]
    return Look(roles.START) if method in ("draft", "start", "prior") else roles.NEUTRAL


def _nearest(run: Run, method: str, calls: float) -> str | None:
    """The picture of a method whose calls are nearest to these, on a log scale."""
    found, known = [], run.verdict.method(method)
    for name in names(run):
        it = shown(run, name)
        if it.method == method and it.steps:
            at = [p.calls for p in known.points if p.steps == it.steps] if known else []
            spent = at[0] if at and at[0] > 0 else float(it.steps)
            found.append((abs(math.log(spent / calls)), name))
    return min(found)[1] if found else None


def opening(run: Run) -> list[str]:
    """The pictures that a page opens with: real data, starts, each candidate at its quoted calls, the best baseline there."""
    verdict, every = run.verdict, names(run)
    found: list[str] = [n for n in ("real", "draft", "prior") if n in every]
    found += [n for n in every if (m := verdict.method(shown(run, n).method)) is not None and m.role == "start"]
    alone = len(verdict.candidates) == 1  # of several, whose start it is would not be known
    found += ["start"] if alone and found == ["real"] and "start" in every else []
    for candidate in verdict.candidates.values():
        calls = candidate.exchange.calls if candidate.exchange else 4.0
        found += [n for n in (_nearest(run, candidate.name, calls),) if n]
        metric = verdict.primary.name if verdict.primary else ""
        rows = [(p.metrics[metric].distance.estimate, m.name) for m in verdict.named("baseline")
                if (p := m.at(calls)) and metric in p.metrics]  # fmt: skip
        ranked = [name for _, name in sorted(rows)] or [m.name for m in verdict.named("baseline")]
        best = [n for name in ranked if (n := _nearest(run, name, calls))]
        found += best[:1]
    return list(dict.fromkeys(found))
