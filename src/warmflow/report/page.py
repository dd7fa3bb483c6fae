"""The page of a report: one HTML string that needs no other file, no script and no network.

A page is a list of sections; a section for which the run folder holds nothing is the empty string and is not shown.
Every string from a file is escaped, every number stands in full in its cell's ``data-value``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from warmflow.report import drawing, figures, pictures, tables, texts, words
from warmflow.report.folder import Run, Verdict
from warmflow.report.style import CSS, PAGE_CSS
from warmflow.report.words import escape

_STATES = {"holds": "holds", "open": "no claim", "fails": "does not hold"}


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


# ---------------------------------------------------------------- the sentence and its numbers


def _distilled(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What was asked of a student; None for any other run."""
    asked = config.get("asked")
    return asked if isinstance(asked, Mapping) and asked.get("arm") == "student" else None


def _header(run: Run) -> str:
    verdict, data = run.verdict, run.config.get("data")
    about = ["warmflow", run.recipe]
    if isinstance(data, Mapping) and data.get("name") and str(data["name"]) not in run.recipe:
        about.append(str(data["name"]))
    if run.kind == "run":
        what = "Student of one call" if _distilled(config=run.config) else "Training run"
        title, state, badge = f"{what}: {run.recipe}", "none", "training"
        if verdict.json:
            claim = verdict.claim
            title, state, badge = claim[:1].upper() + claim[1:], verdict.state, _STATES[verdict.state]
    else:
        claim = verdict.claim
        title, state, badge = claim[:1].upper() + claim[1:], verdict.state, _STATES[verdict.state]
        if not verdict.json:
            badge = "not finished"
    facts = []
    if verdict.trained and verdict.trained != "distilled" and verdict.trained not in verdict.claim:
        facts.append(f"at {verdict.trained.removeprefix('at ')}")
    if words.real(verdict.samples) is not None:
        facts.append(f"{words.number(verdict.samples)} samples of each")
    if verdict.metric.get("name"):
        facts.append(f"distance: {words.metric_name(verdict.metric)}")
    if run.config.get("device"):
        facts.append(f"on {run.config['device']}")
    line = f'<p class="soft">{escape(" · ".join(facts))}</p>' if facts else ""
    return (
        f'<header class="{state}"><div class="soft">{escape(" · ".join(about))} '
        f'<span class="badge">{badge}</span></div><h1>{escape(title)}</h1>{line}</header>'
    )


def _ruler(estimate: float, low: float, high: float, margin: float) -> str:
    """The interval of the difference beside zero and the margin, as a drawing of one line."""
    left, right = min(low, 0.0, -0.15 * margin), max(high, margin)
    width = (right - left) or 1.0

    def at(x: float) -> float:
        return round(10 + 280 * (x - left) / width, 1)

    tint = "var(--good)" if high < margin else "var(--bad)"
    return (
        '<svg viewBox="0 0 300 44" role="img" aria-label="the interval of the difference beside zero and the margin">'
        f'<path d="M10 14H290" stroke="currentColor" stroke-opacity=".25"/>'
        f'<path d="M{at(0)} 6V22M{at(margin)} 6V22" stroke="currentColor" stroke-opacity=".7"/>'
        f'<path d="M{at(low)} 14H{at(high)}" stroke="{tint}" stroke-width="6" stroke-linecap="round"/>'
        f'<circle cx="{at(estimate)}" cy="14" r="5.5" fill="{tint}"/>'
        f'<g fill="currentColor" font-size="12" text-anchor="middle"><text x="{at(0)}" y="38">0</text>'
        f'<text x="{min(at(margin), 268)}" y="38">margin</text></g></svg>'
    )


def _tile(big: str, *small: str, extra: str = "", double: bool = False) -> str:
    lines = "".join(f"<span>{escape(line)}</span>" for line in small if line)
    return f'<div class="tile{" double" if double else ""}"><b>{escape(big)}</b>{lines}{extra}</div>'


def _against(verdict: Verdict, key: str) -> str:
    """ "4 against 39" for the calls or seconds of the winner and of the cold row that the factor divides."""
    warm, cold = verdict.winner, verdict.fewest_cold
    if warm is None or cold is None or words.real(warm.get(key)) is None or words.real(cold.get(key)) is None:
        return ""
    write = words.number if key == "calls" else words.duration
    return f"{write(warm[key])} against {write(cold[key])} a sample"


def _difference_tile(verdict: Verdict) -> str:
    estimate, low, high = (words.real(verdict.difference.get(k)) for k in ("estimate", "low", "high"))
    if estimate is None:
        return ""
    scale, margin = words.metric_scale(verdict.metric), verdict.margin
    level = words.real(verdict.difference.get("level"))
    between = ""
    if low is not None or high is not None:
        share = f"{words.number(level, 100)} % interval" if level else "interval"
        between = f"{share} {words.number(low, scale)} to {words.number(high, scale)}"
    if margin is not None:
        between += f"{' · ' if between else ''}margin {words.number(margin, scale)}"
    drawn = ""
    if low is not None and high is not None and margin:
        drawn = _ruler(estimate, low, high, margin)
    ours, theirs = verdict.names
    title = f"D({ours}) − D({theirs}){'' if scale == 1 else f', × {words.number(scale)}'}"
    return _tile(words.number(estimate, scale), title, between, extra=drawn, double=True)


def _tiles(run: Run) -> str:
    verdict = run.verdict
    if not verdict.json:
        return _run_tiles(run) if run.kind == "run" else ""
    tiles = []
    for key, factor in (("calls", verdict.factor_calls), ("seconds", verdict.factor_seconds)):
        noun = "fewer calls" if key == "calls" else "less time"
        big = f"{words.number(factor)} ×" if factor is not None else words.NONE
        tiles.append(_tile(big, noun if factor is not None else f"{noun}: no factor holds", _against(verdict, key)))
    tiles.append(_difference_tile(verdict))
    seeds = len(verdict.seeds)
    if seeds:
        named = words.plain(list(verdict.seeds))
        tiles.append(_tile(str(seeds), "training seed" if seeds == 1 else "training seeds", named))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _run_tiles(run: Run) -> str:
    lines = next(iter(run.logs.values()), ())
    tiles = []
    for key, name in (("step", "updates"), ("loss", "last loss"), ("samples_per_second", "samples per second")):
        values = [v for line in lines if (v := words.real(line.get(key))) is not None]
        if values:
            tiles.append(_tile(words.number(values[-1]), name))
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


# ---------------------------------------------------------------- figures


def _quality(run: Run, prefix: str) -> str:
    ours, theirs = run.verdict.bare
    captions = {
        "calls": "Quality against calls. Lower is better. In the shaded band and below it, "
        f"{ours} is level with the best {theirs}.",
        "seconds": "Quality against time, everything counted: the draft, the source and the network.",
    }
    drawn = ""
    for cost, caption in captions.items():
        figure = figures.quality(run, cost)
        if figure is not None:
            picture = drawing.svg(figure, f"{prefix}-{cost}", caption)
            drawn += f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
    return f'<div class="pair">{drawn}</div>' if drawn else ""


def _samples(run: Run) -> str:
    if run.symbols:
        return texts.side_by_side(run)
    drawn = ""
    for name in pictures.picture_names(run):
        caption = escape(pictures.picture_caption(run, name))
        source = pictures.panel(run, name) if run.points else pictures.grid(run.pictures[name])
        kind = "" if run.points else ' class="pixels"'
        drawn += f'<figure><img{kind} src="{drawing.png(source)}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    if not drawn:
        return ""
    note = "" if run.points else " The same place in each grid of draft, start and warm is the same seed."
    return f'<p class="soft">Drawn with equal seeds, none chosen by hand.{note}</p><div class="grids">{drawn}</div>'


def _trajectories(run: Run, prefix: str) -> str:
    figure = pictures.trajectories(run)
    if figure is None:
        return ""
    caption = "Each line is one sample's walk: a ring where it starts, a dot where it ends; the real data in grey."
    picture = drawing.svg(figure, f"{prefix}-trajectories", caption)
    return f'<figure class="wide">{picture}<figcaption>{escape(caption)}</figcaption></figure>'


def _beside(run: Run, prefix: str) -> str:
    """What is shown and not judged; of texts, how likely they are beside how much they vary."""
    body, figure = tables.beside_table(run.verdict), figures.frontier(run)
    if figure is None:
        return body
    caption = (
        "How likely a judge finds the texts, against how much they vary; numbers are steps. Real text is the cross. "
        "Lower alone is no better: repetition is likely."
    )
    picture = drawing.svg(figure, f"{prefix}-frontier", caption)
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>{body}"


_PRIOR = {
    "explained": "share of the data's variance that the mean explains",
    "kl": "nats in the latent",
    "active": "numbers of the latent that say anything",
    "latent": "numbers of the latent",
    "clamped": "share of log sigma at its bounds",
    "residual_over_sigma": "residual over sigma (1 where sigma is right)",
    "latent_auc": "sampled told from encoded latents (AUC, 0.5 is chance)",
    "warning": "warning",
}


def _prior(run: Run) -> str:
    """What is known of the prior that the flow starts from."""
    facts = run.config.get("facts")
    prior = facts.get("prior") if isinstance(facts, Mapping) else None
    return tables.fact_table({text: prior[k] for k, text in _PRIOR.items() if k in prior}) if prior else ""


def _loss(run: Run, prefix: str) -> str:
    figure = figures.loss(run)
    if figure is None:
        return ""
    caption = "Training loss."
    if run.kind == "compare":
        caption = "One line a seed. Arms regress on different targets: compare lines of one colour, not colours."
    picture = drawing.svg(figure, f"{prefix}-loss", caption)
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


# ---------------------------------------------------------------- how it was made, how it is read


def command(config: Mapping[str, Any]) -> str:
    """The command that makes the run again: ``config["command"]`` where it is kept, else the recipe and settings."""
    given = config.get("command")
    if isinstance(given, str) and given.strip():
        return given
    if isinstance(given, list):
        return shlex.join(str(part) for part in given)
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


def _made(run: Run) -> str:
    config = run.config
    facts = {k: config[k] for k in ("recipe", "device", "threads", "seeds", "started") if config.get(k) is not None}
    if run.verdict.margin is not None and not config.get("margins"):
        facts["margin"] = run.verdict.margin
    parts = command(config).split(" --")  # a line breaks between flags, never inside one
    again = " ".join(f"<span>{escape(part)}</span>" for part in (parts[0], *("--" + p for p in parts[1:])))
    body = f"<p>Make it again:</p><pre>{again}</pre>{tables.fact_table(facts)}"
    facts = {k: v for k, v in (config.get("facts") or {}).items() if not isinstance(v, Mapping)}
    config = {**config, "facts": facts}
    student = _distilled(config)
    if student:
        config["distillation"] = student.get("distillation")
    for key, title in (
        ("distillation", "Settings of the distillation"),
        ("settings", "Settings of the teacher" if student else "Settings"),
        ("data", "Data"),
        ("facts", "Judges"),
        ("margins", "Margins"),
        ("versions", "Versions"),
    ):
        value = config.get(key)
        if isinstance(value, Mapping) and value:
            if key == "versions":
                value = {"warmflow": config.get("warmflow"), **value}
            body += f"<details><summary>{title}</summary>{tables.fact_table(value)}</details>"
    return body


def _warning(run: Run) -> str:
    """What training warned of."""
    training = run.config.get("training")
    text = training.get("warning") if isinstance(training, Mapping) else None
    return f'<p class="warning">Warning: {escape(str(text))}</p>' if text else ""


def _reading(verdict: Verdict) -> str:
    name = str(verdict.metric.get("name", "")).lower()
    about = verdict.metric.get("about") or verdict.metric.get("description")
    if "mmd" in name:
        about = "Here the unbiased squared maximum mean discrepancy (MMD²): 0 for equal laws, and it may fall below 0."
    ours, theirs = verdict.names
    what = (
        "a flow that starts from noise; a flow that starts from the draft. Cold and warm are trained at equal budget."
    )
    if verdict.trained == "distilled":
        what = "the teacher, walked in many calls; the student, distilled from it, in one; its reflow, in one."
    elif verdict.trained == "equal training of the flows":
        what = "flows that start from noise, and flows that start from a learned prior: the flows are trained at equal "
        what += "budget, the prior's own training comes on top (see the bill); all training seeds share one prior."
    terms = {
        "Rows": f"Real data against other real data (the best anyone can do); starts as they come; {what}",
        "Distance D": f"How far samples are from held-out real data; lower is better. {about or ''}".strip(),
        "Margin": "The distance two sets of real data of the same size stay below in 95 of 100 splits. "
        "A difference below it is smaller than chance among real data. It is fixed before anything is sampled.",
        "As good as": "The one-sided 95 % upper bound of the mean over training seeds of "
        f"D({ours}) − D({theirs}) is below the "
        "margin. With one seed nothing is claimed.",
        "Steps and calls": "Steps are the intervals a solver walks; calls are evaluations of the flow's network, for each "
        "sample. Heun makes two calls a step, one in the last; Adams–Bashforth one, from the last two slopes. "
        "The draft's own cost is not in the calls.",
        "Time": "Seconds for each sample with everything counted, the draft included, in a large batch.",
        f"Best {theirs.removeprefix('the ')}": f"{theirs} with the best of its solvers and pairings: what {ours} has to match.",
        "Class variation": "Half the summed difference between the shares of the classes in samples and in data: "
        "0 where each class has its share. Two real sets of 500 differ by about 0.1.",
        "Copying": "How close samples come to single training data, against what held-out real data do.",
    }
    if verdict.trained and verdict.trained != "distilled":
        both = "Equal training: both got the same budget, and cold might still improve with more. "
        terms["Equal training, convergence"] = both + "Convergence: doubling the training improves cold by under 10 %."
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in terms.items())
    return f"<details><summary>How to read this</summary><dl>{items}</dl></details>"


# ---------------------------------------------------------------- the whole


def body(run: Run, prefix: str = "r") -> str:
    """The inside of one run's page; ids in it begin with ``prefix``."""
    verdict = run.verdict
    parts = [
        _header(run),
        _tiles(run),
        _reading(verdict) if verdict.json else "",
        _warning(run),
        _quality(run, prefix),
        _section("Samples", _samples(run)),
        _section("Trajectories", _trajectories(run, prefix)),
        _section("Every row", tables.row_table(verdict)),
        _section("Beside the verdict", _beside(run, prefix)),
        _section("At equal calls", tables.equal_calls(verdict)),
        _section("Against twice the cold training", tables.doubled(verdict)),
        _section("Guards", tables.guard_table(verdict)),
        _section("Audit of the pairings", tables.audit_table(verdict)),
        _section("The learned prior", _prior(run)),
        _section("The bill", tables.bill_table(verdict)),
        _section("Training", _loss(run, prefix)),
        _section("How it was made", _made(run)),
    ]
    return "".join(parts)


def fragment(inside: str) -> str:
    """``inside`` with its style, to stand in another page."""
    return f'<div class="warmflow"><style>{CSS}</style>{inside}</div>'


def document(inside: str, title: str) -> str:
    """A whole HTML page."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title>'
        f"<style>{PAGE_CSS}</style></head><body>{fragment(inside)}</body></html>\n"
    )


def overview(runs: Sequence[Run], anchors: Sequence[str]) -> str:
    """The table on top of several runs: one line each, with a link to its section."""
    rows = []
    for run, anchor in zip(runs, anchors, strict=True):
        verdict = run.verdict
        link = f'<a href="#{anchor}">{escape(run.folder.resolve().name)}</a>'
        if run.kind == "run":
            state, said = '<span class="badge none">training</span>', ""
        else:
            shown = _STATES[verdict.state] if verdict.json else "not finished"
            state, said = f'<span class="badge {verdict.state}">{shown}</span>', verdict.claim
        scale = words.metric_scale(verdict.metric)
        difference = verdict.difference.get("estimate")
        cells = [
            f"<td>{link}</td>",
            f'<td class="left">{escape(run.recipe)}</td>',
            f'<td class="left">{state}</td>',
            tables.cell(verdict.factor_calls, words.number(verdict.factor_calls)),
            tables.cell(verdict.factor_seconds, words.number(verdict.factor_seconds)),
            tables.cell(difference, words.number(difference, scale)),
            tables.cell(verdict.margin, words.number(verdict.margin, scale)),
            f'<td class="left long">{escape(said)}</td>',
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = ("run", "recipe", "verdict", "× fewer calls", "× less time", "D(warm) − D(cold)", "margin", "claim")
    return f"<h1>{len(runs)} runs side by side</h1>{tables.table(head, rows, 'rows')}"
