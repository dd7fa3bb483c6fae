"""What a page says beside the verdict: warnings, facts on parts, longer training, and how the run was made."""

from __future__ import annotations

from collections.abc import Mapping

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


def parts(run: Run) -> list[tuple[str, Table]]:
    """By method, what was measured of the parts it is made of (a learned prior)."""
    found = {run.verdict.title(name): told for name, told in run.config.parts.items()}
    listed = [(name, tables.facts({PARTS.get(k, k): v for k, v in told.items()})) for name, told in found.items()]
    return [(name, table) for name, table in listed if table is not None]


def warnings(run: Run) -> list[str]:
    """What the training and the parts of a method warned of."""
    told = [run.config.training, *run.config.parts.values()]
    return list(dict.fromkeys(str(one["warning"]) for one in told if one.get("warning")))


def doubled(run: Run) -> dict[str, object] | None:
    """The answers with a baseline among the others that was trained twice as long; None where there is none."""
    found = run.verdict.doubled
    baseline = {"baseline": run.verdict.title(found.baseline)} if found.baseline else {}
    table = tables.facts(baseline | found.settled)
    return {"texts": list(found.words.values()), "table": table} if found.words or table else None


def made(run: Run) -> dict[str, object]:
    """The command that makes the run again, the circumstances, and all options."""
    config, asked = run.config, run.config.asked
    first = {k: config.json[k] for k in ("device", "threads", "seeds", "started") if config.json.get(k) is not None}
    judges = {k: v for k, v in config.facts.items() if k != "parts"}
    folded: dict[str, Mapping[str, object]] = {
        "Options of the problem": asked.problem,
        "Options of the methods": asked.methods,
        "Options of the method": asked.method,
        "Options of the training": config.settings or asked.training,
        "Data": config.data,
        "Facts on the metrics": judges,
        "Versions": {"warmflow": config.json.get("warmflow"), **config.versions} if config.versions else {},
    }
    command = remake.lines(config, [m.name for m in run.verdict.named("candidate")])
    return {
        "command": command,
        "first": tables.facts({"problem": run.problem, **first}),
        "folded": [(title, tables.facts(known)) for title, known in folded.items() if known],
    }
