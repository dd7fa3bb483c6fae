"""A learned prior, trained in two stages: an auxiliary model on the data, then a small flow on its latents.

    folder/auxiliary/    the run of the auxiliary model
    folder/latent/       the run of the latent sampler, an unconditional flow from N(0, I) to q(z|y)

Interrupted runs are resumed. Facts about the quality of the prior are stored with it: the share of the data's variance
explained by the decoded mean, the share of log sigma^2 at its bounds, the number of active dimensions of the latent, and the AUC
of a classifier that distinguishes sampled from encoded latents.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from warmflow.checkpoints import again, open_run, save_part
from warmflow.contracts import Batch, Player, Source
from warmflow.couplings import Encoded, Independent
from warmflow.data import DataSet
from warmflow.drafts.base import Place
from warmflow.fields import NetworkField
from warmflow.files import write_json
from warmflow.metrics.audit import auc
from warmflow.networks import MLP, Auxiliary, LowPass, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching, VarianceGuided
from warmflow.objectives.variance_guided import divergence
from warmflow.options import Count, NotNegative, Share, Whole, fields_of, options
from warmflow.paths import LinearPath
from warmflow.run_config import read_config, seconds_of
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import Heun
from warmflow.sources import LearnedPrior, StandardNormal
from warmflow.training import train

AT_FLOOR = 0.99
SILENT = 0.01
"""KL divergence in nats below which a dimension of the latent is inactive."""
LATENT_ROUNDS = 16
PARTS = ("auxiliary model", "latent sampler")
"""Names of the parts of a prior in the bill."""
FACTS = "prior_facts.json"


@dataclass(frozen=True)
class Sizes:
    """Options that suit small data."""

    factor: int = 2
    latent: int = 8
    kl: float = 0.03
    auxiliary_updates: int = 2000
    latent_width: int = 64
    latent_steps: int = 4


@options
class PriorOptions:
    """Options of a learned prior. Options that are None take the problem's value."""

    prior: Literal["learned", "low_pass"] = "learned"
    """The latent z: learned, or the low frequencies of the sample (images only)."""
    factor: Count | None = None
    """Low frequencies: side in pixels of the blocks that are averaged."""
    latent: Count | None = None
    """Dimension of z."""
    kl: NotNegative | None = None
    """Weight of the KL divergence in the auxiliary model's loss; if too small, z memorises the training samples."""
    auxiliary_updates: Count | None = None
    """Number of training updates of the auxiliary model."""
    auxiliary_width: Count = 256
    """Width of the auxiliary model."""
    auxiliary_dropout: Share = 0.1
    """Dropout in the auxiliary model."""
    latent_updates: Whole = 3000
    """Number of training updates of the latent sampler; 0 to sample z from N(0, I) instead."""
    latent_width: Count | None = None
    """Width of the latent sampler."""
    latent_steps: Count | None = None
    """Number of Heun steps of the latent sampler."""

    def prior_asked(self) -> dict[str, object]:
        """The options that define the prior, for config.json."""
        return {f.name: getattr(self, f.name) for f in fields_of(PriorOptions)}

    def why_not(self, setup: Setup) -> str:
        """An empty string if these options are valid for the data, else one sentence with the reason."""
        side, factor = setup.shape[-1], self.sizes.factor
        if self.prior == "low_pass" and (setup.data.kind != "images" or factor < 2 or side % factor):
            return f"factor is {factor}; low frequencies need images, and a factor of at least 2 that divides the side ({side})"
        return ""

    @property
    def sizes(self) -> Sizes:
        """The options, those that are None with their values for small data."""
        given = {f.name: getattr(self, f.name) for f in fields_of(Sizes)}
        return Sizes(**{name: value for name, value in given.items() if value is not None})


def trained_prior(o: PriorOptions, setup: Setup, place: Place) -> tuple[LearnedPrior, dict[str, float]]:
    """Trains the prior in a folder (or reads it) and returns it with the seconds of its parts; facts go to prior_facts.json.

    Raises:
        ValueError: options that are invalid for the data, or sigma at its bounds almost everywhere.
    """
    with tempfile.TemporaryDirectory() as spare:
        folder = Path(spare) if place.folder is None else place.folder
        data = setup.data
        auxiliary, seconds = _auxiliary(o, setup, folder / "auxiliary", place.progress, place.seed)
        facts = _measured(auxiliary, data, place.seed)
        latent, more = _latent(o, data, auxiliary, folder / "latent", place.progress, place.seed)
        prior = LearnedPrior(latent, auxiliary, data.shape)
        facts["latent_auc"] = _latent_auc(prior, data, place.seed)
        write_json(folder / FACTS, facts)
    return prior, dict(zip(PARTS, (seconds, more), strict=True))


def _low_pass(factor: int, data: DataSet, folder: Path, seed: int) -> tuple[LowPass, float]:
    """The low frequencies of the data as auxiliary model; it is fitted, not trained."""
    asked = {"kind": "part", "part": "low_pass", "factor": factor, "seed": seed, "rows": len(data.train)}
    found, began = open_run(folder, asked), time.perf_counter()
    if found["state"] == "complete" and (part := again(folder)) is not None:
        return part, seconds_of(found)
    network = LowPass.fit(data.train.x1, factor, seed=seed)
    save_part(folder, "model", network)
    facts = {"seconds": time.perf_counter() - began}
    write_json(folder / "config.json", {**found, "state": "complete", "training": facts})
    return network, facts["seconds"]


def _auxiliary(
    o: PriorOptions, setup: Setup, folder: Path, progress: bool, seed: int
) -> tuple[Auxiliary | LowPass, float]:
    data, s, batch = setup.data, o.sizes, setup.training.batch
    if o.prior == "low_pass":
        return _low_pass(s.factor, data, folder, seed)
    asked = {"kind": "part", "part": "auxiliary", "latent": s.latent, "kl": s.kl, "updates": s.auxiliary_updates,
             "width": o.auxiliary_width, "dropout": o.auxiliary_dropout, "seed": seed, "batch": batch,
             "rows": len(data.train)}  # fmt: skip
    found = open_run(folder, asked)
    if found["state"] == "complete" and (part := again(folder)) is not None:
        return part, seconds_of(found)
    network = seeded(
        seed,
        lambda: Auxiliary(data.shape, latent=s.latent, width=o.auxiliary_width, dropout=o.auxiliary_dropout),
    )
    objective = VarianceGuided(network, Player(network, 1e-3, ema=0.99), s.kl)
    trained = train(
        objective, data.train, steps=s.auxiliary_updates, batch=min(batch, len(data.train)), seed=seed,
        folder=folder, warmup=min(200, s.auxiliary_updates // 10 + 1), progress="auxiliary model" if progress else None,
    )  # fmt: skip
    found_network = cast(Auxiliary, trained.networks["auxiliary"])
    save_part(folder, "model", found_network)
    write_json(folder / "config.json", {**found, "state": "complete", "training": dict(trained.facts)})
    return found_network.requires_grad_(False), float(trained.facts["seconds"])


@torch.no_grad()
def _measured(auxiliary: Auxiliary | LowPass, data: DataSet, seed: int) -> dict[str, object]:
    """Facts about the auxiliary model, measured on data that it was not trained on.

    Raises:
        ValueError: sigma at its bounds almost everywhere, so that the spread of starts is not learned.
    """
    y = data.apart.x1
    mean, log_spread = auxiliary.encode(y)
    z = mean + log_spread.exp() * Noise.of(seed, len(y)).normal("z", auxiliary.latent)
    mu, log_variance = auxiliary.decode(z)
    kl = divergence(mean, log_spread).mean(0)
    clamped = auxiliary.clamped(log_variance)
    if clamped >= AT_FLOOR:
        raise ValueError(
            f"the auxiliary model's sigma is at its bounds on {clamped:.0%} of the pixels (log sigma from "
            f"{log_variance.min() / 2:.2g} to {log_variance.max() / 2:.2g}): it repeats the data or has learned nothing; change "
            "kl, latent or auxiliary_updates of learned-prior"
        )
    facts: dict[str, object] = {
        "explained": 1 - float((y - mu).square().mean() / (y - y.mean(0)).square().mean()),
        "kl": float(kl.sum()),
        "active": int((kl > SILENT).sum()),
        "latent": auxiliary.latent,
        "clamped": clamped,
        "residual_over_sigma": float(((y - mu).square() * (-log_variance).exp()).mean().sqrt()),
    }
    if not facts["active"]:
        facts["warning"] = (
            "posterior collapse: no dimension of the latent carries information, so the prior has the same mean and sigma "
            "for all samples; lower kl of learned-prior"
        )
    return facts


def _latents(auxiliary: Auxiliary | LowPass, data: Batch, rounds: int, seed: int) -> Tensor:
    """``rounds`` samples of q(z|y) for each row of the data: (rounds n, latent)."""
    coupling, n = Encoded(auxiliary), len(data)
    return torch.cat([coupling.encoded(data.x1, noise=Noise.of(seed, n, k * n)) for k in range(rounds)])


def _latent(
    o: PriorOptions, data: DataSet, auxiliary: Auxiliary | LowPass, folder: Path, progress: bool, seed: int
) -> tuple[Source, float]:
    # the latent sampler is unconditional: labels would be information that the other flows do not have
    source: Source = StandardNormal((auxiliary.latent,))
    if not o.latent_updates:
        return source, 0.0
    asked = {
        "kind": "part", "part": "latent", "updates": o.latent_updates, "latent": auxiliary.latent, "width": o.sizes.latent_width,
        "seed": seed,
        "auxiliary": read_config(folder.parent / "auxiliary").get("asked", {}),
    }  # fmt: skip
    found = open_run(folder, asked)
    if found["state"] == "complete" and (part := again(folder)) is not None:
        return replace(part, steps=o.sizes.latent_steps), seconds_of(found)
    began = time.perf_counter()
    z = _latents(auxiliary, data.train, LATENT_ROUNDS, seed)
    encoding = time.perf_counter() - began
    network = seeded(seed, lambda: MLP((auxiliary.latent,), width=o.sizes.latent_width, depth=2))
    field = NetworkField(network, LinearPath(0.0), "x1")
    objective = FlowMatching(field, source, Independent(), Player(network, 2e-3, ema=0.999))
    trained = train(
        objective, Batch(z), steps=o.latent_updates, batch=256, seed=seed, folder=folder,
        warmup=min(200, o.latent_updates // 10 + 1), progress="latent sampler" if progress else None,
    )  # fmt: skip
    sampler = Sampler(
        source, NetworkField(trained.networks["flow"], field.path, "x1", field.sees), Heun(), o.sizes.latent_steps
    )
    save_part(folder, "model", sampler)
    facts = {**trained.facts, "seconds": encoding + float(trained.facts["seconds"])}
    write_json(folder / "config.json", {**found, "state": "complete", "training": facts})
    return sampler, float(facts["seconds"])


def _latent_auc(prior: LearnedPrior, data: DataSet, seed: int) -> float:
    """AUC of a classifier that distinguishes encoded data, not used for training, from sampled z; 0.5 is no difference."""
    held = data.apart
    encoded = Encoded(prior.auxiliary).encoded(held.x1, noise=Noise.of(seed, len(held)).fold("encoded"))
    sampled = prior.draw(len(held), noise=Noise.of(seed, len(held)).fold("sampled")).condition["z"]
    return auc(encoded, sampled, seed)
