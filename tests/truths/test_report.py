"""The report says what the folder holds: the same numbers, every string escaped, nothing from outside the file, a badge from the
outcome's value, and no crash for what is missing. Verdicts are of planted methods, so no network is trained."""

from __future__ import annotations

import colorsys
import copy
import functools
import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import planted_evaluations as planted
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from safetensors.numpy import save_file

from warmflow import rounding
from warmflow.evaluation.record import save_evaluation, verdict_json
from warmflow.report import Report, drawing, folder, frontier, gather, quality, remake, roles, texts, words, write
from warmflow.report.labels import spread
from warmflow.report.verdict import parse

pytestmark = pytest.mark.long


@functools.cache
def evaluated(outcome: str) -> Any:
    return planted.several() if outcome == "several" else planted.evaluation(outcome)


def verdict(outcome: str = "several") -> dict[str, Any]:
    """verdict.json of an evaluation that ended in this outcome, to change at will."""
    return copy.deepcopy(written(outcome))


@functools.cache
def written(outcome: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(verdict_json(evaluated(outcome)), allow_nan=False))
    if outcome == "several":
        found |= EXTRAS
    return found


EXTRAS: dict[str, Any] = {
    "audit": {
        "assignment": {"never_chosen": 0.0, "effective_sample_size": 1.0, "explained": 0.71, "flags": []},
        "nearest": {"never_chosen": 0.41, "variation": 0.21, "mean_cost": 9.9, "flags": ["41 % never chosen"]},
    },
    "bill": {"draft": 0.4, "pairing": 3.2},
    "doubled": {
        "settled": {"pixels": {"cold": 0.1, "cold-doubled": 0.09}},
        "baseline": "cold",
        "verdicts": {"warm-start": {"outcome": "faster", "rate": 1.5}},
        "words": {"warm-start": "Against twice the training: 1.5."},
    },
    "choices": [
        {"method": "warm-start", "chosen": "Euler", "distances": {"Euler": {"2": 0.0107}, "Heun": {"2": 0.0203}}}
    ],
}

WARM = {
    "class": "WarmStart",
    "pairing": "whole-set",
    "rounds": 64,
    "draft": "mixture",
    "sigma": 0.3,
    "seen": True,
    "writer": None,
}
COLD = {"class": "Cold", "pairing": "independent", "start": "noise"}
ASKED: dict[str, Any] = {
    "kind": "compare",
    "problem": {"name": "digits", "data_seed": 0},
    "training": {"updates": 3000, "learning_rate": 0.002, "network": "", "conditional": False, "compile": False},
    "methods": {"warm-start": WARM, "cold": COLD, "cold-minibatch": {**COLD, "pairing": "minibatch"}},
    "calls": [1, 2, 4], "seeds": [0, 1, 2], "samples": 500, "device": "cpu",
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "warmflow": folder.__version__,
    "kind": "compare",
    "asked": ASKED,
    "recipe": "digits",
    "settings": ASKED["training"],
    "methods_described": {
        "warm-start": "A flow from a draft.", "cold": "A flow from noise.", "cold-minibatch": "A flow from noise.",
        "distilled-cold-minibatch": "A student of one call, distilled from another method's flow.",
    },
    "versions": {"python": "3.11", "torch": "2"},
    "device": "cpu",
    "threads": 2,
    "seeds": [0, 1, 2],
    "data": {"name": "digits", "kind": "images", "shape": [1, 8, 8], "classes": ["0", "1"], "notes": {"a": "b"}},
    "facts": {"judge": "pixels", "parts": {"warm-start": {"explained": 0.625, "warning": "few latents <i>"}}},
    "started": "2025-01-01T12:00:00",
}  # fmt: skip


def pictures(kind: str) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    shape = (12, 1, 8, 8) if kind == "images" else (50, 2)
    names = (
        "real",
        "draft",
        "start",
        "warm-start.2",
        "warm-start.4",
        "cold.2",
        "cold-minibatch.2",
        "distilled-cold-minibatch.2",
    )
    made = {name: draw.uniform(-1, 1, shape).astype(np.float32) for name in names}
    if kind == "points":
        made |= {f"trajectory.{a}": draw.normal(size=(5, 30, 2)).astype(np.float32) for a in ("warm-start", "cold")}
    return made


def make(path: Path, kind: str = "images", config: Any = None, shown: Any = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    config = {**copy.deepcopy(CONFIG), **(config or {})}
    config["data"]["kind"] = kind
    (path / "config.json").write_text(json.dumps(config))
    (path / "verdict.json").write_text(json.dumps(written("several") if shown is None else shown))
    save_file(pictures(kind), str(path / "pictures.safetensors"))
    for seed in (0, 1):
        for arm in ("cold", "warm-start"):
            log = path / "seeds" / str(seed) / arm / "log.jsonl"
            log.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps({"step": i, "loss": 1 / (i + 1), "samples_per_second": 9e3}) for i in range(50)]
            log.write_text("\n".join(lines) + '\n{"step": 50, "lo')  # still being written
    return path


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A comparison with two candidates, and its page, made once."""
    path = make(tmp_path_factory.mktemp("several"))
    return path, Report.read(path).html()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made and not written, which takes the most time."""
    monkeypatch.setattr(drawing, "svg", lambda figure, prefix, label: Markup("<svg></svg>"))


def alone(path: Path, shown: Any) -> Path:
    """An evaluation folder: verdict.json and nothing else."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "verdict.json").write_text(json.dumps(shown))
    return path


class Page(HTMLParser):
    """What a browser would fetch, the text it would show, and whether every tag is closed."""

    void = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.values: list[float] = []
        self.text = ""
        self.badges: list[tuple[str, str]] = []
        self._badge = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        classes = (dict(attrs).get("class") or "").split()
        self._badge = classes[-1] if tag == "span" and "badge" in classes else ""
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name == "data-value":
                self.values.append(float(value or "nan"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        self._badge = ""
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self._badge:
            self.badges.append((data, self._badge))
        self.text += data


def check(html: str) -> Page:
    page = Page(html)
    assert not page.open, "a tag is left open"
    assert len(set(page.ids)) == len(page.ids), "two elements have one id"
    for address in page.addresses:
        assert address.startswith(("data:image/png;base64,", "#")), address[:80]
        assert not address.startswith("#") or address[1:] in page.ids, f"{address} leads nowhere"
    for used in re.findall(r"url\(([^)]*)\)", html):
        assert used.startswith("#") and used[1:] in page.ids, used
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert "@import" not in html and "http://" not in html and "https://" not in html
    return page


OUTCOMES = {"faster": "good", "nearer": "near", "draft enough": "open", "no faster": "bad", "cannot tell": "unsure"}


# ---------------------------------------------------------------- outcomes and words


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_the_badge_is_the_outcome(tmp_path: Path, outcome: str) -> None:
    """The planted evaluation ends in the outcome, and the page shows it over the answer, in its own colour."""
    found = evaluated(outcome)
    assert found.verdict.outcome == outcome
    save_evaluation(tmp_path, found)
    report = Report.read(tmp_path)
    page = check(report.html())
    assert page.badges == [({"faster": "fewer calls"}.get(outcome, outcome), OUTCOMES[outcome])]
    answer = found.answers["warm-start"]
    assert answer.question in page.text and answer.answer in page.text
    assert all(note in page.text for note in answer.notes)
    assert report.verdict.outcome == outcome and report.verdict.answer == answer.answer
    assert report.verdict.claim == answer.text and report.verdict.json == json.loads(
        (tmp_path / "verdict.json").read_text()
    )
    assert "does not hold" not in page.text.lower()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_no_sentence_is_parsed(tmp_path: Path, outcome: str) -> None:
    """With nonsense for words, or those of the opposite outcome, the badge and the numbers stay."""
    shown = verdict(outcome)
    before = check(Report.read(alone(tmp_path / "a", shown)).html())
    for i, nonsense in enumerate(("does not hold: one seed, no claim, the draft alone", "warm is faster")):
        said = shown["candidates"]["warm-start"]["words"]
        shown["candidates"]["warm-start"]["words"] = {k: [nonsense] if k == "notes" else nonsense for k in said}
        report = Report.read(alone(tmp_path / str(i), shown))
        page = check(report.html())
        assert page.badges == before.badges and report.verdict.outcome == outcome
        assert page.values == before.values and page.text.count(nonsense) >= 2


def test_an_outcome_that_is_unknown_is_shown_as_it_is(tmp_path: Path) -> None:
    shown = verdict("faster")
    shown["candidates"]["warm-start"]["outcome"] = "good <b>"
    assert check(Report.read(alone(tmp_path, shown)).html()).badges == [("good <b>", "none")]


def test_several_candidates_have_a_section_each(several: tuple[Path, str]) -> None:
    report, page = Report.read(several[0]), check(several[1])
    answers = evaluated("several").answers
    assert list(report.verdict.candidates) == ["warm-start", "distilled-cold-minibatch"] == list(answers)
    for answer in answers.values():
        assert several[1].split("<body>")[1].count(str(escape(answer.answer))) == 2, "on top, and in its section"
    assert len(page.badges) == 4 and page.text.count("How many baseline calls each call is worth") == 2
    assert page.text.count("What the draft adds") == 1, "only warm has a control"
    assert {"gain of warm-start", "gain of distilled-cold-minibatch", "start effect of warm-start"} <= set(
        report.figures
    )
    assert "start effect of distilled-cold-minibatch" not in report.figures


# ---------------------------------------------------------------- numbers


def test_numbers_on_the_page_are_those_of_the_file(several: tuple[Path, str]) -> None:
    page, raw = check(several[1]), written("several")
    for curve in raw["curves"]:
        for point in curve["points"]:
            assert point["calls"] in page.values and point["steps"] in page.values
            for name, numbers in point["metrics"].items():
                assert numbers["distance"] in page.values, (curve["name"], name)
                assert numbers["n_eq"] is None or numbers["n_eq"] in page.values
                assert words.number(numbers["distance"], 1000) in page.text
            assert point["copies"][0] in page.values
    for candidate in raw["candidates"].values():
        for row in candidate["rows"]:
            assert row["rate"] is None or row["rate"] in page.values
            assert all(g["estimate"] in page.values and g["limit"] in page.values for g in row["guards"])
        for target in candidate["targets"]:
            assert target["n_eq"] in page.values
        for gains in (*candidate["gains"].values(), *candidate["start_effect"].values()):
            assert all(g["estimate"] in page.values for g in gains)
    for value in (0.41, 0.71, 0.4, 3.2, 65.0, 0.0107, 0.0203):
        assert value in page.values
    assert "41 % never chosen" in page.text and "Against twice the training: 1.5." in page.text


def test_class_variation_is_the_total_variation_to_the_test_set(several: tuple[Path, str]) -> None:
    page, raw = check(several[1]), written("several")
    shares = np.array(raw["shares"])
    for curve in raw["curves"]:
        for point in curve["points"]:
            expected = 0.5 * np.abs(np.array(point["classes"]) - shares).sum()
            assert min(abs(v - expected) for v in page.values) < 1e-12


def test_infinite_numbers_are_said(tmp_path: Path) -> None:
    """No baseline within the horizon: the rate is infinite, which the file writes as null."""
    shown = verdict("nearer")
    quoted = shown["candidates"]["warm-start"]["exchange"]
    assert quoted["baseline_calls"] is None and quoted["rate"] is None
    text = check(Report.read(alone(tmp_path, shown)).html()).text
    assert "more than 1" in text and "none within 16 calls" in text and "none is as good" in text
    shown["candidates"]["warm-start"]["quality"] = {"estimate": None, "low": 40.0, "high": None}
    assert "40 to ∞" in check(Report.read(alone(tmp_path, shown)).html()).text


# ---------------------------------------------------------------- figures


def lines(figure: Figure) -> dict[str, Any]:
    return {
        str(line.get_label()): line for line in figure.axes[0].get_lines() if not str(line.get_label()).startswith("_")
    }


def test_the_curves_carry_the_rows(several: tuple[Path, str]) -> None:
    run = folder.read(several[0])
    figure = quality.quality(run)
    assert figure is not None
    drawn, cap = lines(figure), figure.axes[0].get_ylim()[1]
    for curve in written("several")["curves"]:
        points = [p for p in curve["points"] if p["calls"] > 0]
        values = [p["metrics"]["pixels"]["n_eq"] for p in curve["points"]]
        expected = np.minimum([math.inf if v is None else v for v in values], cap)
        line = drawn[curve["name"]]
        if curve["role"] == "start":
            np.testing.assert_allclose(np.asarray(line.get_ydata()), expected[0])
            continue
        np.testing.assert_allclose(np.asarray(line.get_xdata()), [p["calls"] for p in points])
        np.testing.assert_allclose(np.asarray(line.get_ydata()), expected)
        assert (line.get_linestyle() == "--") == (curve["role"] == "control"), curve["name"]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_infinite_and_huge_qualities_stand_at_the_top_edge_as_arrows(tmp_path: Path) -> None:
    shown = verdict("faster")
    cold, warm = (next(c for c in shown["curves"] if c["name"] == name) for name in ("cold", "warm-start"))
    for point, distance in zip(warm["points"], (0.01, 0.001, -0.001, 1e-9, 0.0), strict=True):
        scatter = shown["metrics"][0]["scatter"]
        numbers = point["metrics"]["values"]
        numbers |= {"distance": distance, "n_eq": scatter / distance if distance > 0 else None}
    assert cold["points"][0]["metrics"]["values"]["n_eq"] < 100
    figure = quality.quality(folder.read(alone(tmp_path, shown)))
    assert figure is not None
    ax = figure.axes[0]
    cap = ax.get_ylim()[1]
    arrows = [line for line in ax.get_lines() if line.get_marker() == "^" and len(np.asarray(line.get_xdata()))]
    tips = {(x, y) for line in arrows for x, y in np.asarray(line.get_xydata())}
    assert {(4.0, cap), (8.0, cap), (16.0, cap)} <= tips and not {x for x, _ in tips} & {1.0, 2.0}
    assert cap <= 4 * shown["test"], "one huge number does not press the others to the floor"


def test_the_quoted_row_and_its_exchange_are_marked(tmp_path: Path) -> None:
    shown = verdict("faster")
    figure = quality.quality(folder.read(alone(tmp_path, shown)))
    assert figure is not None
    quoted = shown["candidates"]["warm-start"]["exchange"]
    rings = [line for line in figure.axes[0].get_lines() if line.get_markersize() == 11]
    assert [float(np.asarray(r.get_xdata())[0]) for r in rings] == [quoted["calls"], quoted["row_calls"]]
    assert any(words.number(quoted["rate"]) + " ×" == t.get_text() for t in figure.axes[0].texts)


def test_a_metric_without_n_eq_is_drawn_in_its_own_unit(tmp_path: Path) -> None:
    found = planted.in_its_own_unit(evaluated("faster"))
    save_evaluation(tmp_path, found)
    run = folder.read(tmp_path)
    figure = quality.quality(run)
    assert figure is not None and "lower is better" in figure.axes[0].get_ylabel()
    curve = next(c for c in run.verdict.json["curves"] if c["name"] == "cold")
    expected = [p["metrics"]["values"]["distance"] for p in curve["points"]]
    np.testing.assert_allclose(np.asarray(lines(figure)["cold"].get_ydata()), expected)
    text = check(Report.read(tmp_path).html()).text
    assert "Lower is better" in text and "squared units" in text and "n_eq on values" not in text


def test_figures_are_matplotlib_and_leave_pyplot_alone(tmp_path: Path) -> None:
    import sys

    both = {
        "calls",
        "samples",
        "loss",
        "gain of warm-start",
        "gain of distilled-cold-minibatch",
        "start effect of warm-start",
    }
    for kind, more in (("images", set()), ("points", {"trajectories"})):
        found = Report.read(make(tmp_path / kind, kind)).figures
        assert set(found) == both | more, "ready samples have no seconds"
        assert all(isinstance(f, Figure) for f in found.values())
    timed = verdict("faster")
    for point in (p for curve in timed["curves"] for p in curve["points"]):
        point["seconds"] = 1e-4 * point["calls"]
    assert set(Report.read(alone(tmp_path / "timed", timed)).figures) == {"calls", "seconds", "gain"}
    plot = sys.modules.get("matplotlib.pyplot")
    assert plot is None or not plot.get_fignums()


@given(st.lists(st.floats(0, 1), max_size=9), st.floats(0.01, 0.3))
def test_labels_stand_apart_and_in_order(places: list[float], gap: float) -> None:
    """At least the gap apart (or evenly, where they do not fit), within the axes, in the order of the lines."""
    found = spread(places, gap, 0.0, 1.0)
    ranked = [found[i] for i in sorted(range(len(places)), key=lambda i: places[i])]
    least = min(gap, 1 / max(len(places) - 1, 1))
    assert all(b - a >= least - 1e-9 for a, b in zip(ranked, ranked[1:], strict=False))
    assert all(-1e-9 <= y <= 1 + 1e-9 for y in found)


def test_labels_that_do_not_collide_stay_where_they_are() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.9, 0.1, 0.5])
    assert spread([0.5, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.45, 0.55])


def test_what_is_not_judged_stands_beside(tmp_path: Path) -> None:
    """Every number of ``beside`` is in the table, and the frontier's lines pass through nats and entropy of the rows."""
    shown = verdict("faster")
    for curve in shown["curves"]:
        for i, point in enumerate(curve["points"]):
            point["beside"] = {frontier.NATS: 0.125 * i, frontier.ENTROPY: -0.25 * i, "odd <b>": 7.0 + i}
    made = alone(tmp_path / "a", shown)
    page = check(Report.read(made).html())
    assert "odd <b>" in page.text and {7.0 + i for i in range(5)} <= set(page.values)
    figure = frontier.frontier(folder.read(made))
    assert figure is not None
    drawn = {tuple(p) for line in figure.axes[0].lines for p in np.asarray(line.get_xydata())}
    assert {(-0.25 * i, 0.125 * i) for i in range(1, 5)} <= drawn
    assert frontier.frontier(folder.read(alone(tmp_path / "b", verdict("faster")))) is None


def test_the_page_opens_with_few_samples(several: tuple[Path, str]) -> None:
    """Real, draft, each candidate at its quoted calls and the baseline that is best there; the rest is folded away."""
    from warmflow.report.picture_names import opening

    assert opening(folder.read(several[0])) == [
        "real",
        "draft",
        "warm-start.2",
        "cold-minibatch.2",
        "distilled-cold-minibatch.2",
    ]
    top, rest = several[1].split("More samples")
    assert top.count("<img") == 5 and rest.count("<img") == 3 and "the draft alone" in top


# ---------------------------------------------------------------- names and roles


NAMES = {
    "warm-start": "my own $model$", "distilled-cold-minibatch": "cold", "cold": "warm.4", "cold-minibatch": "student of <nobody>",
    "warm-start from noise": "_hidden", "start of warm-start": "real-ish",
}  # fmt: skip


def renamed(value: Any) -> Any:
    """The verdict with every method under another name: one that says nothing, or the opposite."""
    if isinstance(value, dict):
        return {NAMES.get(k, k): renamed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v) for v in value]
    return NAMES.get(value, value) if isinstance(value, str) else value


@functools.cache
def three() -> dict[str, Any]:
    """Three candidates; the last two have equal titles, and so have their starts."""
    shown = verdict("several")
    first = "warm-start"
    for i, name in enumerate(("warm-start-2", "anything at all"), start=2):
        shown["candidates"][name] = copy.deepcopy(shown["candidates"][first])
        for role in ("candidate", "start", "control"):
            curve = next(c for c in shown["curves"] if c["role"] == role and first in (c["name"], c["of"]))
            made = {**copy.deepcopy(curve), "name": name if role == "candidate" else f"{name}, {role}"}
            shown["curves"].append({**made, "of": "" if role == "candidate" else name})
        assert len(shown["candidates"]) == i + 1
    del shown["candidates"]["distilled-cold-minibatch"]
    return shown


def test_nothing_follows_from_a_name(tmp_path: Path) -> None:
    """Under other names the methods keep their colours, lines, order and numbers."""
    shown = verdict("several")
    before, after = (folder.read(alone(tmp_path / n, v)) for n, v in (("a", shown), ("b", renamed(shown))))
    known = roles.looks(before.verdict)
    assert {NAMES[name]: look for name, look in known.items()} == roles.looks(after.verdict)
    drawn = [quality.quality(run) for run in (before, after)]
    styles = [[(x.get_color(), x.get_linestyle(), x.get_marker()) for x in f.axes[0].get_lines()] for f in drawn if f]
    assert styles[0] == styles[1]
    assert [m.role for m in before.verdict.methods] == [m.role for m in after.verdict.methods]


def test_methods_of_free_names_have_a_page(tmp_path: Path) -> None:
    path = make(tmp_path, shown=renamed(verdict("several")))
    shape = (12, 1, 8, 8)
    made = {n: np.zeros(shape, np.float32) for n in ("real", "my own $model$.2", "warm.4.2", "cold.1", "real-ish.0")}
    save_file(made, str(path / "pictures.safetensors"))
    report = Report.read(path)
    page = check(report.html())
    for name in NAMES.values():
        assert report.verdict.title(name) in page.text
    assert {"gain of my own $model$", "gain of cold", "start effect of my own $model$"} <= set(report.figures)
    assert "Dashed: the same recipe from noise." in page.text and "Dotted: the start alone" in page.text


def test_colours_follow_from_roles(several: tuple[Path, str]) -> None:
    """Candidates have warm hues, baselines cool ones, a start is green, a control is its candidate's colour, dashed."""
    run = folder.read(several[0])
    known = roles.looks(run.verdict)

    def hue(name: str) -> float:
        rgb = [int(known[name].colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return 360 * colorsys.rgb_to_hls(*rgb)[0]

    for method in run.verdict.methods:
        if method.role == "candidate":
            assert hue(method.name) < 60 or hue(method.name) > 310
        elif method.role == "baseline":
            assert 180 < hue(method.name) < 290
        elif method.role == "start":
            assert 80 < hue(method.name) < 170
        else:
            assert known[method.name] == roles.Look(known[method.of].colour, "o", True)


@pytest.mark.parametrize("role", ["candidate", "baseline", "start", "shown"])
def test_any_number_of_methods_have_colours_of_their_own(role: str) -> None:
    shown = {"curves": [{"name": f"m{i}", "role": role, "points": []} for i in range(60)]}
    known = roles.looks(parse(shown))
    assert len({look.colour for look in known.values()}) == 60
    assert {look.marker for look in known.values()} == set(roles.MARKERS)


DEFICIENCIES = {  # Machado, Oliveira, Fernandes, 2009, severity 1, on linear RGB
    "none": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
}
OKLAB = (
    np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]),
    np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]),
)


@pytest.mark.parametrize("seen", sorted(DEFICIENCIES))
def test_the_first_colours_differ_for_colour_blind_readers(seen: str) -> None:
    """Three candidates and three baselines: distances of at least 0.08 in OKLab, about four just noticeable differences."""
    every = [roles.HUES[role].at(i) for role in ("candidate", "baseline") for i in range(3)]
    places = []
    for colour in every:
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        places.append(OKLAB[1] @ np.cbrt(OKLAB[0] @ np.clip(DEFICIENCIES[seen] @ linear, 0, 1)))
    apart = [np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i]]
    assert min(apart) >= 0.08


def test_three_candidates_are_told_apart(tmp_path: Path) -> None:
    """Equal titles get their labels beside them; each candidate has its own section, figure and look."""
    report = Report.read(make(tmp_path, shown=three()))
    shown, page = report.verdict, check(report.html())
    assert list(shown.candidates) == ["warm-start", "warm-start-2", "anything at all"]
    titles = [m.title for m in shown.methods]
    assert len(set(titles)) == len(titles)
    known = roles.looks(shown)
    assert len({known[name].colour for name in shown.candidates}) == 3
    assert "3 candidates, each against every baseline" in page.text
    for name in shown.candidates:
        assert page.text.count(f"{shown.title(name)[1:]}:") >= 1 and f"gain of {name}" in report.figures
        control = next(m for m in shown.methods if m.role == "control" and m.of == name)
        assert known[control.name] == roles.Look(known[name].colour, "o", True)
    assert not quality.banded(shown) and len(quality.banded(shown, "warm-start-2")) == 2
    assert "Shaded" in page.text


def test_methods_are_described_by_the_configuration(several: tuple[Path, str]) -> None:
    """A sentence that methods share is said once; a control is described by its role."""
    text = check(several[1]).text
    assert "Cold, cold minibatch: A flow from noise." in text and "Warm start: A flow from a draft." in text
    assert "The recipe of warm start, pairing included, with noise in place of its draft." in text
    assert "Warning: few latents <i>" in text and "What warm start starts from" in text


@pytest.mark.parametrize("n", [0.04, 3.14159, 9.99, 12.34, 37.6, 99.7, 604.2, 1384.0, 250_000.0])
def test_sentences_and_reports_round_alike(n: float) -> None:
    assert words.equivalent(n) == rounding.rounded(n)


def test_texts_stand_below_the_drafts_they_started_from(tmp_path: Path) -> None:
    """Each candidate's texts are compared with its own drafts; methods from noise stand apart."""
    shown = renamed(verdict("several"))
    config = {"data": {"kind": "tokens", "symbols": ["a", "b", "c"]}}
    path = make(tmp_path, config=config, shown=shown)
    drafts = np.zeros((3, 8), np.int64)
    refined = drafts.copy()
    refined[:, 2:4] = 1
    made = {"real-ish.0": drafts, "my own $model$.4": refined, "warm.4.16": drafts + 2, "real": drafts + 1}
    save_file(made, str(path / "pictures.safetensors"))
    blocks = texts.side_by_side(folder.read(path))
    assert len(blocks) == 4
    own = blocks[0][1]
    assert own.caption.endswith("25 % changed") and own.texts[0] == [("aa", False), ("bb", True), ("aaaa", False)]
    assert [line.texts[0][0][0] for line in blocks[3]] == ["bbbbbbbb", "cccccccc"]


# ---------------------------------------------------------------- the page


def test_a_page_needs_no_other_file(several: tuple[Path, str]) -> None:
    page = check(several[1])
    for heading in ("How to read this", "Samples", "Every row", "Gain at equal calls", "Guards", "Calls for qualities", "Audit",
                    "One-off costs", "Choice of solvers", "Training", "How it was made", "Versions"):  # fmt: skip
        assert heading in page.text
    assert "Trajectories" not in page.text and '<img class="pixels"' in several[1]


def test_points_and_their_trajectories(tmp_path: Path) -> None:
    report = Report.read(make(tmp_path, "points", shown=verdict("faster")))
    page = check(report.html())
    assert "Trajectories" in page.text and '<img class="pixels"' not in report.html()
    assert report.html() == Report.read(tmp_path).html(), "one folder gives one page"


def test_an_evaluation_folder_needs_no_configuration(tmp_path: Path) -> None:
    page = check(Report.read(alone(tmp_path, verdict("faster"))).html())
    assert page.badges == [("fewer calls", "good")] and "warmflow.evaluate(" in page.text
    (tmp_path / "config.json").write_text(json.dumps({"kind": "evaluate", "command": "warmflow evaluate --real a"}))
    assert "warmflow evaluate --real a" in check(Report.read(tmp_path).html()).text


EVIL = "<script>alert('x')</script>\"&$a$"


def hostile(value: Any) -> Any:
    """Every text of a verdict replaced, keys that are names included."""
    if isinstance(value, dict):
        names = {"candidates", "gains", "start_effect", "by_metric", "bill", "beside", "metrics", "distances", "audit"}
        return {k: {EVIL + str(n): hostile(v) for n, v in x.items()} if k in names and isinstance(x, dict) else hostile(x)
                for k, x in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return EVIL + value if isinstance(value, str) else value


def test_strings_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = hostile(verdict())
    for curve in shown["curves"]:
        curve["role"] = curve["role"].removeprefix(EVIL)
    settings = {
        "recipe": EVIL,
        "settings": {EVIL: EVIL},
        "device": EVIL,
        "versions": {EVIL: EVIL},
        "command": EVIL,
        "notes": [EVIL],
    }
    save = make(tmp_path, config=settings, shown=shown)
    save_file(
        {**pictures("images"), f"warm-start.{EVIL[1:8]}": np.zeros((2, 1, 8, 8), np.float32)},
        str(save / "pictures.safetensors"),
        {"real": EVIL},
    )
    report = Report.read(save)
    page = check(report.html())
    assert page.text.count("alert('x')") > 100 and "<script" not in report.html()
    assert any("alert" in t.get_text() for t in report.figures["calls"].axes[0].texts), "the labels are drawn"
    monkeypatch.setattr(drawing, "svg", lambda figure, prefix, label: Markup("<svg></svg>"))
    check(gather([save, save]))
    check(report._repr_html_())


@pytest.mark.parametrize(
    "where", ["top", "candidate", "exchange", "row", "curve", "point", "numbers", "metric", "words"]
)
@pytest.mark.parametrize("how", ["missing", "null", "odd"])
@pytest.mark.usefixtures("undrawn")
def test_every_key_of_the_verdict_may_be_absent(tmp_path: Path, where: str, how: str) -> None:
    def part(shown: dict[str, Any]) -> dict[str, Any]:
        candidate, curve = shown["candidates"]["warm-start"], shown["curves"][1]
        found: dict[str, Any] = {
            "top": shown, "candidate": candidate, "exchange": candidate["exchange"], "row": candidate["rows"][0],
            "curve": curve, "point": curve["points"][0], "numbers": curve["points"][0]["metrics"]["values"],
            "metric": shown["metrics"][0], "words": candidate["words"],
        }[where]  # fmt: skip
        return found

    for key in part(verdict("faster")):
        if key == "version":
            continue
        shown = verdict("faster")
        if how == "missing":
            del part(shown)[key]
        else:
            part(shown)[key] = None if how == "null" else [{}, 3, None]
        report = Report.read(alone(tmp_path, shown))
        check(report.html())
        assert report.verdict.claim


def nulled(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: nulled(v) for k, v in value.items()}
    return [nulled(v) for v in value] if isinstance(value, list) else None


def test_nulls_everywhere_and_numbers_that_are_none(tmp_path: Path) -> None:
    check(Report.read(make(tmp_path / "null", shown={**nulled(verdict()), "version": 2})).html())
    check(Report.read(make(tmp_path / "empty", shown={"version": 2})).html())
    for i, odd in enumerate((0.0, -0.001, 1e9, 1e-30, math.nan, math.inf)):
        shown = verdict("faster")
        for curve in shown["curves"]:
            for point in curve["points"]:
                point["metrics"]["values"] = dict.fromkeys(point["metrics"]["values"], odd)
        folder = alone(tmp_path / str(i), shown)
        if math.isfinite(odd):
            check(Report.read(folder).html())
        else:  # JSON has no such values, and warmflow writes none
            with pytest.raises(ValueError, match="no JSON"):
                Report.read(folder)


def test_a_bare_configuration_is_enough(tmp_path: Path) -> None:
    config = {"warmflow": CONFIG["warmflow"], "kind": "compare"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    report = Report.read(tmp_path)
    assert report.figures == {} and "not finished" in report.verdict.claim and report.verdict.outcome == ""
    assert check(report.html()).badges == [("not finished", "none")]
    (tmp_path / "config.json").write_text(
        json.dumps({**config, **dict.fromkeys(("data", "settings", "seeds", "notes"))})
    )
    check(Report.read(tmp_path).html())


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 3, 40, 30), (2, 4, 1200, 16), (100, 2, 5, 5)])
def test_images_of_any_size(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from warmflow.report.pictures import grid

    make(tmp_path, shown=verdict("no faster"))
    images = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    save_file({"real": images, "warm-start.4": images * np.float32("nan")}, str(tmp_path / "pictures.safetensors"))
    check(Report.read(tmp_path).html())
    sheet = grid(images)
    first = np.clip((images[0, 0].astype(np.float64) + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(sheet[: shape[2], : shape[3], 0], first)


def test_a_training_run(tmp_path: Path) -> None:
    asked = {**ASKED, "kind": "run", "method": WARM, "seed": 4}
    (tmp_path / "config.json").write_text(
        json.dumps({**CONFIG, "kind": "run", "asked": asked, "methods_described": None})
    )
    (tmp_path / "log.jsonl").write_text("".join(f'{{"step": {i}, "loss": {2 - i / 9}}}\n' for i in range(9)))
    report = Report.read(tmp_path)
    assert set(report.figures) == {"loss"}
    page = check(report.html())
    text = page.text
    assert page.badges == [("training", "none")] and report.verdict.candidates == {}
    assert "Training run: warm-start on digits" in text and "warmflow train digits" in text and "--updates 3000" in text


@pytest.mark.usefixtures("undrawn")
def test_runs_side_by_side(tmp_path: Path) -> None:
    """A line for each candidate of each run, with its own badge."""
    one, two = make(tmp_path / "a"), make(tmp_path / "b", "points", shown=verdict("no faster"))
    page = check(gather([one, two]))
    assert "2 runs side by side" in page.text and "Trajectories" in page.text
    assert [b for b, _ in page.badges[:3]] == ["fewer calls", "fewer calls", "no faster"]
    for outcome in ("several", "no faster"):
        assert all(answer.answer in page.text for answer in evaluated(outcome).answers.values())
    with pytest.raises(ValueError, match="at least one run folder"):
        gather([])


def test_a_notebook_shows_the_report_without_touching_its_own_style(tmp_path: Path) -> None:
    shown = Report.read(make(tmp_path, shown=verdict("no faster")))._repr_html_()
    check(shown)
    style = re.sub(r"@media[^{]*\{", "", re.findall(r"<style>(.*?)</style>", shown, re.DOTALL)[0])
    selectors = [s.strip() for rule in re.findall(r"([^{}]+)\{", style) for s in rule.split(",")]
    assert selectors and all(s.startswith(".warmflow") for s in selectors)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "config.json"),
        ('{"warmflow": "0.', "half-written"),
        ("[1]", "holds a list"),
        ({"kind": "song"}, "none of 'compare', 'run', 'evaluate'"),
        ({"kind": "compare"}, "does not name the version"),
    ],
)
def test_a_folder_that_is_no_run(tmp_path: Path, config: Any, says: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(ValueError, match=says) as error:
        Report.read(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_no_folder_and_half_written_parts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        Report.read(tmp_path / "none")
    for name in ("verdict.json", "pictures.safetensors"):
        path = make(tmp_path / name) / name
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(ValueError, match="half-written") as error:
            Report.read(path.parent)
        assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("version", [None, 1, 3, "2"])
def test_a_verdict_of_another_version_is_refused(tmp_path: Path, version: Any) -> None:
    shown = {k: v for k, v in verdict("faster").items() if k != "version"}
    path = alone(tmp_path, shown if version is None else {**shown, "version": version})
    with pytest.raises(ValueError, match="this warmflow reads version 2: run the same command again") as error:
        Report.read(path)
    assert "verdict.json" in str(error.value) and "\n" not in str(error.value)


def test_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "__version__", "0.3.1")
    Report.read(make(tmp_path, config={"warmflow": "0.3.0"}))
    with pytest.raises(ValueError, match="written by warmflow 0.2.0, this is 0.3.1: install"):
        Report.read(make(tmp_path, config={"warmflow": "0.2.0"}))


def test_saving_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report.read(make(tmp_path / "run", shown=verdict("no faster")))
    assert report.save(tmp_path / "new" / "out") == tmp_path / "new" / "out" / "report.html"
    file = report.save(tmp_path / "page.html")
    assert file.read_text(encoding="utf-8") == report.html()

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left on device.*give another path"):
        write("half", file)
    assert file.read_text(encoding="utf-8") == report.html()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "page.html", "run"], "nothing is left behind"
    with pytest.raises(OSError, match="give another path"):
        report.save(file / "below")


def again(config: Any, *candidates: str) -> str:
    return " ".join(remake.lines(folder.configured(config), candidates))


def test_the_command_that_makes_it_again() -> None:
    """Every option that is not null, each under its own prefix; options of speed and empty ones are left out."""
    assert again(CONFIG, "warm-start") == (
        "warmflow compare digits --methods warm-start --warm-start.pairing whole-set --warm-start.rounds 64 "
        "--warm-start.draft mixture --warm-start.sigma 0.3 --warm-start.seen --calls 1,2,4 --samples 500 --seeds 3 --data-seed 0 "
        "--updates 3000 --learning-rate 0.002 --no-conditional"
    )
    run = {"kind": "run", "asked": {**ASKED, "kind": "run", "method": WARM, "seed": 4, "device": "cuda"}}
    assert again(run).startswith("warmflow train digits --method warm-start --warm-start.pairing whole-set")
    assert "--seed 4" in again(run) and again(run).endswith("--no-conditional --device cuda")
    assert "--updates" not in again({**CONFIG, "asked": {**ASKED, "minutes": 5}}, "warm-start")
    given = {**CONFIG, "methods_given": ["warm-start", "cold"]}
    assert "--methods warm-start,cold " in again(given, "warm-start") and "--cold.start noise" in again(
        given, "warm-start"
    )
    path = {**ASKED, "problem": {"name": "folder", "path": "/my pictures", "size": 16}}
    said = again({**CONFIG, "recipe": "folder:/my pictures", "asked": path}, "warm-start")
    assert (
        said.startswith("warmflow compare 'folder:/my pictures' --methods")
        and "--path" not in said
        and "--size 16" in said
    )
    assert again({**CONFIG, "command": "warmflow demo digits"}) == "warmflow demo digits"
    assert again({**CONFIG, "command": ["warmflow", "demo", "a b"]}) == "warmflow demo 'a b'"
    assert again({"kind": "compare"}) == again({**CONFIG, "asked": None}) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"problem": {"name": "arrays", "data_seed": 0}}, "warmflow.compare(data, [WarmStart(pairing='whole-set'"),
        ({"seeds": [3, 5]}, "seeds=[3, 5]"),
        (
            {"methods": {"warm-start": {**WARM, "draft": {"class": "VAEDraft", "updates": 9}}}},
            "draft=VAEDraft(updates=9)",
        ),
        ({"methods": {"warm-start": WARM, "cold": {"class": "OwnModel"}}}, "problem_of('digits', data_seed=0)"),
        ({"methods": {"warm-start": WARM, "warm-start-2": {**WARM, "sigma": 0.1}}}, "sigma=0.1"),
    ],
)
def test_what_the_command_line_cannot_say_is_said_in_python(changes: dict[str, Any], says: str) -> None:
    said = again({**CONFIG, "asked": {**ASKED, **changes}}, "warm-start", "warm-start-2")
    assert said.startswith("warmflow.compare(") and says in said and "run from Python" in said
    assert "updates=3000" in said and "network" not in said and "compile" not in said


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0312, "0.0312"), (3.1, "3.1"), (-0.99, "−0.99"), (4021, "4,021"), (999.7, "1,000"), (0, "0"), (None, "–"),
     (float("nan"), "–"), (True, "–"), (2e-5, "2.00 × 10⁻⁵"), (3e12, "3.00 × 10¹²")],
)  # fmt: skip
def test_numbers_in_words(value: Any, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(5.2e-5, "52 µs"), (0.00215, "2.15 ms"), (0.4, "400 ms"), (65, "65 s"), (125.4, "2 min 5 s"),
     (7260, "2 h 1 min"), (0, "0 s"), (None, "–")],
)  # fmt: skip
def test_durations_in_words(value: Any, text: str) -> None:
    assert words.duration(value) == text


def test_metrics_in_words() -> None:
    from warmflow.report.verdict import Metric

    assert words.metric_name("mmd_pixels") == "MMD² on pixels × 1,000"
    assert words.metric_name("frechet") == "Fréchet"
    assert Metric("values", scatter=0.5).title == "MMD² on values × 1,000" and Metric("values").title == "values"
    assert Metric("values", scatter=0.5).scale == 1000 and Metric("energy").scale == 1


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, "∞"), (604.2, "600"), (1384, "1,400"), (12.34, "12"), (3.14, "3.1"), (math.nan, "–")]
)
def test_equivalents_in_words(value: float, text: str) -> None:
    assert words.equivalent(value) == text
