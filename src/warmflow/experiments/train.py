"""One method trained on one problem under one training seed, into a run folder.

FOLDER/                the run, see ``run``
FOLDER/parts/          its drafts, pairs and priors (``methods.parts``)
FOLDER/teacher/        the run of its teacher, of a method that starts from another one's flow; a folder like this one
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from warmflow.checkpoints import device_of, load
from warmflow.contracts import Data, Objective
from warmflow.data.labels import numbered
from warmflow.devices import place_of_float64
from warmflow.estimates import trying
from warmflow.experiments.budget import trial_parts
from warmflow.experiments.growth import extended, longer
from warmflow.experiments.run import asked_of, data_print, run_method, weights_of
from warmflow.experiments.saved_runs import read_asked
from warmflow.failures import explained
from warmflow.fields import NetworkField, TokenField, as_guided, network_of
from warmflow.files import write_json
from warmflow.locks import locked
from warmflow.methods import METHODS, Method, settled
from warmflow.methods.cold import Cold
from warmflow.methods.parts import Parts
from warmflow.metrics.cost import timed
from warmflow.networks import parameters
from warmflow.noise import Noise
from warmflow.number_checks import numbers_checked
from warmflow.options import changed, suggestion
from warmflow.printing import answer, tell
from warmflow.problems import problem_of
from warmflow.run_config import read_config, seconds_of
from warmflow.sampler import Sampler, placed
from warmflow.setup import Setup, Training
from warmflow.training import train

TRIAL = 10.0
"""Seconds that a dry run may time updates for."""
ROWS = 64
"""Rows that a call of the network is timed on."""
BEGUN = "training of the cold flow"
"""What a bill calls the training of the cold run that a warm start began with."""
Echo = Callable[[str], None]


def method_of(given: Method | str) -> Method:
    """A method, or the one of this name with its default options."""
    if isinstance(given, Method):
        return given
    if given not in METHODS:
        raise ValueError(f"method is {given!r}; {suggestion(given, METHODS)}")
    return METHODS[given]()


def asked_setup(problem: object, training: Training | None, changes: Mapping[str, object]) -> Setup:
    """A problem made ready, some of its options of training changed."""
    asked = problem_of(problem)
    if training is None:
        return asked.setup(**changes)
    return asked.setup(changed(training, changes) if changes else training)


@explained("training", "--width", "--batch")
@numbers_checked
def train_run(
    problem: object, method: Method | str, out: Path, *, training: Training | None = None, seed: int = 0,
    begin: Path | None = None, device: str = "cpu", progress: bool = True, echo: Echo = tell, **changes: object,
) -> Sampler:  # fmt: skip
    """Trains a method on a problem into a run folder, or continues the run that is there.

    Args:
        problem: as in ``compare``.
        method: a ``Method`` or the name of one.
        training: options of training; by default those of the problem.
        begin: the folder of a cold run whose weights a warm start begins with.
        echo: called with each line to print.
        changes: options of ``Training`` to change.

    Returns:
        The sampler with averaged weights, on the device.

    Raises:
        ValueError: bad input, named with its remedy, before anything is written; training diverged.
    """
    device_of(device)
    setup = asked_setup(problem, training, changes)
    chosen = settled(method_of(method), setup)
    network = None if begin is None else _begin(chosen, begin, setup)
    if network is not None:
        trial_of(chosen, setup, seed, network)
    for warning in setup.data.warnings:
        echo(f"warning: {warning}")
    if setup.training.conditional:
        echo(f"labels: {numbered(setup.data.classes)}")
    label = f"{setup.name} {chosen.label}" if progress else None
    more = {} if network is None else {"begin": weights_of(network)}
    with locked(out):
        training = extended(setup.training, out, asked_of(setup, chosen, seed, device, **more))
        if training != setup.training and read_asked(out)["training"]["updates"] != training.updates:
            echo(longer(out, training))
        setup = replace(setup, training=training)
        parts = _parts(setup, seed, out, device, progress, network)
        sampler = run_method(chosen, parts, out, device=device, progress=label, **more)
        if begin is not None and int(os.environ.get("RANK", "0")) == 0:
            _bill(out, BEGUN, seconds_of(read_config(begin)))
    if int(os.environ.get("RANK", "0")) != 0:
        return sampler  # one process writes
    for facts in (chosen.facts(parts), read_config(out).get("training") or {}):
        if "warning" in facts:
            echo(f"warning: {facts['warning']}")
    suffix = "png" if setup.data.alphabet is None else "txt"
    echo(f"{out} is complete. Look at samples: warmflow sample {out} --out {out}/samples.{suffix}")
    return sampler


def _bill(out: Path, name: str, seconds: float) -> None:
    """Adds to what config.json says was spent."""
    config = read_config(out)
    write_json(out / "config.json", {**config, "spent": {**(config.get("spent") or {}), name: seconds}})


def _parts(setup: Setup, seed: int, out: Path, device: str, progress: bool, begin: nn.Module | None = None) -> Parts:
    """The parts of a run in its own folder; a teacher is trained into a folder below it."""

    def teacher(method: Method) -> Sampler:
        where = out / "teacher"
        label = f"{setup.name} {method.label}" if progress else None
        found = run_method(
            settled(method, setup), _parts(setup, seed, where, device, progress), where, device=device, progress=label
        )
        config = read_config(where)
        parts.used["teacher"] = seconds_of(config) + sum((config.get("spent") or {}).values())
        return found

    parts = Parts(setup, seed, out / "parts", progress, begin, teacher)
    return parts


def _begin(method: Method, begin: Path, setup: Setup) -> nn.Module:
    """The network of the cold run that a warm start begins with."""
    if not method.fine_tunes:
        raise ValueError(f"begin is {begin}, which fine-tunes a warm start; the method is {method.name!r}")
    asked = read_asked(begin)
    told = asked.get("method", {})
    if told.get("class") != Cold.__name__:
        raise ValueError(
            f"begin is {begin}, a run of {told.get('class')}: fine-tuning starts from a cold run, give one"
        )
    if asked["problem"] == json.loads(json.dumps(setup.asked)) and asked["data"] != data_print(setup):
        raise ValueError(f"the data of {setup.name} are not those that {begin} was trained on: restore them")
    field = as_guided(load(begin).field).field
    if not isinstance(field, NetworkField | TokenField):
        raise ValueError(f"begin is {begin}, whose field is a {type(field).__name__}: give a run of a flow")
    return field.network


# ---------------------------------------------------------------- what training will cost


@dataclass(frozen=True, eq=False)
class Trial:
    """An untrained method: the objective and data of its last stage, its batch and updates, and the sampler of its networks."""

    objective: Objective
    data: Data
    batch: int
    updates: int
    sampler: Sampler


def trial_of(method: Method, setup: Setup, seed: int = 0, begin: nn.Module | None = None) -> Trial:
    """The method untrained, without training its draft or pairing its data; nothing is written.

    Raises:
        ValueError: options that are impossible; a network that cannot begin with these weights.
    """
    method = method.for_trial(setup)

    def teacher(of: Method) -> Sampler:
        return trial_of(settled(of, setup), setup, seed).sampler

    parts = Parts(setup, seed, None, False, begin, teacher)
    networks: dict[str, nn.Module] = {}
    found: tuple[Objective, Data] | None = None
    stages = method.stages(parts)
    for stage in stages:
        found = stage.make(networks)
        networks |= {name: player.network for name, player in found[0].players.items()}
    if found is None:
        raise ValueError(f"{method.title} is not trained: there is nothing to try")
    stage, t = stages[-1], setup.training
    batch = min(stage.batch or t.batch, len(found[1]))
    return Trial(*found, batch, stage.updates or t.updates, method.sampler(parts, networks))


@numbers_checked
def dry_run(
    problem: object, method: Method | str, *, training: Training | None = None, seed: int = 0, device: str = "cpu",
    echo: Echo = answer, **changes: object,
) -> dict[str, object]:  # fmt: skip
    """Prints, as JSON, the resolved configuration, the network's size and speed, and the minutes that drafts, pairs and
    training will take.

    Args:
        problem, method, training, changes: as in ``train_run``.

    Raises:
        ValueError: as ``train_run``.
    """
    device_of(device)
    setup = asked_setup(problem, training, changes)
    chosen = settled(method_of(method), setup)
    trial = trial_of(chosen, setup, seed)
    size = parameters(network_of(as_guided(trial.sampler.field).field))  # before training freezes players out of turn
    of_row = _seconds_of_row(trial, device)
    n = max(1, min(ROWS, trial.batch))
    sampler = placed(trial.sampler, device)
    start = sampler.source.draw(n, noise=Noise.of(0, n)).to(device)
    field = as_guided(sampler.field).field
    t = torch.full((n,), 0.5, dtype=torch.float64, device=place_of_float64(device))
    with torch.no_grad():
        seconds = timed(lambda: field(start.x0, t, start), repeats=5).seconds
    facts: dict[str, Any] = {
        **asked_of(setup, chosen, seed, device),
        **({"classes": list(setup.data.classes)} if setup.training.conditional else {}),
        "parameters": size,
        f"calls_per_second_at_batch_{n}": round(n / seconds, 1 if n > seconds else 4),
        "training_minutes": round(of_row * trial.batch * trial.updates / 60, 2),
    }
    before = trial_parts(setup, seed)
    with trying():
        chosen.stages(before)
    made = sum(before.seconds().values()) / 60
    facts |= {"drafts_and_pairs_minutes": round(made, 2), "minutes": round(made + facts["training_minutes"], 2)}
    echo(json.dumps(facts, indent=1))
    return facts


def _seconds_of_row(trial: Trial, device: str) -> float:
    """Seconds that training takes for one row of an update."""

    def of(steps: int, rows: int) -> float:
        for player in trial.objective.players.values():
            player.network.requires_grad_(True)  # players that take turns are frozen out of turn
        found = train(trial.objective, trial.data, steps=steps, batch=rows, seed=0, device=device)
        return float(found.facts["seconds"]) / (steps * rows)

    turns = len(trial.objective.players)
    few = min(trial.batch, 4)
    of(turns, few)  # what is compiled, is compiled here
    guess = of(turns, few)
    rows = max(few, min(trial.batch, int(TRIAL / (guess * turns))))  # of a large network fewer rows than an update has
    return of(max(turns, min(10, int(TRIAL / (guess * rows)))), rows)
