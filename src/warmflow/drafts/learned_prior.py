"""A learned prior, trained in two stages of its own: the auxiliary model on the data, then a small flow on its latents.

    folder/auxiliary/    the run of the auxiliary model
    folder/latent/       the run of the latent sampler, a flow from N(0, I) to q(z|y); given the label only where every flow is

Both are resumed where they were cut off. What decides whether the prior is any good is told with it: the share of the data's
variance that the decoded mean explains, the share of log sigma^2 at its bounds, how many numbers of the latent say anything, and
how well sampled z are told from encoded ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.checkpoints import load_part, open_run, read_json, save_part, write_json
from warmflow.contracts import Batch, Player, Source
from warmflow.couplings import Encoded, Independent
from warmflow.data import DataSet
from warmflow.fields import NetworkField
from warmflow.metrics.audit import auc
from warmflow.networks import MLP, Auxiliary, LowPass, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching, VarianceGuided
from warmflow.objectives.variance_guided import divergence
from warmflow.paths import LinearPath
from warmflow.recipes.labels import conditional
from warmflow.recipes.settings import LeDiFlow, LeDiFlowCifar10, LeDiFlowFashion
from warmflow.sampler import Sampler
from warmflow.solvers import Heun
from warmflow.sources import Labelled, LearnedPrior, StandardNormal
from warmflow.training import train

WithPrior = LeDiFlow | LeDiFlowFashion | LeDiFlowCifar10
AT_FLOOR = 0.99
SILENT = 0.01
"""Nats below which a number of the latent says nothing."""
LATENT_ROUNDS = 16


def fitted_prior(
    settings: WithPrior, data: DataSet
) -> Callable[[Path, bool, int], tuple[LearnedPrior, dict[str, Any]]]:
    """The prior of these settings, trained in a folder (or read from it) when called with a seed, with the facts about it."""

    def fit(folder: Path, progress: bool = False, seed: int = 0) -> tuple[LearnedPrior, dict[str, Any]]:
        auxiliary, seconds = _auxiliary(settings, data, folder / "auxiliary", progress, seed)
        facts = _measured(auxiliary, data, seed)
        latent, more = _latent(settings, data, auxiliary, folder / "latent", progress, seed)
        prior = LearnedPrior(latent, auxiliary, data.shape)
        facts["latent_auc"] = _told_apart(prior, data, seed)
        return prior, {**facts, "auxiliary_seconds": seconds, "latent_seconds": more}

    return fit


def _low_pass(s: WithPrior, data: DataSet, folder: Path, seed: int) -> tuple[LowPass, float]:
    """The datum's own low frequencies: fitted, not trained."""
    asked = {"kind": "part", "part": "low_pass", "factor": s.factor, "seed": seed, "rows": len(data.train)}
    found, began = open_run(folder, asked), time.perf_counter()
    if found["state"] == "complete":
        return load_part(folder, "model"), float(found["training"]["seconds"])
    network = LowPass.fit(data.train.x1, s.factor, seed=seed)
    save_part(folder, "model", network)
    facts = {"seconds": time.perf_counter() - began}
    write_json(folder / "config.json", {**found, "state": "complete", "training": facts})
    return network, facts["seconds"]


def _auxiliary(
    s: WithPrior, data: DataSet, folder: Path, progress: bool, seed: int
) -> tuple[Auxiliary | LowPass, float]:
    if s.prior == "low_pass":
        return _low_pass(s, data, folder, seed)
    asked = {"kind": "part", "part": "auxiliary", "latent": s.latent, "kl": s.kl, "updates": s.auxiliary_updates,
             "width": s.auxiliary_width, "dropout": s.auxiliary_dropout, "seed": seed, "batch": s.batch,
             "rows": len(data.train)}  # fmt: skip
    found = open_run(folder, asked)
    if found["state"] == "complete":
        return load_part(folder, "model"), float(found["training"]["seconds"])
    network = seeded(
        seed,
        lambda: Auxiliary(data.shape, latent=s.latent, width=s.auxiliary_width, dropout=s.auxiliary_dropout),
    )
    objective = VarianceGuided(network, Player(network, 1e-3, ema=0.99), s.kl)
    trained = train(
        objective, data.train, steps=s.auxiliary_updates, batch=min(s.batch, len(data.train)), seed=seed,
        folder=folder, warmup=min(200, s.auxiliary_updates // 10 + 1), progress="auxiliary model" if progress else None,
    )  # fmt: skip
    found_network = trained.networks["auxiliary"]
    assert isinstance(found_network, Auxiliary)
    save_part(folder, "model", found_network)
    write_json(folder / "config.json", {**found, "state": "complete", "training": dict(trained.facts)})
    return found_network.requires_grad_(False), float(trained.facts["seconds"])


@torch.no_grad()
def _measured(auxiliary: Auxiliary | LowPass, data: DataSet, seed: int) -> dict[str, Any]:
    """Facts of the auxiliary model on data that it was not trained on.

    Raises:
        ValueError: sigma at a bound everywhere, which is no spread to start from.
    """
    y = data.apart.x1
    mean, log_spread = auxiliary.encode(y)
    z = mean + log_spread.exp() * Noise.of(seed, len(y)).normal("z", auxiliary.latent)
    mu, log_variance = auxiliary.decode(z)
    kl = divergence(mean, log_spread).mean(0)
    clamped = auxiliary.clamped(log_variance)
    if clamped >= AT_FLOOR:
        raise ValueError(
            f"the auxiliary model's sigma is at its bounds on {clamped:.0%} of the pixels (from {log_variance.min() / 2:.2g} "
            f"to {log_variance.max() / 2:.2g} in its logarithm): it repeats the data or has learned nothing; change --kl, "
            "--latent or --auxiliary-updates"
        )
    facts: dict[str, Any] = {
        "explained": 1 - float((y - mu).square().mean() / (y - y.mean(0)).square().mean()),
        "kl": float(kl.sum()),
        "active": int((kl > SILENT).sum()),
        "latent": auxiliary.latent,
        "clamped": clamped,
        "residual_over_sigma": float(((y - mu).square() * (-log_variance).exp()).mean().sqrt()),
    }
    if not facts["active"]:
        facts["warning"] = (
            "posterior collapse: no number of the latent says anything about the image, the prior is one mean and one "
            "sigma for all; lower --kl"
        )
    return facts


def _latents(auxiliary: Auxiliary | LowPass, data: Batch, rounds: int, seed: int) -> Tensor:
    """``rounds`` draws of q(z|y) for each row of the data."""
    coupling, n = Encoded(auxiliary), len(data)
    return torch.cat([coupling.encoded(data.x1, noise=Noise.of(seed, n, k * n)) for k in range(rounds)])


def _latent(
    s: WithPrior, data: DataSet, auxiliary: Auxiliary | LowPass, folder: Path, progress: bool, seed: int
) -> tuple[Source, float]:
    # beside flows that are given no label the sampler is given none: it would know what they do not
    labels = data.train.condition.get("label") if conditional(s) else None
    plain: Source = StandardNormal((auxiliary.latent,))
    source = plain if labels is None else Labelled.of(plain, labels)
    if not s.latent_updates:
        return source, 0.0
    asked = {
        "kind": "part", "part": "latent", "updates": s.latent_updates, "latent": auxiliary.latent, "width": s.latent_width,
        "seed": seed, "labels": labels is not None,
        "auxiliary": read_json(folder.parent / "auxiliary" / "config.json")["asked"],
    }  # fmt: skip
    found = open_run(folder, asked)
    if found["state"] == "complete":
        return replace(load_part(folder, "model"), steps=s.latent_steps), float(found["training"]["seconds"])
    began = time.perf_counter()
    z = _latents(auxiliary, data.train, LATENT_ROUNDS, seed)
    encoding = time.perf_counter() - began
    condition = {} if labels is None else {"label": labels.repeat(LATENT_ROUNDS)}
    network = seeded(
        seed,
        lambda: MLP(
            (auxiliary.latent,), classes=0 if labels is None else len(data.classes), width=s.latent_width, depth=2
        ),
    )
    field = NetworkField(network, LinearPath(0.0), "x1", () if labels is None else ("label",))
    objective = FlowMatching(field, plain, Independent(), Player(network, 2e-3, ema=0.999))
    trained = train(
        objective, Batch(z, condition), steps=s.latent_updates, batch=256, seed=seed, folder=folder,
        warmup=min(200, s.latent_updates // 10 + 1), progress="latent sampler" if progress else None,
    )  # fmt: skip
    sampler = Sampler(
        source, NetworkField(trained.networks["flow"], field.path, "x1", field.sees), Heun(), s.latent_steps
    )
    save_part(folder, "model", sampler)
    facts = {**trained.facts, "seconds": encoding + float(trained.facts["seconds"])}
    write_json(folder / "config.json", {**found, "state": "complete", "training": facts})
    return sampler, float(facts["seconds"])


def _told_apart(prior: LearnedPrior, data: DataSet, seed: int) -> float:
    """The area under the ROC curve of classifiers that tell encoded data, not trained on, from sampled z; 0.5 is chance."""
    held = data.apart
    encoded = Encoded(prior.auxiliary).encoded(held.x1, noise=Noise.of(seed, len(held)).fold("encoded"))
    sampled = prior.draw(len(held), noise=Noise.of(seed, len(held)).fold("sampled")).condition["z"]
    return auc(encoded, sampled, seed)
