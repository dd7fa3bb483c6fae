"""The report says what the folder holds: the same numbers, every string escaped, nothing from outside the file, a badge from the
outcome's value, and no crash for what is missing. Verdicts are of planted methods, so no network is trained."""

from __future__ import annotations

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

from warmflow.evaluation.record import save_evaluation, verdict_json
from warmflow.report import Report, drawing, figures, folder, gather, words, write
from warmflow.report.labels import spread


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
        "settled": {"pixels": {"cold": 0.1, "cold_doubled": 0.09}},
        "answer": "Against twice the training: 1.5.",
    },
    "choices": [{"method": "warm", "chosen": "Euler", "distances": {"Euler": {"2": 0.0107}, "Heun": {"2": 0.0203}}}],
}

CONFIG: dict[str, Any] = {
    "warmflow": folder.installed() or "0.1.0",
    "kind": "compare",
    "recipe": "images.digits",
    "settings": {"updates": 3000, "learning_rate": 0.002, "draft": "gaussian", "assign": True, "steps": [1, 4]},
    "versions": {"python": "3.11", "torch": "2"},
    "device": "cpu",
    "threads": 2,
    "seeds": [0, 1, 2, 3, 4],
    "data": {"name": "digits", "kind": "images", "shape": [1, 8, 8], "classes": ["0", "1"], "notes": {"a": "b"}},
    "started": "2025-01-01T12:00:00",
}


def pictures(kind: str) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    shape = (12, 1, 8, 8) if kind == "images" else (50, 2)
    names = ("real", "draft", "start", "warm.2", "warm.4", "cold.2", "cold_assigned.2", "student.2")
    made = {name: draw.uniform(-1, 1, shape).astype(np.float32) for name in names}
    if kind == "points":
        made |= {f"trajectory.{a}": draw.normal(size=(5, 30, 2)).astype(np.float32) for a in ("warm", "cold")}
    return made


def make(path: Path, kind: str = "images", config: Any = None, shown: Any = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    config = {**copy.deepcopy(CONFIG), **(config or {})}
    config["data"]["kind"] = kind
    (path / "config.json").write_text(json.dumps(config))
    (path / "verdict.json").write_text(json.dumps(written("several") if shown is None else shown))
    save_file(pictures(kind), str(path / "pictures.safetensors"))
    for seed in (0, 1):
        for arm in ("cold", "warm"):
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
    answer = found.answers["warm"]
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
        said = shown["candidates"]["warm"]["words"]
        shown["candidates"]["warm"]["words"] = {k: [nonsense] if k == "notes" else nonsense for k in said}
        report = Report.read(alone(tmp_path / str(i), shown))
        page = check(report.html())
        assert page.badges == before.badges and report.verdict.outcome == outcome
        assert page.values == before.values and page.text.count(nonsense) >= 2


def test_an_outcome_that_is_unknown_is_shown_as_it_is(tmp_path: Path) -> None:
    shown = verdict("faster")
    shown["candidates"]["warm"]["outcome"] = "good <b>"
    assert check(Report.read(alone(tmp_path, shown)).html()).badges == [("good <b>", "none")]


def test_several_candidates_have_a_section_each(several: tuple[Path, str]) -> None:
    report, page = Report.read(several[0]), check(several[1])
    answers = evaluated("several").answers
    assert list(report.verdict.candidates) == ["warm", "student"] == list(answers)
    for answer in answers.values():
        assert several[1].split("<body>")[1].count(str(escape(answer.answer))) == 2, "on top, and in its section"
    assert len(page.badges) == 4 and page.text.count("How many baseline calls each call is worth") == 2
    assert page.text.count("What the draft adds") == 1, "only warm has a control"
    assert {"gain of warm", "gain of student", "start effect of warm"} <= set(report.figures)
    assert "start effect of student" not in report.figures


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
    quoted = shown["candidates"]["warm"]["exchange"]
    assert quoted["baseline_calls"] is None and quoted["rate"] is None
    text = check(Report.read(alone(tmp_path, shown)).html()).text
    assert "more than 1" in text and "none within 16 calls" in text and "none is as good" in text
    shown["candidates"]["warm"]["quality"] = {"estimate": None, "low": 40.0, "high": None}
    assert "40 to ∞" in check(Report.read(alone(tmp_path, shown)).html()).text


# ---------------------------------------------------------------- figures


def lines(figure: Figure) -> dict[str, Any]:
    return {
        str(line.get_label()): line for line in figure.axes[0].get_lines() if not str(line.get_label()).startswith("_")
    }


def test_the_curves_carry_the_rows(several: tuple[Path, str]) -> None:
    run = folder.read(several[0])
    figure = figures.quality(run)
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
    cold, warm = (next(c for c in shown["curves"] if c["name"] == name) for name in ("cold", "warm"))
    for point, distance in zip(warm["points"], (0.01, 0.001, -0.001, 1e-9, 0.0), strict=True):
        scatter = shown["metrics"][0]["scatter"]
        numbers = point["metrics"]["values"]
        numbers |= {"distance": distance, "n_eq": scatter / distance if distance > 0 else None}
    assert cold["points"][0]["metrics"]["values"]["n_eq"] < 100
    figure = figures.quality(folder.read(alone(tmp_path, shown)))
    assert figure is not None
    ax = figure.axes[0]
    cap = ax.get_ylim()[1]
    arrows = [line for line in ax.get_lines() if line.get_marker() == "^" and len(np.asarray(line.get_xdata()))]
    tips = {(x, y) for line in arrows for x, y in np.asarray(line.get_xydata())}
    assert {(4.0, cap), (8.0, cap), (16.0, cap)} <= tips and not {x for x, _ in tips} & {1.0, 2.0}
    assert cap <= 4 * shown["test"], "one huge number does not press the others to the floor"


def test_the_quoted_row_and_its_exchange_are_marked(tmp_path: Path) -> None:
    shown = verdict("faster")
    figure = figures.quality(folder.read(alone(tmp_path, shown)))
    assert figure is not None
    quoted = shown["candidates"]["warm"]["exchange"]
    rings = [line for line in figure.axes[0].get_lines() if line.get_markersize() == 11]
    assert [float(np.asarray(r.get_xdata())[0]) for r in rings] == [quoted["calls"], quoted["row_calls"]]
    assert any(words.number(quoted["rate"]) + " ×" == t.get_text() for t in figure.axes[0].texts)


def test_a_metric_without_n_eq_is_drawn_in_its_own_unit(tmp_path: Path) -> None:
    found = planted.in_its_own_unit(evaluated("faster"))
    save_evaluation(tmp_path, found)
    run = folder.read(tmp_path)
    figure = figures.quality(run)
    assert figure is not None and "lower is better" in figure.axes[0].get_ylabel()
    curve = next(c for c in run.verdict.json["curves"] if c["name"] == "cold")
    expected = [p["metrics"]["values"]["distance"] for p in curve["points"]]
    np.testing.assert_allclose(np.asarray(lines(figure)["cold"].get_ydata()), expected)
    text = check(Report.read(tmp_path).html()).text
    assert "Lower is better" in text and "squared units" in text and "n_eq on values" not in text


def test_figures_are_matplotlib_and_leave_pyplot_alone(tmp_path: Path) -> None:
    import sys

    both = {"calls", "samples", "loss", "gain of warm", "gain of student", "start effect of warm"}
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
            point["beside"] = {figures.NATS: 0.125 * i, figures.ENTROPY: -0.25 * i, "odd <b>": 7.0 + i}
    made = alone(tmp_path / "a", shown)
    page = check(Report.read(made).html())
    assert "odd <b>" in page.text and {7.0 + i for i in range(5)} <= set(page.values)
    figure = figures.frontier(folder.read(made))
    assert figure is not None
    drawn = {tuple(p) for line in figure.axes[0].lines for p in np.asarray(line.get_xydata())}
    assert {(-0.25 * i, 0.125 * i) for i in range(1, 5)} <= drawn
    assert figures.frontier(folder.read(alone(tmp_path / "b", verdict("faster")))) is None


def test_the_page_opens_with_few_samples(several: tuple[Path, str]) -> None:
    """Real, draft, each candidate at its quoted calls and the baseline that is best there; the rest is folded away."""
    from warmflow.report.pictures import opening

    assert opening(folder.read(several[0])) == ["real", "draft", "warm.2", "cold_assigned.2", "student.2"]
    top, rest = several[1].split("More samples")
    assert top.count("<img") == 5 and rest.count("<img") == 3 and "the draft alone" in top


# ---------------------------------------------------------------- the page


def test_a_page_needs_no_other_file(several: tuple[Path, str]) -> None:
    page = check(several[1])
    for heading in ("How to read this", "Samples", "Every row", "Gain at equal calls", "Guards", "Calls for qualities", "Audit",
                    "The bill", "Choice of solvers", "Training", "How it was made", "Versions"):  # fmt: skip
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
        {**pictures("images"), f"warm.{EVIL[1:8]}": np.zeros((2, 1, 8, 8), np.float32)},
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
        candidate, curve = shown["candidates"]["warm"], shown["curves"][1]
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
        check(Report.read(alone(tmp_path / str(i), shown)).html())


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
    save_file({"real": images, "warm.4": images * np.float32("nan")}, str(tmp_path / "pictures.safetensors"))
    check(Report.read(tmp_path).html())
    sheet = grid(images)
    first = np.clip((images[0, 0].astype(np.float64) + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(sheet[: shape[2], : shape[3], 0], first)


def test_a_training_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "kind": "run"}))
    (tmp_path / "log.jsonl").write_text("".join(f'{{"step": {i}, "loss": {2 - i / 9}}}\n' for i in range(9)))
    report = Report.read(tmp_path)
    assert set(report.figures) == {"loss"}
    page = check(report.html())
    text = page.text
    assert page.badges == [("training", "none")] and report.verdict.candidates == {}
    assert "Training run: images.digits" in text and "warmflow train images.digits --updates 3000" in text


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
    monkeypatch.setattr(folder, "installed", lambda: "0.3.1")
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


def test_the_command_that_makes_it_again() -> None:
    from warmflow.report.page import command

    settings = "--updates 3000 --learning-rate 0.002 --draft gaussian --assign --steps 1,4"
    assert command(CONFIG) == f"warmflow compare images.digits {settings}"
    asked = {"steps": [2, 8], "seeds": [0, 1, 2], "kind": "compare"}
    assert command({**CONFIG, "asked": asked}).endswith("--steps 2,8 --seeds 3")
    run = {"kind": "run", "recipe": "toy.moons", "asked": {"arm": "cold", "seed": 4}}
    assert command(run) == "warmflow train toy.moons --arm cold --seed 4"
    for own in ({"recipe": "custom"}, {"asked": {"draft": "own 0123456789abcdef", "steps": [1, 2], "seeds": [0, 3]}}):
        said = command({**CONFIG, **own})
        assert said.startswith("warmflow.compare(data=..., draft=...") and "mixture" not in said
    assert "steps=[1, 2], seeds=[0, 3]" in said
    assert command({**CONFIG, "command": "warmflow demo digits"}) == "warmflow demo digits"
    assert command({**CONFIG, "command": ["warmflow", "demo", "a b"]}) == "warmflow demo 'a b'"


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
    ("value", "text"), [(math.inf, "∞"), (604.2, "600"), (1384, "1,400"), (12.34, "12.3"), (math.nan, "–")]
)
def test_equivalents_in_words(value: float, text: str) -> None:
    assert words.equivalent(value) == text
