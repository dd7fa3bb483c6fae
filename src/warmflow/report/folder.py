"""What a run folder holds, read without a model: JSON, JSON lines and safetensors, nothing else.

A folder is *required* to hold a whole ``config.json`` written by this version; everything else may be missing, and
what is missing is empty here. What is present but broken is a ValueError of one line that names the file.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from warmflow.report import words

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Verdict:
    """A light view of ``verdict.json``: its keys as attributes, empty or None where the file has none.

    ``distance``, ``low``, ``high`` and ``margin`` are in the metric's own unit; ``seconds`` are per sample.
    """

    claim: str
    holds: bool = False
    margin: float | None = None
    metric: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None
    factor_calls: float | None = None
    factor_seconds: float | None = None
    difference: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    audit: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[Any, ...] = ()
    guards: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    trained: str = ""
    bill: Mapping[str, Any] = field(default_factory=dict)
    json: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, str]:
        """What the judged arm and the one it has to match are called: "warm" and "cold", "the student" and "the teacher"."""
        found = self.json.get("names")
        ours, theirs = found if isinstance(found, list) and len(found) == 2 else ("warm", "cold")
        return str(ours), str(theirs)

    @property
    def bare(self) -> tuple[str, str]:
        """The names without their article, for labels."""
        ours, theirs = (name.removeprefix("the ") for name in self.names)
        return ours, theirs

    @property
    def best_cold(self) -> Row | None:
        """The row warm is compared with: the one ``reference`` names, else the cold row of least distance."""
        cold = [r for r in self.rows if r.get("kind") == "cold" or str(r.get("arm", "")).startswith("cold")]
        named = {k: self.reference[k] for k in ("arm", "solver", "steps", "calls") if self.reference.get(k) is not None}
        if "arm" in named or "steps" in named:
            for row in cold:
                if all(row.get(k) == v for k, v in named.items()):
                    return row
        measured = [r for r in cold if words.real(r.get("distance")) is not None]
        return min(measured, key=lambda r: float(r["distance"]), default=None)

    @property
    def fewest_cold(self) -> Row | None:
        """What the factors divide: the row of fewest calls at which cold is as good as its best, where the file names it."""
        return self._row("cold") or self.best_cold

    def _row(self, key: str) -> Row | None:
        """The row that a key of the file names by arm, solver and steps."""
        named, keys = self.json.get(key), ("arm", "solver", "steps")
        if not isinstance(named, Mapping) or not named.get("arm"):
            return None
        return next((r for r in self.rows if all(r.get(k) == named.get(k) for k in keys)), None)

    @property
    def winner(self) -> Row | None:
        """The warm row the claim speaks of: the one whose calls are the best cold's over ``factor_calls``."""
        named = self._row("warm") if self.holds else None
        if named is not None:
            return named
        cold, factor = self.best_cold, words.real(self.factor_calls)
        if cold is None or factor is None or not self.holds:
            return None
        calls = words.real(cold.get("calls"))
        warm = [r for r in self.rows if r.get("arm") == "warm" and words.real(r.get("calls"))]
        if calls is None or not warm or factor <= 0:
            return None
        near = min(warm, key=lambda r: abs(float(r["calls"]) - calls / factor))
        return near if abs(float(near["calls"]) * factor / calls - 1) < 0.1 else None

    @property
    def state(self) -> str:
        """ "holds"; "open" where nothing is claimed or the draft alone does; else "fails"."""
        if self.holds:
            return "holds"
        claim = self.claim.lower()
        undecided = ("draft alone", "no claim", "one seed", "too few", "not finished")
        return "open" if not self.json or any(w in claim for w in undecided) else "fails"


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder in memory. ``pictures`` name (n, C, H, W) images in [-1, 1], (n, 2) points or (steps + 1, n, 2)
    trajectories; ``captions`` are those the file gives to pictures; ``logs`` map (seed, arm) to lines of a log."""

    folder: Path
    config: Mapping[str, Any]
    verdict: Verdict
    pictures: Mapping[str, np.ndarray]
    captions: Mapping[str, str]
    logs: Mapping[tuple[str, str], tuple[Row, ...]]

    @property
    def kind(self) -> str:
        return str(self.config.get("kind"))

    @property
    def recipe(self) -> str:
        return str(self.config.get("recipe") or self.folder.name)

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the tokens of a text stand for; empty where the data are no text."""
        data = self.config.get("data")
        found = data.get("symbols") if isinstance(data, Mapping) else None
        return tuple(str(s) for s in found) if isinstance(found, list | str) else ()

    @property
    def points(self) -> bool:
        """Whether the data are points of the plane, by the configuration, else by the pictures."""
        data = self.config.get("data")
        if isinstance(data, Mapping) and data.get("kind"):
            return "points" in (data["kind"], data.get("shown"))
        return any(x.ndim == 2 and x.shape[1] == 2 for x in self.pictures.values())


def _load(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check the file and its permissions") from None
    except ValueError:
        raise ValueError(
            f"{path} is half-written or no JSON: run the same command again, it goes on where it stopped"
        ) from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__} where an object is expected: give another run folder")
    return value


def installed() -> str | None:
    """The version of warmflow that is running, or None where it cannot be known (a source tree without metadata)."""
    version = getattr(importlib.import_module("warmflow"), "__version__", None)
    if version is None:
        try:
            version = metadata.version("warmflow")
        except metadata.PackageNotFoundError:
            return None
    return str(version)


def _check_version(path: Path, written: Any) -> None:
    if written is None:
        raise ValueError(f"{path} does not name the version of warmflow that wrote it: give another run folder")
    here = installed()
    if here is not None and str(written).split(".")[:2] != here.split(".")[:2]:
        raise ValueError(
            f"{path} was written by warmflow {written}, this is {here}: "
            f"install warmflow=={written} to read it, or run it again"
        )


def _verdict(path: Path, kind: str) -> Verdict:
    if not path.exists():
        if kind == "run":
            return Verdict("a training run claims nothing: compare it with another")
        return Verdict("not finished: there is no verdict yet, run the same command again to go on")
    raw = _load(path)

    def of(key: str, default: Any) -> Any:
        value = raw.get(key)
        return value if isinstance(value, type(default)) else default

    return Verdict(
        claim=of("claim", "") or "no claim",
        holds=raw.get("holds") is True,
        margin=words.real(raw.get("margin")),
        metric=of("metric", {}),
        samples=raw.get("samples"),
        factor_calls=words.real(raw.get("factor_calls")),
        factor_seconds=words.real(raw.get("factor_seconds")),
        difference=of("difference", {}),
        rows=tuple(r for r in of("rows", []) if isinstance(r, dict)),
        audit=of("audit", {}),
        seeds=tuple(of("seeds", [])),
        guards=of("guards", {}),
        reference=of("reference", {}),
        trained=of("trained", ""),
        bill=of("bill", {}),
        json=raw,
    )


def _pictures(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not path.exists():
        return {}, {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError):
        raise ValueError(
            f"{path} is half-written or no safetensors: delete it, and run the same command again"
        ) from None


def _log(path: Path) -> tuple[Row, ...]:
    """The lines of a log that are whole: a run that is still going may be writing the last one."""
    lines: list[Row] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return tuple(lines)


def read(folder: str | Path) -> Run:
    """The run in ``folder``: a compare folder or the folder of one training run.

    Raises ValueError, in one line with the file and the remedy, where the folder is none of ours, was written by
    another version (major or minor), or holds a file that is half-written.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give the folder a run has written")
    if not path.exists():
        raise ValueError(f"{folder} is not a run folder, it has no config.json: give the folder a run has written")
    config = _load(path)
    if config.get("kind") not in ("compare", "run"):
        raise ValueError(f"{path} has kind {config.get('kind')!r}, not 'compare' or 'run': give another run folder")
    _check_version(path, config.get("warmflow"))
    pictures, captions = _pictures(folder / "pictures.safetensors")
    logs = {(log.parent.parent.name, log.parent.name): _log(log) for log in sorted(folder.glob("seeds/*/*/log.jsonl"))}
    if (folder / "log.jsonl").exists():
        logs["", "training"] = _log(folder / "log.jsonl")
    verdict = _verdict(folder / "verdict.json", config["kind"])
    return Run(folder, config, verdict, pictures, captions, {k: v for k, v in logs.items() if v})
