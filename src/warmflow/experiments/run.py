"""One run: a method on a problem under one training seed, trained into a folder of its own.

    FOLDER/config.json       what was asked: problem, method, training, seed; whether it is complete; facts about the training;
                             the names of the labels, if flows are given labels
    FOLDER/STAGE/            the training of an earlier stage, where a method has several
    FOLDER/model.*, raw.*    the sampler with averaged and with raw weights

A finished run is read, one that was cut off goes on. Where training diverges, a stage may ask for the sampler of its last
checkpoint to be kept as the model (``Stage.keep_last``); the run stays incomplete.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from torch import nn

from warmflow.checkpoints import again, card, config, open_run, save_part
from warmflow.contracts import Objective
from warmflow.data.labels import numbered
from warmflow.data.paired import INPUT
from warmflow.drafts import Pipeline
from warmflow.experiments.growth import goes_on
from warmflow.fields import WrappedField, network_of
from warmflow.files import fingerprint, read_tensors, write_json, write_text
from warmflow.methods.base import Method
from warmflow.methods.parts import Parts
from warmflow.options import plain
from warmflow.ownership import is_ours, outside, signature
from warmflow.sampler import Sampler, placed
from warmflow.setup import Setup
from warmflow.training import Diverged, train


class Given(TypedDict, total=False):
    """What a run folder cannot hold: the user's own draft model or wrapped model, a pipeline or its name."""

    draft: object
    network: object
    pipeline: object


def data_print(setup: Setup) -> str:
    """The fingerprint of what flows are trained on and given: data, inputs, labels where they see them."""
    train, data = setup.data.train, setup.data
    seen = [part.condition[INPUT] for part in (train, data.apart) if INPUT in part.condition]
    labels = [train.condition["label"]] if setup.training.conditional else []
    return fingerprint(train.x1, *seen, *labels)


def heldout_print(setup: Setup) -> str:
    """The fingerprint of what runs are judged by and not trained on: validation data and held-out data with their inputs, all
    labels, the part of a text that a judge is fitted to.
    """
    data = setup.data
    parts = [part for part in (data.validation, data.heldout) if part is not None]
    found = [x for part in parts for x in (part.x1, part.condition.get(INPUT))]
    found += [part.condition.get("label") for part in (data.train, *parts)]
    found += [data.streams[name] for name in sorted(data.streams)]
    return fingerprint(*(x for x in found if x is not None))


def asked_of(setup: Setup, method: Method, seed: int, device: str = "cpu", **more: str) -> dict[str, object]:
    """What a run's config.json says was asked: everything that defines the result, and nothing that only changes its speed."""
    return {
        "kind": "run", "problem": dict(setup.asked), "method": method.asked(), "training": plain(setup.training), "seed": seed,
        "data": data_print(setup), "device": device, **method.files(setup), **more,
    }  # fmt: skip


def run_method(
    method: Method, parts: Parts, folder: Path, *, device: str = "cpu", progress: str | None = None, **more: str
) -> Sampler:
    """Trains a method into a run folder, or continues it, or reads it; the sampler with averaged weights.

    Args:
        more: further keys of what was asked (the digest of a teacher's weights).

    Raises:
        ValueError: the folder holds another run; impossible options; training diverged.
    """
    setup = parts.setup
    teacher = method.needs()
    if teacher is not None:
        more = {**more, "teacher": weights_of(network_of(parts.trained(teacher).field))}
    parts.used.clear()
    if not method.trains:
        return placed(method.sampler(parts, {}), device)
    found = open_run(folder, asked_of(setup, method, parts.seed, device, **more), goes_on)
    _sign(found, folder)
    whole = all((folder / f"{part}.{kind}").exists() for part in ("model", "raw") for kind in ("json", "safetensors"))
    if found["state"] == "complete" and whole:
        kept = again(folder, **given_again(method))
        if kept is not None:
            return placed(kept, device)
    if "heldout" not in found:
        if len(setup.data.heldout):  # a student may be distilled without data
            found["heldout"] = heldout_print(setup)
        if setup.training.conditional:
            found["classes"] = list(setup.data.classes)
        write_json(folder / "config.json", found)
    stages, seconds = method.stages(parts), 0.0
    networks: dict[str, nn.Module] = {}
    raw: dict[str, nn.Module] = {}
    facts: dict[str, object] = {}
    for i, stage in enumerate(stages):
        objective, data = stage.make(networks)
        last, t = i == len(stages) - 1, setup.training
        if last:  # what the folder cannot hold is found before it is trained
            players = {name: player.network for name, player in objective.players.items()}
            config(method.sampler(parts, {**networks, **players}))
        steps = stage.updates or t.updates
        try:
            trained = train(
                objective, data, steps=steps, batch=min(stage.batch or t.batch, len(data)), seed=parts.seed,
                folder=folder if last else folder / stage.name, device=device, progress=progress, save_every=stage.save_every,
                warmup=stage.warmup, restarts=() if stage.updates else t.ends[:-1],
            )  # fmt: skip
        except Diverged as error:
            advice = "lower the learning rate"
            if last and stage.keep_last:
                advice = _keep_last(folder, method, parts, networks, objective)
            raise Diverged(f"{folder}: {error}; {advice}") from None
        networks, raw = {**networks, **trained.networks}, {**raw, **trained.raw}
        facts, seconds = {**facts, **trained.facts}, seconds + float(trained.facts["seconds"])
    sampler = method.sampler(parts, networks)
    if int(os.environ.get("RANK", "0")) == 0:  # one process writes
        facts = {**facts, "seconds": seconds, **method.checked(parts, placed(sampler, device))}
        found["spent"] = dict(parts.used)
        _write(folder, found, parts, method, facts, sampler, method.sampler(parts, raw))
    return placed(sampler, device)


def named_in(asked: Mapping[str, Any]) -> list[object]:
    """What names things outside of a run folder: the options of its problem and method."""
    return [asked.get("problem"), asked.get("method")]


def _sign(found: dict[str, Any], folder: Path) -> None:
    """Notes in config.json that this user has named the data and drafts that it names, see ``ownership``."""
    told = named_in(found["asked"])
    if any(map(outside, told)) and not is_ours(told, found.get("signed")) and int(os.environ.get("RANK", "0")) == 0:
        found["signed"] = signature(told)
        write_json(folder / "config.json", found)


def _keep_last(
    folder: Path, method: Method, parts: Parts, networks: Mapping[str, nn.Module], objective: Objective
) -> str:
    """Saves the sampler of the last checkpoint as the folder's model; what the user can do."""
    if not (folder / "checkpoint.safetensors").exists():
        return "no checkpoint was reached: lower the learning rate"
    tensors, facts = read_tensors(folder / "checkpoint.safetensors")
    found = dict(networks)
    for name, player in objective.players.items():
        prefix = f"{name}.average."
        player.network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        found[name] = player.network.eval()
    if int(os.environ.get("RANK", "0")) == 0:
        save_part(folder, "model", method.sampler(parts, found))
    return f"{folder} holds the sampler of step {facts['step']}: sample from it, or train with a lower learning rate elsewhere"


def _write(
    folder: Path, found: Mapping[str, object], parts: Parts, method: Method, facts: Mapping[str, object], sampler: Sampler,
    raw: Sampler,
) -> None:  # fmt: skip
    setup = parts.setup
    save_part(folder, "raw", raw)
    save_part(folder, "model", sampler)
    numbers = {k: v for k, v in facts.items() if k != "samples_per_second"}
    title = f"{setup.name}, {method.title}, seed {parts.seed}"
    named = {"labels": numbered(setup.data.classes)} if setup.training.conditional else {}
    text = card(folder, title, {**numbers, **plain(setup.training), **plain(method), **named})
    write_text(folder / "README.md", text)
    codec = None if setup.data.codec is None else dataclasses.asdict(setup.data.codec)
    write_json(folder / "config.json", {**found, "state": "complete", "training": dict(facts), "codec": codec})


def weights_of(network: nn.Module) -> str:
    """A digest of a network's weights."""
    return fingerprint(*(v for _, v in sorted(network.state_dict().items())))


def given_again(method: Method) -> Given:
    """What a run folder cannot hold of a method. A module is copied, since the saved weights are loaded into it."""
    teacher = method.needs()
    found: Given = {} if teacher is None else given_again(teacher)
    own = getattr(method, "draft", None)
    if isinstance(own, Pipeline):
        found["pipeline"] = own.path
    draft = getattr(own, "samples", own)
    if callable(draft) and not isinstance(draft, nn.Module):
        found["draft"] = draft
    field = getattr(method, "field", None)
    if isinstance(field, WrappedField):
        network = field.network
        found["network"] = copy.deepcopy(network) if isinstance(network, nn.Module) else network
    return found
