"""A trained flow into a generator of one call. What it is worth beside its teacher is said in ``students``.

    folder/                        the student's run: model, log, checkpoint, card; sampled, compared and reported as any other
    folder/reflow/                 the teacher's reflow, trained as long, for one call beside the student's

The student starts from the teacher's weights, and so does the online flow. Nothing is read from the data unless a share of it
is asked into the online flow's turn.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from warmflow.checkpoints import (
    card,
    load,
    open_run,
    read_json,
    read_tensors,
    save_part,
    write_json,
)
from warmflow.contracts import Batch, Coupling, Player
from warmflow.couplings import Assignment, Encoded, Given, Independent, Walked, prepare
from warmflow.couplings.prepare import digest
from warmflow.experiments.measure import at_once
from warmflow.experiments.train_flows import read_asked
from warmflow.fields import Guided, NetworkField
from warmflow.networks import Network, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowGeneratorMatching, FlowMatching
from warmflow.paths import LinearPath
from warmflow.recipes.build import plan_of
from warmflow.recipes.plan import Plan, pairs
from warmflow.recipes.settings import RECIPES, Distillation, settings_of
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, LearnedPrior, StandardNormal
from warmflow.training import Diverged, train

REFLOW_STEPS = 32
REFLOW_ROWS = 20_000
BLANK_ROWS = 4096
DIVERSITY = 0.9


@dataclass(frozen=True, eq=False)
class Teacher:
    """A finished run that can be distilled: its sampler, what was asked of it, and how its starts are paired with data."""

    run: Path
    asked: dict[str, Any]
    sampler: Sampler
    field: NetworkField
    coupling: Coupling

    @property
    def seed(self) -> int:
        return int(self.asked["seed"])

    def plan(self) -> Plan | None:
        """The recipe with its data; None for the user's own arrays, which a run folder does not hold."""
        recipe = str(self.asked["recipe"])
        return plan_of(recipe, settings_of(recipe, **self.asked["settings"])) if recipe in RECIPES else None


def read_teacher(run: Path, **given: Any) -> Teacher:
    """The run as a teacher.

    Raises:
        ValueError: a run that is itself distilled, is a flow of tokens, or whose field cannot tell which start a sample is paired
            with; a draft of the user's own that is not passed again.
    """
    asked = read_asked(run)
    arm = str(asked.get("arm"))
    if arm == "student":
        raise ValueError(f"{run} is itself distilled, of one call: distil its teacher {teacher_of(run)} again")
    sampler = load(run, **given)
    field = sampler.field
    if isinstance(field, Guided) or "label" in getattr(field, "sees", ()):
        raise ValueError(f"{run} is given labels, which distilling does not carry: distil a run without --conditional")
    if not isinstance(field, NetworkField) or not isinstance(field.network, Network):
        raise ValueError(
            f"{run} has a {type(field).__name__}; Flow Generator Matching distils flows of floats with a network of ours"
        )
    if not isinstance(field.path, LinearPath):
        raise ValueError(f"{run} has a {type(field.path).__name__}; only the linear path can be distilled")
    shown = {"draft", "z"} & set(field.sees)
    if not isinstance(sampler.source, StandardNormal) and not shown:
        raise ValueError(
            f"{run} starts from a {type(sampler.source).__name__} that its field does not see, so that fresh starts "
            "cannot be paired with samples: distil a flow that sees its draft (--seen)"
        )
    own = {Blurred: "sigma", LearnedPrior: "scale"}.get(type(sampler.source))
    if own is not None and getattr(sampler.source, own) == 0:
        raise ValueError(
            f"{run} starts without noise of its own ({own} 0): one draft has one sample; distil a run whose start has some"
        )
    coupling = Assignment() if arm.startswith(("cold_assigned", "cold_whole")) else Independent()
    return Teacher(run, asked, sampler, field, coupling)


def _copy(field: NetworkField) -> NetworkField:
    """The field with a network of its own, the same weights, no dropout."""
    assert isinstance(field.network, Network)
    arguments, kind = {**field.network.arguments, "dropout": 0.0}, type(field.network)
    network = seeded(0, lambda: kind(**arguments))
    network.load_state_dict(field.network.state_dict())
    return replace(field, network=network)


def objective_of(teacher: Teacher, s: Distillation) -> FlowGeneratorMatching:
    """Teacher, online flow and student, all with the teacher's weights."""
    online, student = _copy(teacher.field), _copy(teacher.field)
    by = {
        name: Player(field.network, s.learning_rate, (s.beta, 0.999), ema=s.ema)
        for name, field in (("online", online), ("student", student))
    }
    return FlowGeneratorMatching(
        teacher.field, online, student, teacher.sampler.source, teacher.coupling, by, s.alpha, s.online_updates, s.times,
        real=s.real,
    )  # fmt: skip


def digest_of(field: NetworkField) -> str:
    assert isinstance(field.network, Network)
    return digest(dict(field.network.state_dict()))


def _data(teacher: Teacher, s: Distillation) -> Batch:
    """What the online flow may see of the data: blank rows unless a share was asked for."""
    if not s.real:
        return Batch(torch.zeros(BLANK_ROWS, *teacher.sampler.shape))
    plan = teacher.plan()
    if plan is None:
        raise ValueError(
            f"--real is {s.real}, but {teacher.run} was trained on your own arrays, which it does not hold"
        )
    source = teacher.sampler.source
    if isinstance(
        source, LearnedPrior
    ):  # the online flow must see a real image beside the latent that it is encoded to
        y = plan.data.train
        z = Encoded(source.auxiliary).encoded(y.x1, noise=Noise.of(s.seed, len(y)).fold("real"))
        return replace(y, condition={**y.condition, "z": z})
    if not isinstance(source, Blurred):
        return plan.data.train
    if plan.settings.pairing == "minibatch-assignment":
        raise ValueError(
            f"--real is {s.real}, but {teacher.run} was paired batch by batch, so that no image has a draft of its own: "
            "leave --real out"
        )
    return pairs(plan, source.source, None)


def train_student(
    run: Path, out: Path, s: Distillation, *, device: str = "cpu", progress: str | None = None, **given: Any
) -> Teacher:
    """Distils a run into a run folder, or continues it; returns the teacher.

    Raises:
        ValueError: what ``read_teacher`` raises; another run in the folder.
        Diverged: the folder then holds the student of the last checkpoint as its model.
    """
    s.check()
    teacher = read_teacher(run, **given)
    asked = {
        **{k: teacher.asked[k] for k in ("recipe", "data", "settings", "seed")}, "kind": "run", "arm": "student",
        "weights": digest_of(teacher.field), "distillation": dataclasses.asdict(s), "device": device,
    }  # fmt: skip
    data, processes = _data(teacher, s), int(os.environ.get("WORLD_SIZE", "1"))
    if isinstance(teacher.coupling, Assignment):
        theirs = int(teacher.asked["settings"]["batch"])
        if processes > 1:
            raise ValueError(
                f"{run} was paired by assignment over whole batches: distil it on one process, not {processes}"
            )
        if s.batch != theirs:
            raise ValueError(
                f"--batch is {s.batch}; {run} was paired by assignment over {theirs} rows: give --batch {theirs}"
            )
    found = open_run(out, asked)
    # where the teacher lies is no part of what was asked: the digest of its weights says which it is
    found["teacher"] = {"path": str(run.resolve()), "from_here": os.path.relpath(run.resolve(), out.resolve())}
    write_json(out / "config.json", found)
    if found["state"] == "complete":
        return teacher
    teacher.field.network.to(device)  # type: ignore[attr-defined]
    objective = objective_of(teacher, s)
    sampler = replace(teacher.sampler, field=objective.student, solver=Euler(), steps=1, device="cpu")
    turns = s.online_updates + 1
    try:
        trained = train(
            objective, data, steps=s.updates * turns,
            batch=s.batch, seed=s.seed, folder=out, device=device, warmup=min(200, s.updates // 10 + 1) * turns,
            save_every=100 * turns, progress=progress,
        )  # fmt: skip
    except Diverged as error:
        kept = _last_good(out, sampler)
        raise Diverged(f"{error}; {kept}") from None
    if int(os.environ.get("RANK", "0")) == 0:
        facts = {**trained.facts, **diversity(teacher, trained.networks["student"], sampler)}
        for name, networks in (("raw", trained.raw), ("model", trained.networks)):
            save_part(out, name, _with(sampler, networks["student"]))
        (out / "README.md").write_text(card(out, f"{teacher.asked['recipe']}, student of {run}", dataclasses.asdict(s)))
        codec = read_json(run / "config.json").get("codec")
        write_json(out / "config.json", {**found, "state": "complete", "training": facts, "codec": codec})
    return teacher


def _with(sampler: Sampler, network: Any) -> Sampler:
    field: Any = sampler.field
    return replace(sampler, field=replace(field, network=network.cpu()))


def _last_good(out: Path, sampler: Sampler) -> str:
    """Writes the student of the last checkpoint as the folder's model, and says so."""
    if not (out / "checkpoint.safetensors").exists():
        return "no checkpoint was reached"
    tensors, facts = read_tensors(out / "checkpoint.safetensors")
    field: Any = sampler.field
    prefix = "student.average."
    field.network.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    save_part(out, "model", _with(sampler, field.network))
    return f"{out} holds the student of step {facts['step']}, sample from it or lower the learning rate elsewhere"


def diversity(teacher: Teacher, student: Any, sampler: Sampler, n: int = 2000) -> dict[str, Any]:
    """The student's total variance as a share of the teacher's, from the same starts; a warning where it has fallen."""
    theirs = replace(teacher.sampler, device="cpu", field=replace(teacher.field, network=teacher.field.network.cpu()))  # type: ignore[attr-defined]
    spread = [
        float(flow(n, seed=0, steps=steps).x.double().flatten(1).var(0).sum())
        for flow, steps in ((_with(sampler, student), 1), (theirs, 32))
    ]
    share = spread[0] / max(spread[1], 1e-12)
    found: dict[str, Any] = {"diversity": share}
    if share < DIVERSITY:
        found["warning"] = (
            f"the student's samples vary {share:.2f} times as much as the teacher's: it is losing diversity"
        )
    return found


def teacher_of(student: Path) -> Path:
    """Where a student's teacher lies: where it was, or as far from the student as it was.

    Raises:
        ValueError: it is at neither place.
    """
    told = read_json(student / "config.json").get("teacher") or {}
    places = [Path(told.get("path", "")), (student / told.get("from_here", "")).resolve()]
    found = next((p for p in places if (p / "config.json").exists()), None)
    if found is None:
        raise ValueError(f"{student} is the student of {places[0]}, which is not there: compare where it was distilled")
    return found


def train_reflow(teacher: Teacher, out: Path, s: Distillation, *, progress: str | None = None, **given: Any) -> Sampler:
    """The teacher's reflow: trained on (start, the teacher's walk from it) from its weights, with as many updates of one network
    as the student and the online flow had together."""
    folder, steps = out / "reflow", s.updates * (s.online_updates + 1)
    asked = {"kind": "run", "arm": "reflow", "seed": s.seed, "weights": digest_of(teacher.field), "updates": steps,
             "batch": s.batch, "steps": REFLOW_STEPS, "rows": REFLOW_ROWS}  # fmt: skip
    found = open_run(folder, asked)
    if found["state"] == "complete":
        return load(folder, **given)
    blank = Batch(torch.zeros(REFLOW_ROWS, *teacher.sampler.shape))
    walked = Walked(replace(teacher.sampler, device="cpu"), REFLOW_STEPS)
    paired = prepare(
        walked, blank, teacher.sampler.source, folder / "pairs", block=at_once(teacher.sampler), seed=s.seed
    )
    field = _copy(teacher.field)
    # a source that takes no draft: the pairs keep the starts they had
    untouched = StandardNormal(teacher.sampler.shape)
    objective = FlowMatching(field, untouched, Given(), Player(field.network, s.learning_rate, ema=s.ema))
    trained = train(
        objective, paired, steps=steps, batch=s.batch, seed=s.seed, folder=folder, warmup=min(200, steps // 10 + 1),
        progress=progress,
    )  # fmt: skip
    sampler = replace(teacher.sampler, field=replace(field, network=trained.networks["flow"]), solver=Euler(), steps=1)
    save_part(folder, "model", sampler)
    write_json(folder / "config.json", {**found, "state": "complete", "training": dict(trained.facts)})
    return sampler
