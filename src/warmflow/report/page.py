"""The page of a report: one HTML string that needs no other file, no script and no network.

Templates (``templates/``) hold the markup and escape every text that comes from a file. This module gathers what they show as
plain values. A part that the run folder has no data for is None and is not shown.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from warmflow.report import candidate_tables, drawn, facts, method_tables, opening, tables, words
from warmflow.report.folder import Run
from warmflow.report.style import CSS, PAGE_CSS
from warmflow.report.terms import TERMS
from warmflow.report.verdict import Candidate


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("warmflow.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _render(name: str, **values: object) -> Markup:
    return Markup(_templates().get_template(f"{name}.html.j2").render(values))


def _section(run: Run, candidate: Candidate, prefix: str, several: bool) -> dict[str, object]:
    """What is shown of one candidate."""
    verdict = run.verdict
    return {
        "it": candidate,
        "title": opening.first(verdict.title(candidate.name)),
        "named": several,
        "badge": opening.badge(run, candidate),
        "anchor": prefix,
        "figure": drawn.main_figure(run, f"{prefix}-own", candidate.name) if several else None,
        "tiles": opening.tiles(candidate),
        "exchange": candidate_tables.exchange(candidate, verdict),
        "guards": candidate_tables.guards(candidate),
        "targets": candidate_tables.targets(candidate, verdict),
        "gain": candidate_tables.differences(candidate.gains, verdict, "nearest baseline"),
        "gain_figure": drawn.gain(run, candidate, prefix),
        "start": candidate_tables.differences(candidate.start_effect, verdict, "against"),
        "start_figure": drawn.start_effect(run, candidate, prefix),
    }


def _opening(run: Run, sections: Sequence[object]) -> dict[str, object]:
    """What stands above the samples."""
    return {
        "about": opening.about(run),
        "title": opening.title(run),
        "badge": opening.badge(run, None),
        "unit": opening.unit(run),
        "methods": opening.methods(run),
        "conditions": opening.conditions(run),
        "reading": opening.reading(),
        "tiles": [] if sections else opening.run_tiles(run),
        "warnings": facts.warnings(run),
        "noticed": run.config.notes,
    }


def body(run: Run, prefix: str = "r") -> Markup:
    """The inside of one run's page; ids in it begin with ``prefix``."""
    verdict = run.verdict
    several = len(verdict.candidates) > 1
    sections = [_section(run, c, f"{prefix}-c{i}", several) for i, c in enumerate(verdict.candidates.values(), start=1)]
    return _render(
        "body",
        **_opening(run, sections),
        sections=sections,
        terms=TERMS,
        figure=drawn.main_figure(run, prefix),
        seconds=drawn.main_figure(run, prefix, cost="seconds"),
        others=drawn.other_metrics(run, prefix),
        samples=drawn.samples(run),
        trajectories=drawn.trajectories(run, prefix),
        rows=method_tables.rows(verdict),
        beside=method_tables.beside(verdict),
        frontier=drawn.texts_by_two_numbers(run, prefix),
        choices=method_tables.choices(verdict),
        doubled=facts.doubled(run),
        audit=method_tables.audit(verdict),
        parts=facts.parts(run),
        bill=method_tables.bill(verdict),
        loss=drawn.loss(run, prefix),
        made=facts.made(run),
    )


def fragment(inside: Markup) -> Markup:
    """``inside`` with its style, to stand in another page."""
    return _render("fragment", css=Markup(CSS), inside=inside)


def document(inside: Markup, title: str) -> str:
    """A whole HTML page."""
    return str(_render("document", page_css=Markup(PAGE_CSS), inside=fragment(inside), title=title))


def overview(runs: Sequence[Run], anchors: Sequence[str], bodies: Sequence[Markup]) -> Markup:
    """Several runs on one page: a table with a line for each candidate, then the body of each run."""
    lines = []
    for run, anchor in zip(runs, anchors, strict=True):
        name = run.folder.resolve().name
        candidates: list[Candidate | None] = [*run.verdict.candidates.values()]
        for candidate in candidates or [None]:
            e = candidate.exchange if candidate else None
            lines.append({
                "anchor": anchor, "name": name, "problem": run.problem, "badge": opening.badge(run, candidate),
                "candidate": run.verdict.title(candidate.name) if candidate else "",
                "rate": tables.numeric(e.rate) if e and candidate and candidate.outcome == "faster" else tables.Cell(words.NONE),
                "quality": words.equivalent(candidate.quality.estimate) if candidate and candidate.quality else words.NONE,
                "answer": candidate.words.answer if candidate else "" if run.kind == "run" else run.verdict.claim,
            })  # fmt: skip
    whole = [
        {"anchor": a, "name": r.folder.resolve().name, "inside": b}
        for a, r, b in zip(anchors, runs, bodies, strict=True)
    ]
    return _render("gather", count=len(runs), lines=lines, bodies=whole)
