"""What a page says beside the verdict: warnings, facts on parts, longer training, and how the run was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warmflow.report import remake, tables
from warmflow.report.folder import Run
from warmflow.report.tables import Table

PARTS = {
    "explained": "share of the data's variance that the mean explains",
    "kl": "nats in the latent",
    "active": "active latent dimensions",
    "latent": "latent dimensions",
    "clamped": "share of log sigma at its bounds",
    "residual_over_sigma": "residual over sigma (1 where sigma is right)",
    "latent_auc": "sampled latents distinguished from encoded ones by a classifier (AUC, 0.5 is chance)",
    "warning": "warning",
}
"""What the numbers of a learned prior mean; other facts are shown by their own keys."""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def parts(run: Run) -> list[tuple[str, Table]]:
    """By method, what was measured of the parts it is made of (a learned prior)."""
    known = _mapping(run.config.get("facts")).get("parts")
    found = {run.verdict.title(name): _mapping(told) for name, told in _mapping(known).items()}
    listed = [(name, tables.facts({PARTS.get(k, k): v for k, v in told.items()})) for name, told in found.items()]
    return [(name, table) for name, table in listed if table is not None]


def warnings(run: Run) -> list[str]:
    """What the training and the parts of a method warned of."""
    parts_told = _mapping(_mapping(run.config.get("facts")).get("parts")).values()
    told = [_mapping(run.config.get("training")), *(_mapping(one) for one in parts_told)]
    return list(dict.fromkeys(str(one["warning"]) for one in told if one.get("warning")))


def noticed(run: Run) -> list[str]:
    """Notes on the sets of samples that the user gave."""
    notes = run.config.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def doubled(run: Run) -> dict[str, Any] | None:
    """The answers with a baseline among the others that was trained twice as long; None where there is none."""
    found = _mapping(run.verdict.json.get("doubled"))
    if not found:
        return None
    said = [found[k] for k in ("text", "answer", "claim") if isinstance(found.get(k), str)][:1]
    said += [str(text) for text in _mapping(found.get("words")).values()]
    rest = {k: v for k, v in found.items() if not isinstance(v, str | Mapping | list)}
    baseline = found.get("baseline")
    rest |= {"baseline": run.verdict.title(baseline)} if isinstance(baseline, str) else {}
    return {"texts": said, "table": tables.facts(rest | dict(_mapping(found.get("settled"))))}


def made(run: Run) -> dict[str, Any]:
    """The command that makes the run again, the circumstances, and all options."""
    config, asked = run.config, run.asked
    first = {"problem": run.problem}
    first |= {k: config[k] for k in ("device", "threads", "seeds", "started") if config.get(k) is not None}
    judges = {k: v for k, v in _mapping(config.get("facts")).items() if not isinstance(v, Mapping)}
    versions = _mapping(config.get("versions"))
    training = _mapping(config.get("settings")) or _mapping(asked.get("training"))
    folded = {
        "Options of the problem": _mapping(asked.get("problem")),
        "Options of the methods": _mapping(asked.get("methods")),
        "Options of the method": _mapping(asked.get("method")),
        "Options of the training": training,
        "Data": _mapping(config.get("data")),
        "Facts on the metrics": judges,
        "Versions": {"warmflow": config.get("warmflow"), **versions} if versions else {},
    }
    command = remake.lines(config, [m.name for m in run.verdict.named("candidate")])
    return {
        "command": command,
        "first": tables.facts(first),
        "folded": [(title, tables.facts(known)) for title, known in folded.items() if known],
    }
