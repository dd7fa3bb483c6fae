"""The page of a report: one HTML string that needs no other file, no script and no network.

Templates (``templates/``) hold the markup and escape every string of a file. This module gathers what they show as plain values;
a part for which the run folder holds nothing is None and is not shown. What a badge says and its colour come from the outcome's
value; sentences are shown as they are and never read.
"""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from warmflow.report import drawing, figures, pictures, tables, texts, words
from warmflow.report.folder import Run
from warmflow.report.style import CSS, PAGE_CSS
from warmflow.report.tables import Table
from warmflow.report.verdict import Candidate, Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATES = {"faster": "good", "nearer": "near", "draft enough": "open", "no faster": "bad", "cannot tell": "unsure"}
"""The colour of each outcome."""
BADGES = {"faster": "fewer calls"}
"""What a badge says where it is not the outcome's value: whether fewer calls save time is another question."""


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("warmflow.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _render(name: str, **values: Any) -> Markup:
    return Markup(_templates().get_template(f"{name}.html.j2").render(values))


@dataclass(frozen=True)
class Badge:
    text: str
    state: str


@dataclass(frozen=True)
class Tile:
    big: str
    small: tuple[str, ...]


@dataclass(frozen=True)
class Drawn:
    """A figure on a page; ``narrow`` is the same drawn for a phone."""

    svg: Markup
    caption: str
    narrow: Markup | None = None


@dataclass(frozen=True)
class Picture:
    address: str
    caption: str
    pixels: bool


def badge(run: Run, candidate: Candidate | None) -> Badge:
    """The outcome as a badge."""
    if candidate is not None:
        text = BADGES.get(candidate.outcome, candidate.outcome) or "no outcome"
        return Badge(text, STATES.get(candidate.outcome, "none"))
    return Badge("training", "none") if run.kind == "run" else Badge("not finished", "none")


# ---------------------------------------------------------------- the opening


def _distilled(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What was asked of a student; None for any other run."""
    asked = config.get("asked")
    return asked if isinstance(asked, Mapping) and asked.get("arm") == "student" else None


def _about(run: Run) -> str:
    data, about = run.config.get("data"), ["warmflow", run.recipe]
    if isinstance(data, Mapping) and data.get("name") and str(data["name"]) not in run.recipe:
        about.append(str(data["name"]))
    return " · ".join(about)


def _conditions(run: Run) -> str:
    """How much was measured, in a line."""
    raw, found = run.verdict.json, []
    seeds = raw.get("seeds")
    if isinstance(seeds, list) and seeds:
        found.append(f"{len(seeds)} training seed{'' if len(seeds) == 1 else 's'}")
    items = run.verdict.items
    for key, text in (
        ("samples", "samples of each method"),
        ("test", f"held-out real {items}"),
        ("validation", f"more real {items} for choosing solvers"),
    ):
        if words.real(raw.get(key)):
            found.append(f"{words.number(raw[key])} {text}")
    if run.config.get("device"):
        found.append(f"on {run.config['device']}")
    return " · ".join(found)


def _title(run: Run) -> str:
    """The heading where there is no answer of one candidate."""
    if len(run.verdict.candidates) > 1:
        return f"{len(run.verdict.candidates)} candidates, each against every baseline"
    if run.kind == "run":
        return f"{'Student of one call' if _distilled(run.config) else 'Training run'}: {run.recipe}"
    claim = run.verdict.claim
    return claim[:1].upper() + claim[1:]


def _unit(run: Run) -> str:
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
        f"As good as {n} real {items} (n_eq): as near to the held-out real {items} as {n} other real {items} are on average, "
        "so more is better."
    )


def _reading(run: Run) -> tuple[str, ...]:
    """How to read the answer."""
    return (
        "A baseline with some number of calls is shown to be worse where its distance exceeds the candidate's by more than other "
        "training seeds and other real data would explain (a one-sided bound of 97.5 %, on any metric).",
        "The answer names the fewest baseline calls that are not shown to be worse. Little data or much noise can therefore only "
        "make the candidate look less fast.",
    )


def _terms(run: Run) -> str:
    """The unit, and what the methods are where they are warmflow's own: what each starts from, and what pairs are."""
    names, said = {m.name for m in run.verdict.methods}, [_unit(run)]
    if run.config.get("kind") == "compare":
        said += [text for name, text in words.STARTS.items() if name in names]
        if names & {"cold_assigned", "cold_whole"}:
            said.append(words.PAIRS)
    return " ".join(said)


def _interval(candidate: Candidate) -> list[Tile]:
    """The quoted numbers."""
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
        what = "time of the baseline's row over the quoted row's"
        found.append(Tile(f"{words.number(s.estimate)} ×", (what, f"{tables.spread(s)} (95 %)")))
    if candidate.start_calls is not None:
        found.append(Tile(words.number(candidate.start_calls), ("calls that making the start is worth",)))
    return found


def _run_tiles(run: Run) -> list[Tile]:
    lines = next(iter(run.logs.values()), ())
    found = []
    for key, name in (("step", "updates"), ("loss", "last loss"), ("samples_per_second", "samples per second")):
        values = [v for line in lines if (v := words.real(line.get(key))) is not None]
        if values:
            found.append(Tile(words.number(values[-1]), (name,)))
    return found


# ---------------------------------------------------------------- figures and pictures


def _drawn(figure: Figure | None, prefix: str, caption: str, narrow: Figure | None = None) -> Drawn | None:
    if figure is None:
        return None
    small = None if narrow is None else drawing.svg(narrow, f"{prefix}-n", caption)
    return Drawn(drawing.svg(figure, prefix, caption), caption, small)


def _main_figure(
    run: Run, prefix: str, only: str = "", cost: str = "calls", metric: Metric | None = None
) -> Drawn | None:
    metric = metric or run.verdict.primary
    if metric is None:
        return None
    better = "Higher is better" if metric.scatter is not None else "Lower is better"
    scaled = "; both axes are logarithmic" if metric.scatter is not None else ""
    banded = " and ".join(m.title for m in run.verdict.compared)
    caption = f"{better}{scaled}. Shaded: simultaneous 95 % confidence bands of {banded}."
    if cost == "seconds":
        caption = f"The same against time. {better}."
    roles = {m.role for m in run.verdict.methods if not only or only in (m.name, m.of)}
    caption += " Dashed: the same recipe from noise." if "control" in roles else ""
    caption += " Dotted: the start alone, which takes no call of the network." if "start" in roles else ""
    wide = figures.quality(run, cost, only, metric, figures.WIDE)
    return _drawn(wide, f"{prefix}-{cost}", caption, figures.quality(run, cost, only, metric, figures.NARROW))


def _other_metrics(run: Run, prefix: str) -> list[Drawn]:
    """The further metrics, smaller."""
    found = []
    for i, metric in enumerate(run.verdict.metrics[1:], start=2):
        figure = figures.quality(run, "calls", "", metric, figures.NARROW)
        drawn = _drawn(figure, f"{prefix}-m{i}", f"The same by {metric.short}.")
        found += [drawn] if drawn else []
    return found


def _pictures(run: Run, names: Sequence[str]) -> list[Picture]:
    found = []
    for name in names:
        source = pictures.panel(run, name) if run.points else pictures.grid(run.pictures[name])
        found.append(Picture(drawing.png(source), pictures.picture_caption(run, name), not run.points))
    return found


def _samples(run: Run) -> dict[str, Any] | None:
    """Samples to look at: the few that a page opens with, and the rest."""
    if run.symbols:
        blocks = texts.side_by_side(run)
        return {"texts": blocks, "first": [], "rest": []} if blocks else None
    every = pictures.picture_names(run)
    first = pictures.opening(run) if run.verdict.candidates else []
    first = first if len(first) > 1 else every
    rest = [n for n in every if n not in first]
    return {"texts": [], "first": _pictures(run, first), "rest": _pictures(run, rest)} if every else None


def _trajectories(run: Run, prefix: str) -> Drawn | None:
    caption = "Each line is the path of one sample: a ring where it starts, a dot where it ends; the real data in grey."
    return _drawn(pictures.trajectories(run), f"{prefix}-trajectories", caption)


def _frontier(run: Run, prefix: str) -> Drawn | None:
    caption = (
        "How likely a language model finds the texts, against how much they vary; numbers are steps. Real text is the cross. "
        "Lower alone is no better: repetition is likely."
    )
    return _drawn(figures.frontier(run), f"{prefix}-frontier", caption)


def _loss(run: Run, prefix: str) -> Drawn | None:
    caption = "Training loss."
    if run.kind == "compare":
        caption = "One line a seed. Methods regress on different targets: compare lines of one colour, not colours."
    return _drawn(figures.loss(run), f"{prefix}-loss", caption)


# ---------------------------------------------------------------- how it was made


_PRIOR = {
    "explained": "share of the data's variance that the mean explains",
    "kl": "nats in the latent",
    "active": "active latent dimensions",
    "latent": "latent dimensions",
    "clamped": "share of log sigma at its bounds",
    "residual_over_sigma": "residual over sigma (1 where sigma is right)",
    "latent_auc": "sampled latents distinguished from encoded ones by a classifier (AUC, 0.5 is chance)",
    "warning": "warning",
}


def _prior(run: Run) -> Table | None:
    """What is known of the prior that the flow starts from."""
    known = run.config.get("facts")
    prior = known.get("prior") if isinstance(known, Mapping) else None
    return tables.facts({text: prior[k] for k, text in _PRIOR.items() if k in prior}) if prior else None


def command(config: Mapping[str, Any]) -> str:
    """The command that makes the run again: ``config["command"]`` where it is kept, else the recipe and settings."""
    given = config.get("command")
    if isinstance(given, str) and given.strip():
        return given
    if isinstance(given, list):
        return shlex.join(str(part) for part in given)
    if config.get("kind") == "evaluate":
        return "warmflow.evaluate(real, baseline=..., candidates=...)  # your samples"
    asked = config.get("asked")
    asked = asked if isinstance(asked, Mapping) else {}
    if config.get("recipe") == "custom" or str(asked.get("draft", "")).startswith("own"):
        said = [f"{k}={asked[k]}" for k in ("steps", "seeds", "minutes") if asked.get(k) is not None]
        return (
            f"warmflow.compare({', '.join(['data=...', 'draft=...', *said, '**settings'])})  # your data, your drafts"
        )
    settings, verb = config.get("settings"), "train" if config.get("kind") == "run" else "compare"
    parts = ["warmflow", verb, str(config.get("recipe", ""))]
    student = _distilled(config)
    if student is not None:
        parts, settings = (
            ["warmflow", "distill", str((config.get("teacher") or {}).get("path"))],
            student.get("distillation"),
        )
    asked = asked if student is None else {}
    more = {k: asked[k] for k in (("steps",) if verb == "compare" else ("arm", "seed")) if k in asked}
    if isinstance(asked.get("seeds"), list) and asked["seeds"] == list(range(len(asked["seeds"]))):
        more["seeds"] = len(asked["seeds"])
    for key, value in {**(settings if isinstance(settings, Mapping) else {}), **more}.items():
        flag = "--" + str(key).replace("_", "-")
        if isinstance(value, bool):
            parts.append(flag if value else "--no-" + flag[2:])
        elif isinstance(value, list):
            parts += [flag, ",".join(str(v) for v in value)]
        elif value is not None:
            parts += [flag, str(value)]
    return shlex.join(parts)


def _made(run: Run) -> dict[str, Any]:
    config = run.config
    first = {k: config[k] for k in ("recipe", "device", "threads", "seeds", "started") if config.get(k) is not None}
    parts = command(config).split(" --")  # a line breaks between flags, never inside one
    known = config.get("facts")
    shown = {k: v for k, v in (known if isinstance(known, Mapping) else {}).items() if not isinstance(v, Mapping)}
    student = _distilled(config)
    config = {**config, "facts": shown, "distillation": student.get("distillation") if student else None}
    folded = []
    for key, title in (
        ("distillation", "Settings of the distillation"),
        ("settings", "Settings of the teacher" if student else "Settings"),
        ("data", "Data"),
        ("facts", "Judges"),
        ("versions", "Versions"),
    ):
        value = config.get(key)
        if isinstance(value, Mapping) and value:
            value = {"warmflow": config.get("warmflow"), **value} if key == "versions" else value
            folded.append((title, tables.facts(value)))
    return {"command": [parts[0], *("--" + p for p in parts[1:])], "first": tables.facts(first), "folded": folded}


def _warning(run: Run) -> str:
    """What training warned of."""
    training = run.config.get("training")
    return str((training.get("warning") if isinstance(training, Mapping) else None) or "")


def _noticed(run: Run) -> list[str]:
    """What was noticed in the sets of samples that were brought."""
    notes = run.config.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _doubled(run: Run) -> dict[str, Any] | None:
    """What is left of the answer against a baseline that was trained twice as long."""
    found = run.verdict.json.get("doubled")
    if not isinstance(found, Mapping) or not found:
        return None
    said = next((str(found[k]) for k in ("text", "answer", "claim") if isinstance(found.get(k), str)), "")
    settled = found.get("settled")
    rest = {k: v for k, v in found.items() if not isinstance(v, str | Mapping | list)}
    rest |= settled if isinstance(settled, Mapping) else {}
    return {"text": said, "table": tables.facts(rest)}


TERMS = {
    "Baseline, candidate": "The candidate has to be faster than every baseline. A cold flow starts from noise, with pairs of "
    "noise and data that are independent or assigned; a warm flow starts from a draft. Where the answer says equal training, "
    "all of them were trained with the same budget.",
    "Control": "The candidate's own recipe, pairing included, from noise in place of the draft. What the candidate gains over it "
    "is due to the draft; what both gain is due to the recipe.",
    "Distance D": "How far samples are from held-out real data. MMD² is the unbiased squared maximum mean discrepancy: 0 for "
    "equal distributions, and its estimate may fall below 0.",
    "n_eq": "So many real samples are, on average, as far from the data as these samples. It is infinite where D is at most 0.",
    "Steps and calls": "Steps are the intervals of a solver. Calls are evaluations of the flow's network for each sample. The "
    "draft's own cost is not in the calls; it is in the seconds.",
    "Time": "Seconds for each sample with everything counted, the draft included, in a large batch.",
    "Near enough to count": "On validation data, at least half of the best n_eq that any baseline row reaches. Samples of noise "
    "are cheap, and their rate says nothing.",
    "Class variation": "Half the summed difference between the shares of classes (or clusters) in samples and in data.",
    "Copying": "How many samples are nearer to the training data than new real data are, at several quantiles.",
}  # fmt: skip


# ---------------------------------------------------------------- the whole


def _section(run: Run, candidate: Candidate, prefix: str, several: bool) -> dict[str, Any]:
    """What is shown of one candidate."""
    verdict = run.verdict
    ours = words.name(candidate.name)
    return {
        "it": candidate,
        "badge": badge(run, candidate),
        "anchor": prefix,
        "figure": _main_figure(run, f"{prefix}-own", candidate.name) if several else None,
        "tiles": _interval(candidate),
        "exchange": tables.exchange(candidate, verdict),
        "guards": tables.guards(candidate),
        "targets": tables.targets(candidate, verdict),
        "gain": tables.differences(candidate.gains, verdict, "nearest baseline"),
        "gain_figure": _drawn(
            figures.gain(run, candidate),
            f"{prefix}-gain",
            f"Above 0 {ours} is nearer to the data than the best baseline.",
        ),
        "start": tables.differences(candidate.start_effect, verdict, "against"),
        "start_figure": _drawn(
            figures.start_effect(run, candidate), f"{prefix}-start", "Above 0 the draft is worth more than noise."
        ),
    }


def body(run: Run, prefix: str = "r") -> Markup:
    """The inside of one run's page; ids in it begin with ``prefix``."""
    verdict = run.verdict
    several = len(verdict.candidates) > 1
    sections = [_section(run, c, f"{prefix}-c{i}", several) for i, c in enumerate(verdict.candidates.values(), start=1)]
    return _render(
        "body",
        run=run,
        about=_about(run),
        conditions=_conditions(run),
        terms_of_methods=_terms(run),
        title=_title(run),
        badge=badge(run, None),
        sections=sections,
        reading=_reading(run),
        terms=TERMS,
        tiles=[] if sections else _run_tiles(run),
        warning=_warning(run),
        noticed=_noticed(run),
        figure=_main_figure(run, prefix),
        seconds=_main_figure(run, prefix, cost="seconds"),
        others=_other_metrics(run, prefix),
        samples=_samples(run),
        trajectories=_trajectories(run, prefix),
        rows=tables.rows(verdict),
        beside=tables.beside(verdict),
        frontier=_frontier(run, prefix),
        choices=tables.choices(verdict),
        doubled=_doubled(run),
        audit=tables.audit(verdict),
        prior=_prior(run),
        bill=tables.bill(verdict),
        loss=_loss(run, prefix),
        made=_made(run),
    )


def fragment(inside: Markup) -> Markup:
    """``inside`` with its style, to stand in another page."""
    return _render("fragment", css=Markup(CSS), inside=inside)


def document(inside: Markup, title: str) -> str:
    """A whole HTML page."""
    return str(_render("document", page_css=Markup(PAGE_CSS), inside=fragment(inside), title=title))


def overview(runs: Sequence[Run], anchors: Sequence[str], prefixes: Sequence[Markup]) -> Markup:
    """Several runs on one page: a table with a line for each candidate, then each run's own body (``prefixes``)."""
    lines = []
    for run, anchor in zip(runs, anchors, strict=True):
        name = run.folder.resolve().name
        candidates: list[Candidate | None] = [*run.verdict.candidates.values()]
        for candidate in candidates or [None]:
            e = candidate.exchange if candidate else None
            lines.append({
                "anchor": anchor, "name": name, "recipe": run.recipe, "badge": badge(run, candidate),
                "candidate": words.name(candidate.name) if candidate else "",
                "rate": tables.numeric(e.rate) if e and candidate and candidate.outcome == "faster" else tables.Cell(words.NONE),
                "quality": words.equivalent(candidate.quality.estimate) if candidate and candidate.quality else words.NONE,
                "answer": candidate.answer if candidate else "" if run.kind == "run" else run.verdict.claim,
            })  # fmt: skip
    bodies = [
        {"anchor": a, "name": r.folder.resolve().name, "inside": b}
        for a, r, b in zip(anchors, runs, prefixes, strict=True)
    ]
    return _render("gather", count=len(runs), lines=lines, bodies=bodies)
