"""Files of studies and verdicts: plain JSON, with the resamplings as safetensors.

FOLDER/study.json, study.safetensors    methods, metrics, rows: everything from which a verdict is computed, so that it can be
                                        recomputed without sampling
FOLDER/verdict.json                     the content of a report; null for undefined or infinite values
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter
from torch import Tensor

from warmflow.evaluation.curves import distances
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.exchange import Exchange
from warmflow.evaluation.sentences import Answer
from warmflow.evaluation.study import Measure, RealFacts, Row, Study, Times
from warmflow.evaluation.targets import Gains
from warmflow.evaluation.verdict import Verdict, bands_of
from warmflow.files import read_tensors, write_json, write_tensors
from warmflow.schemas import OBJECT, checked, read_as

JSON = dict[str, Any]
for tensors_in in (Measure, RealFacts):
    setattr(tensors_in, "__pydantic_config__", ConfigDict(arbitrary_types_allowed=True))  # noqa: B010
ROW, STUDY, LINES = TypeAdapter(Row), TypeAdapter(Study), TypeAdapter(list[JSON])
UNITS = {"": "distance", "_low": "high", "_high": "low", "_band_low": "band_high", "_band_high": "band_low"}
"""Suffixes of n_eq, with the distance that each is computed from: n_eq decreases with the distance, so bounds are swapped."""


def plain(value: object) -> Any:
    """Converts to JSON values: NaN and infinity to null, tensors and arrays to lists, enums to their values."""
    text = json.dumps(value, default=lambda array: array.tolist())
    return json.loads(text, parse_constant=lambda _: None)


def _line(row: Row) -> JSON:
    m = row.measure
    return {
        **{f.name: getattr(row, f.name) for f in fields(Row) if f.name != "measure"},
        "samples": m.samples, "distance": dict(m.distance), "validation": dict(m.validation), "beside": dict(m.beside),
    }  # fmt: skip


def _tensors(row: Row, prefix: str) -> dict[str, Tensor]:
    m = row.measure
    found = {f"{prefix}.{name}": values for name, values in m.replicates.items()}
    more = {f"{prefix}|classes": m.classes, f"{prefix}|copies": m.copies}
    return found | {name: x for name, x in more.items() if x is not None}


def _told(line: JSON, tensors: Mapping[str, Tensor], prefix: str) -> JSON:
    """A line of a file with its measure, as the schema of a row has it."""
    held = {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}
    more = {name: tensors.get(f"{prefix}|{name}") for name in ("classes", "copies")}
    return {**line, "measure": {**line, **more, "replicates": held}}


def save_row(folder: Path, row: Row) -> None:
    """Writes row.safetensors, then row.json, which exists only if the row is complete."""
    write_tensors(folder / "row.safetensors", _tensors(row, "0"))
    write_json(folder / "row.json", plain(_line(row)))


def read_row(folder: Path) -> Row:
    """Reads a row written by ``save_row``; raises ValueError as ``read_study``."""
    line, (tensors, _) = read_as(OBJECT, folder / "row.json"), read_tensors(folder / "row.safetensors")
    return checked(ROW, _told(line, tensors, "0"), folder / "row.json")


def save_study(folder: Path, study: Study) -> None:
    """Writes study.json and study.safetensors."""
    tensors: dict[str, Tensor] = {}
    for i, row in enumerate(study.rows):
        tensors |= _tensors(row, str(i))
    if study.real.shares is not None:
        tensors["shares"] = study.real.shares
    facts = {k: v for k, v in vars(study.real).items() if k != "shares"}
    write_tensors(folder / "study.safetensors", tensors)
    write_json(folder / "study.json", plain({
        "methods": [asdict(m) for m in study.methods], "metrics": [asdict(m) for m in study.metrics], "real": facts,
        "trained": study.trained, "given": study.given, "counted": study.counted, "items": study.items,
        "apart": study.apart, "calls_counted": study.calls_counted, "times": [asdict(t) for t in study.times],
        "rows": [_line(row) for row in study.rows],
    }))  # fmt: skip


def read_study(folder: Path) -> Study:
    """Reads a study written by ``save_study``; ValueError for a file that is missing, incomplete or of other types."""
    path = folder / "study.json"
    found, (tensors, _) = read_as(OBJECT, path), read_tensors(folder / "study.safetensors")
    lines, real = checked(LINES, found.get("rows"), path), checked(OBJECT, found.get("real"), path)
    rows = [_told(line, tensors, str(i)) for i, line in enumerate(lines)]
    return checked(STUDY, {**found, "rows": rows, "real": {**real, "shares": tensors.get("shares")}}, path)


# ---------------------------------------------------------------- the content of a report


def verdict_json(evaluation: Evaluation) -> JSON:
    """The content of verdict.json: the verdicts by candidate, the curves of all methods, and facts about the measurement."""
    study, words = evaluation.study, evaluation.answers
    found: JSON = plain({
        "version": 2,
        "candidates": {name: _verdict(v, study, words[name]) for name, v in evaluation.verdicts.items()},
        "curves": _curves(study),
        "metrics": [asdict(m) for m in study.metrics],
        "samples": study.samples,
        "seeds": study.seeds,
        "test": study.real.test,
        "validation": study.real.validation,
        "items": study.items,
        "rules": {"useful": evaluation.rules.useful, "error": evaluation.rules.error},
        "trained": study.trained,
        "choices": [asdict(c) for c in evaluation.choices],
        "variation": {"limit": study.real.variation_limit, "mean": study.real.variation_mean},
        "shares": study.real.shares,
        "quantiles": study.real.quantiles,
    })  # fmt: skip
    return found


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Writes the study and verdict.json."""
    save_study(folder, evaluation.study)
    write_json(folder / "verdict.json", verdict_json(evaluation))


def _exchange(e: Exchange | None) -> JSON | None:
    return None if e is None else {**asdict(e), "rate": e.rate, "more_than": e.horizon / e.calls}


def _gains(gains: Mapping[str, Gains]) -> JSON:
    return {
        name: [
            {"calls": c, "other": o, "estimate": d, "low": low, "high": high}
            for c, o, d, low, high in zip(g.calls, g.others, g.band.estimate, g.band.low, g.band.high, strict=True)
        ]
        for name, g in gains.items()
    }


def _verdict(v: Verdict, study: Study, words: Answer) -> JSON:
    said = {key: getattr(v, key) for key in ("outcome", "missing", "notes", "credit", "rate", "start_calls")}
    intervals = {key: getattr(v, key) for key in ("quality", "control_quality", "seconds")}
    guarded = zip(v.rows, v.guarded, strict=True)
    return {
        **said,
        **{key: None if value is None else asdict(value) for key, value in intervals.items()},
        "words": {**asdict(words), "text": words.text},
        "exchange": _exchange(v.exchange),
        "rows": [{**(_exchange(e) or {}), "guards": [asdict(g) for g in guards]} for e, guards in guarded],
        "targets": [{**asdict(t), "rate": t.rate} for t in v.targets],
        "gains": _gains(v.gains),
        "start_effect": _gains(v.start_effect),
    }


def _median_seconds(times: Sequence[Times], name: str, steps: int) -> float | None:
    found = [float(np.median(t.seconds)) for t in times if t.method == name and t.steps == steps]
    return found[0] if found else None


def _curves(study: Study) -> list[JSON]:
    """All methods, with a point for each number of calls: distances with pointwise and simultaneous intervals, and n_eq."""
    found, bands = [], bands_of(study)
    for method in study.methods:
        curve = study.curve(method.name)
        points = []
        for i, steps in enumerate(curve.steps):
            rows = study.rows_of(method.name, int(steps))
            point: JSON = {
                "steps": int(steps), "calls": float(curve.calls[i]), "metrics": {},
                "seconds": _median_seconds(study.times, method.name, int(steps))
                or (None if rows[0].seconds is None else float(np.mean([r.seconds or 0.0 for r in rows]))),
                "beside": {k: float(np.mean([r.measure.beside[k] for r in rows])) for k in rows[0].measure.beside},
                "copies": None if rows[0].measure.copies is None
                else torch.stack([r.measure.copies for r in rows if r.measure.copies is not None]).mean(0),
                "classes": None if rows[0].measure.classes is None
                else torch.stack([r.measure.classes / r.measure.classes.sum() for r in rows
                                  if r.measure.classes is not None]).mean(0),
            }  # fmt: skip
            for metric in study.metrics:
                bounds, whole = distances(curve, metric.name), bands[method.name][metric.name]
                numbers = {
                    "distance": float(bounds.estimate[i]), "low": float(bounds.low(0.975)[i]),
                    "high": float(bounds.high(0.975)[i]), "band_low": float(whole.low[i]), "band_high": float(whole.high[i]),
                }  # fmt: skip
                if metric.scatter is not None:
                    numbers |= {
                        f"n_eq{suffix}": metric.scatter / numbers[key] if numbers[key] > 0 else math.inf
                        for suffix, key in UNITS.items()
                    }  # fmt: skip
                point["metrics"][metric.name] = numbers
            points.append(point)
        found.append({**asdict(method), "title": method.shown, "points": points})
    return found
