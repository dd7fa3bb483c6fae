"""The report says what the run folder holds: the same numbers, every string escaped, nothing from outside the file,
and no crash for what is missing. Folders here are synthetic, so no network is trained."""

from __future__ import annotations

import copy
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from safetensors.numpy import save_file

from warmflow.report import Report, folder, gather, words, write

ROWS: list[dict[str, Any]] = [
    {"arm": "real", "solver": "", "steps": 0, "calls": 0.0, "seconds": 0.0, "distance": 0.0000412, "low": -0.0002},
    {"arm": "draft", "solver": "", "steps": 0, "calls": 0.0, "seconds": 3.1e-6, "distance": 0.0302, "low": 0.028},
    {"arm": "cold", "solver": "euler", "steps": 4, "calls": 4.0, "seconds": 2e-4, "distance": 0.0177, "low": 0.016},
    {"arm": "cold", "solver": "heun", "steps": 10, "calls": 19.0, "seconds": 1e-3, "distance": 0.0043, "low": 0.0039},
    {"arm": "cold_assigned", "solver": "heun", "steps": 20, "calls": 39.0, "seconds": 2e-3, "distance": 0.00411},
    {"arm": "warm", "solver": "euler", "steps": 1, "calls": 1.0, "seconds": 6e-5, "distance": 0.0089, "low": 0.008},
    {"arm": "warm", "solver": "euler", "steps": 4, "calls": 4.0, "seconds": 2.1e-4, "distance": 0.00312, "low": 0.003},
]
for _row in ROWS:
    _row.setdefault("low", _row["distance"] * 0.9)
    _row.update(high=_row["distance"] * 1.1, variation=0.1187, copying=0.6123, seconds_single=0.0123)
    _row["distances"] = {"mmd_pixels": _row["distance"], "mmd_classifier": _row["distance"] * 0.7}

VERDICT: dict[str, Any] = {
    "claim": "warm is as good as cold in 9.75 times fewer calls, 9.5 times less time",
    "holds": True,
    "margin": 0.00045,
    "metric": {"name": "mmd_pixels"},
    "samples": 500,
    "factor_calls": 9.75,
    "factor_seconds": 9.5,
    "difference": {"estimate": -0.00099, "low": -0.0015, "high": -0.0004, "level": 0.95},
    "rows": ROWS,
    "audit": {
        "assignment": {"never_chosen": 0.0, "effective_sample_size": 1.0, "explained": 0.71, "flags": []},
        "nearest": {"never_chosen": 0.41, "variation": 0.21, "mean_cost": 9.9, "flags": ["41 % never chosen"]},
    },
    "seeds": [0, 1, 2, 3, 4],
    "guards": {"copying": {"share": 0.031, "passed": True}, "variation": {"warm": {"passed": False}}, "samples": True},
    "reference": {"arm": "cold_assigned", "solver": "heun", "steps": 20},
    "trained": "equal training",
    "bill": {"cold": 65.0, "warm": 67.5, "draft": 0.4, "pairing": 3.2, "break_even_samples": 4021},
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
    "margins": {"mmd_pixels": 0.00045},
    "data": {"name": "digits", "kind": "images", "shape": [1, 8, 8], "classes": ["0", "1"], "notes": {"a": "b"}},
    "started": "2025-01-01T12:00:00",
}


def pictures(kind: str) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    shape = (12, 1, 8, 8) if kind == "images" else (50, 2)
    names = ("real", "draft", "start", "warm.1", "warm.4", "cold.20")
    made = {name: draw.uniform(-1, 1, shape).astype(np.float32) for name in names}
    if kind == "points":
        made |= {f"trajectory.{a}": draw.normal(size=(5, 30, 2)).astype(np.float32) for a in ("warm", "cold")}
    return made


def make(path: Path, kind: str = "images", config: Any = None, verdict: Any = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    config = {**copy.deepcopy(CONFIG), **(config or {})}
    config["data"]["kind"] = kind
    (path / "config.json").write_text(json.dumps(config))
    (path / "verdict.json").write_text(json.dumps({**VERDICT, **(verdict or {})}))
    save_file(pictures(kind), str(path / "pictures.safetensors"))
    for seed in (0, 1):
        for arm in ("cold", "warm"):
            log = path / "seeds" / str(seed) / arm / "log.jsonl"
            log.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps({"step": i, "loss": 1 / (i + 1), "samples_per_second": 9e3}) for i in range(50)]
            log.write_text("\n".join(lines) + '\n{"step": 50, "lo')  # still being written
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
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
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
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
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


@pytest.mark.parametrize("kind", ["images", "points"])
def test_a_page_needs_no_other_file(tmp_path: Path, kind: str) -> None:
    report = Report.read(make(tmp_path, kind))
    page = check(report.html())
    assert "Warm is as good as cold in 9.75 times" in page.text
    for heading in ("Samples", "Every row", "Guards", "Audit", "The bill", "Training", "How it was made", "Versions"):
        assert heading in page.text
    assert ("Trajectories" in page.text) == (kind == "points")
    assert "image-rendering:pixelated" in report.html()
    assert report.html() == Report.read(tmp_path).html(), "one folder gives one page"


def test_figures_are_matplotlib_and_leave_pyplot_alone(tmp_path: Path) -> None:
    import sys

    for kind, more in (("images", set()), ("points", {"trajectories"})):
        figures = Report.read(make(tmp_path / kind, kind)).figures
        assert set(figures) == {"calls", "seconds", "samples", "loss"} | more
        assert all(isinstance(f, Figure) for f in figures.values())
    plot = sys.modules.get("matplotlib.pyplot")
    assert plot is None or not plot.get_fignums()


def test_the_curves_carry_the_rows(tmp_path: Path) -> None:
    ax = Report.read(make(tmp_path)).figures["calls"].axes[0]
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["warm, Euler"].get_xdata(), [1, 4])
    np.testing.assert_allclose(np.asarray(lines["warm, Euler"].get_ydata()), [8.9, 3.12])
    np.testing.assert_allclose(np.asarray(lines["draft alone"].get_ydata()), 30.2)
    assert any(np.allclose(np.asarray(line.get_ydata()), 4.11 + 0.45) for line in ax.get_lines()), "cold plus margin"


def test_numbers_on_the_page_are_those_of_the_file(tmp_path: Path) -> None:
    page = check(Report.read(make(tmp_path)).html())
    for row in ROWS:
        keys = ["seconds", "distance", "variation", "copying"]
        keys += ["steps", "calls"] if row["arm"] not in ("real", "draft") else []
        for key in keys:
            assert row[key] in page.values, (row["arm"], key)
        assert words.number(row["distance"], 1000) in page.text
        assert row["distances"]["mmd_classifier"] in page.values
    for value in (0.41, 0.71, 65.0, 67.5, 3.2):
        assert value in page.values
    assert "4,021 samples" in page.text and "9.75 ×" in page.text and "−0.99" in page.text


def test_what_is_not_judged_stands_beside(tmp_path: Path) -> None:
    """Every number of ``beside`` is in the table, and the frontier's lines pass through nats and entropy of the rows."""
    from warmflow.report import figures

    verdict, rows = copy.deepcopy(VERDICT), []
    for i, row in enumerate(ROWS):
        beside = {figures.NATS: 0.125 * i, figures.ENTROPY: -0.25 * i, "odd <b>": 7.0 + i}
        rows.append({**row, "beside": beside})
    made = make(tmp_path, verdict={**verdict, "rows": rows})
    run, page = folder.read(made), check(Report.read(made).html())
    assert "odd <b>" in page.text
    for i in range(len(ROWS)):
        assert 7.0 + i in page.values
    figure = figures.frontier(run)
    assert figure is not None
    drawn = {tuple(p) for line in figure.axes[0].lines for p in np.asarray(line.get_xydata())}
    assert {(-0.25 * i, 0.125 * i) for i in range(1, len(ROWS))} <= drawn
    assert figures.frontier(folder.read(make(tmp_path / "images"))) is None


def test_best_cold_and_winner() -> None:
    view = folder.Verdict("x", True, rows=tuple(ROWS), factor_calls=9.75, reference=VERDICT["reference"])
    assert view.best_cold is ROWS[4] and view.winner is ROWS[6]
    other = folder.Verdict("x", True, rows=tuple(ROWS), reference={"arm": "cold", "solver": "heun", "steps": 10})
    assert other.best_cold is ROWS[3] and other.winner is None
    assert folder.Verdict("x", rows=tuple(ROWS)).best_cold is ROWS[4], "without a reference: the least distance"


def test_the_tiles_set_the_winner_beside_the_row_that_the_factor_divides(tmp_path: Path) -> None:
    """Cold's best row may cost more than the fewest calls at which cold is as good: the factor is of the latter."""
    keys = ("arm", "solver", "steps")
    cold, warm = ({k: ROWS[i][k] for k in keys} for i in (3, 6))
    made = make(tmp_path, verdict={"cold": cold, "warm": warm, "factor_calls": 4.75, "factor_seconds": 1e-3 / 2.1e-4})
    verdict = folder.read(made).verdict
    assert verdict.fewest_cold == ROWS[3] and verdict.winner == ROWS[6] and verdict.best_cold == ROWS[4]
    text = check(Report.read(made).html()).text
    assert "4 against 19 a sample" in text and "against 39 a sample" not in text
    assert folder.read(make(tmp_path / "bare")).verdict.fewest_cold == ROWS[4]


def test_state_is_the_verdicts() -> None:
    def state(claim: str, holds: bool = False) -> str:
        return folder.Verdict(claim, holds, json={"claim": claim}).state

    assert state("warm is as good as cold", True) == "holds"
    assert state("it is not") == "fails"
    assert state("the draft alone does as well") == state("one seed: no claim") == "open"


def test_strings_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>\"&"
    bad: dict[str, Any] = {
        "claim": evil,
        "trained": evil,
        "metric": {"name": evil, "about": evil},
        "rows": [{**row, "arm": evil if row["arm"] == "warm" else row["arm"], "solver": evil} for row in ROWS],
        "audit": {evil: {"never_chosen": 0.1, "flags": [evil]}},
        "guards": {evil: {evil: evil}},
        "bill": {evil: 3.0},
        "seeds": [evil],
    }
    settings = {"recipe": evil, "settings": {evil: evil}, "device": evil, "versions": {evil: evil}}
    save = make(tmp_path, config=settings, verdict=bad)
    save_file(
        {**pictures("images"), f"warm.{evil[1:8]}": np.zeros((2, 1, 8, 8), np.float32)},
        str(save / "pictures.safetensors"),
        {"real": evil},
    )
    report = Report.read(save)
    page = check(report.html())
    assert "alert('x')" in page.text and "<script" not in report.html()
    check(gather([save, save]))


@pytest.mark.parametrize("key", sorted(VERDICT))
@pytest.mark.parametrize("how", ["missing", "null", "odd"])
def test_every_key_of_the_verdict_may_be_absent(tmp_path: Path, key: str, how: str) -> None:
    make(tmp_path, "images")
    value = {k: v for k, v in VERDICT.items() if k != key}
    if how != "missing":
        value[key] = None if how == "null" else [{}, 3, None]
    (tmp_path / "verdict.json").write_text(json.dumps(value))
    report = Report.read(tmp_path)
    check(report.html())
    assert report.verdict.claim


def nulled(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: nulled(v) for k, v in value.items()}
    return [nulled(v) for v in value] if isinstance(value, list) else None


def test_nulls_everywhere_and_numbers_that_are_none(tmp_path: Path) -> None:
    for n, verdict in enumerate(({k: nulled(v) for k, v in VERDICT.items()}, {"rows": [{}], "audit": {"a": {}}})):
        check(Report.read(make(tmp_path / str(n), verdict=verdict)).html())
    rows = [
        {**row, "distance": float(x)}
        for row, x in zip(ROWS, ("nan", "inf", "-inf", "0", "-1", "1", "1e9"), strict=True)
    ]
    check(Report.read(make(tmp_path / "odd", verdict={"rows": rows, "margin": float("nan")})).html())
    flat = [{**row, "distance": 0.0, "low": 0.0, "high": 0.0} for row in ROWS]
    check(Report.read(make(tmp_path / "flat", verdict={"rows": flat, "margin": 0.0})).html())
    sunk = [{**row, "distance": -0.001, "low": -0.002, "high": -0.0005} for row in ROWS]
    check(Report.read(make(tmp_path / "sunk", verdict={"rows": sunk})).html())


def test_a_bare_configuration_is_enough(tmp_path: Path) -> None:
    config = {"warmflow": CONFIG["warmflow"], "kind": "compare"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    report = Report.read(tmp_path)
    assert report.figures == {} and "not finished" in report.verdict.claim
    assert "not finished" in check(report.html()).text
    (tmp_path / "config.json").write_text(json.dumps({**config, **dict.fromkeys(("data", "settings", "seeds"))}))
    check(Report.read(tmp_path).html())


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 3, 40, 30), (2, 4, 1200, 16), (100, 2, 5, 5)])
def test_images_of_any_size(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from warmflow.report.pictures import grid

    make(tmp_path)
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
    text = check(report.html()).text
    assert "Training run: images.digits" in text and "warmflow train images.digits --updates 3000" in text


def test_runs_side_by_side(tmp_path: Path) -> None:
    one, two = make(tmp_path / "a"), make(tmp_path / "b", "points", verdict={"holds": False, "claim": "it is not"})
    page = check(gather([one, two]))
    assert "2 runs side by side" in page.text and "it is not" in page.text and "Trajectories" in page.text
    with pytest.raises(ValueError, match="at least one run folder"):
        gather([])


def test_a_notebook_shows_the_report_without_touching_its_own_style(tmp_path: Path) -> None:
    shown = Report.read(make(tmp_path))._repr_html_()
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
        ({"kind": "song"}, "not 'compare' or 'run'"),
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


def test_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "installed", lambda: "0.3.1")
    Report.read(make(tmp_path, config={"warmflow": "0.3.0"}))
    with pytest.raises(ValueError, match="written by warmflow 0.2.0, this is 0.3.1: install"):
        Report.read(make(tmp_path, config={"warmflow": "0.2.0"}))


def test_saving_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report.read(make(tmp_path / "run"))
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
    assert words.metric_name({"name": "mmd_pixels"}) == "MMD² on pixels × 1,000"
    assert words.metric_name({"name": "MMD^2", "features": "classifier"}) == "MMD² on classifier × 1,000"
    assert words.metric_name("frechet") == "Fréchet"
