"""A finished flow, or any trained torch model, distilled into a generator of one call.

FOLDER/              the student's run: sampled, compared and reported like any other run
FOLDER/reflow/       the teacher's reflow, trained as long, to stand beside the student
FOLDER/study.*, verdict.json, report.html    the student beside its teacher and the reflow
FOLDER/state.safetensors    the student's state dict, where its network is of the user's own class
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from warmflow.checkpoints import device_of
from warmflow.contracts import Batch
from warmflow.data import DataSet
from warmflow.evaluation.rows import GRID
from warmflow.experiments.compare_runs import judge_student
from warmflow.experiments.run import run_method
from warmflow.experiments.saved_runs import SavedRun, read_run, teacher_of
from warmflow.failures import explained
from warmflow.fields import WrappedField, network_of, wrap
from warmflow.files import write_json, write_tensors
from warmflow.locks import locked
from warmflow.methods import Method
from warmflow.methods.distillation import BLANK_ROWS, ONE, Distillation, copied, why_not_distilled
from warmflow.methods.own import STEPS, OwnModel
from warmflow.methods.parts import Parts
from warmflow.methods.reflow import Reflow
from warmflow.number_checks import numbers_checked
from warmflow.options import changed
from warmflow.ownership import signature
from warmflow.problems.own import Arrays
from warmflow.run_config import read_config
from warmflow.sampler import Sampler, placed
from warmflow.setup import Setup, Training
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal

REFLOW_ROWS = 20_000
"""Pairs of start and sample that the reflow is trained on."""
Echo = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Teacher:
    """What is distilled.

    Args:
        method: the teacher's method.
        sampler: its trained sampler.
        setup: its problem made ready; with blank data where the data are not at hand.
        seed: the training seed of the student.
        more: what the student's run is known by, beside the options (the fingerprint of the teacher's data).
        run: its folder; None for a model in memory.
        has_data: whether the data are at hand, so that a report can be made.
    """

    method: Method
    sampler: Sampler
    setup: Setup
    seed: int
    more: Mapping[str, str]
    run: SavedRun | None = None
    has_data: bool = False

    def parts(self, folder: Path, device: str) -> Parts:
        """The parts of a method that starts from this teacher."""
        spent = 0.0 if self.run is None else self.run.cost

        def trained(_: object) -> Sampler:
            if spent:
                parts.used["teacher"] = spent
            return placed(self.sampler, device)

        parts = Parts(self.setup, self.seed, folder / "parts", run=trained)
        return parts


@explained("distilling", "--batch", "--samples")
@numbers_checked
def distill(
    teacher: str | os.PathLike[str] | nn.Module | WrappedField,
    out: str | os.PathLike[str],
    *,
    shape: tuple[int, ...] | None = None,
    predicts: str = "velocity",
    problem: object = None,
    draft: object = None,
    seed: int | None = None,
    device: str = "cpu",
    reflow: bool = True,
    report: bool = True,
    calls: Sequence[int] = GRID,
    samples: int | None = None,
    progress: bool = True,
    echo: Echo | None = None,
    **options: object,
) -> Sampler:
    """Distils a finished run, or your own model, into a sampler of one call. The student's folder is a run like any other; the
    same call continues or reads it.

        student = warmflow.distill("runs/cold", "runs/student", updates=2000)
        student = warmflow.distill(model, "student", shape=(3, 32, 32), predicts="velocity", updates=2000)

    Args:
        teacher: the folder of a finished run; a module called ``model(x, t)`` with t = 0 at noise and 1 at data; or what
            ``warmflow.wrap`` returns for a model with another convention. The model itself is not changed.
        shape: the shape of one sample, if the teacher is a model.
        predicts: what a module returns: "velocity" or "x1".
        problem: the problem given again, for a run that was trained on your own arrays.
        draft: your own draft model given again, for a run that was made with one.
        seed: training seed of a model's student, 0 by default; the student of a run has the seed of its teacher.
        reflow: if a report is made, also train the teacher's reflow into FOLDER/reflow, with as many updates as the student and
            the online flow have together.
        report: measure the student beside its teacher (needs the run's data).
        calls, samples: the numbers of calls at which the teacher is measured, and the number of samples, as in ``compare``.
        echo: called with each line to print.
        options: those of ``methods.Distillation``: updates, alpha, online_updates, batch, learning_rate, ...

    Returns:
        The student: ``distill(run, out)(64, seed=0).x``. ``warmflow.load(out, network=model)`` reads a model's student again.

    Raises:
        ValueError: bad input, before anything is written; training diverged: the folder holds the last checkpoint's student.
    """
    where, say = Path(out), echo or (lambda text: None)
    device_of(device)
    if isinstance(teacher, str | os.PathLike):
        found = _from_run(Path(teacher), problem, draft, seed)
    else:
        found = _from_model(teacher, shape, predicts, seed or 0)
    method = changed(Distillation(teacher=found.method), options)
    if method.real and not found.has_data:
        raise ValueError(f"real is {method.real}, but the teacher's data are not at hand: give them again, problem=...")
    method.check(found.sampler, found.setup)
    label = "distilling" if progress else None
    with locked(where):
        student = run_method(method, found.parts(where, device), where, device=device, progress=label, **found.more)
        if int(os.environ.get("RANK", "0")) != 0:
            return student  # one process writes and measures
        _note(where, found, student)
        if warning := (read_config(where).get("training") or {}).get("warning"):
            say(f"warning: {warning}")
        if report and found.has_data:
            if reflow and _alone(say):
                _train_reflow(method, found, where, device, progress)
            report_of = judge_student(
                where, calls=calls, samples=samples, problem=problem, draft=draft, device=device, progress=progress
            )
            say(report_of.verdict.claim)
    return student


def _alone(say: Echo) -> bool:
    """Whether this is the only process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    say("the reflow is left out with several processes; run the same command on one for it")
    return False


def _from_run(run: Path, problem: object, draft: object, seed: int | None) -> Teacher:
    """A finished run as a teacher.

    Raises:
        ValueError: a run that is itself distilled, or a flow that cannot be distilled.
    """
    if seed is not None:
        raise ValueError(f"seed is {seed}, but the student of a run has its teacher's seed: leave it out")
    saved = read_run(run, draft)
    if saved.method.grid() == ONE:
        raise ValueError(f"{run} is itself distilled, of one call: distil its teacher {teacher_of(run)} again")
    sampler = saved.sampler()
    why = why_not_distilled(sampler)
    if why:
        raise ValueError(f"{run} cannot be distilled: {why}")
    asked = saved.asked
    if problem is None and asked["problem"].get("name") == Arrays.name and "data" not in asked["problem"]:
        training = {
            **asked["training"],
            "batch": (saved.config.get("training") or {}).get("batch", 1),
        }  # no more than there were rows
        shares = sampler.source.label_shares
        setup = _without_data(
            sampler.shape, asked["problem"], changed(Training(), training), 0 if shares is None else len(shares)
        )
        has_data = False
    else:
        setup, has_data = saved.setup(problem), True
    more = {"data": asked["data"]}
    return Teacher(saved.method, sampler, setup, saved.seed, more, saved, has_data)


def _from_model(model: nn.Module | WrappedField, shape: tuple[int, ...] | None, predicts: str, seed: int) -> Teacher:
    """A trained model of the user's own as a teacher; a copy of it, which may be frozen and moved.

    Raises:
        ValueError: no module, no shape, or a model that cannot be distilled.
    """
    if not isinstance(model, nn.Module | WrappedField):
        raise ValueError(
            f"the teacher is a {type(model).__name__}; give a run folder, a torch module, or what warmflow.wrap returns"
        )
    field = model if isinstance(model, WrappedField) else wrap(model, predicts)
    if shape is None:
        raise ValueError("shape is missing; give the shape of one sample, like shape=(3, 32, 32)")
    source = StandardNormal(tuple(shape))
    sampler = Sampler(source, field, Euler(), STEPS)
    why = why_not_distilled(sampler)
    if why:
        raise ValueError(f"the model cannot be distilled: {why}")
    own = copied(field)
    setup = _without_data(tuple(shape), {"name": Arrays.name, "shape": list(shape)}, Training())
    fails = OwnModel(field=own).fits(setup)
    if fails:
        raise ValueError(f"the model cannot be distilled: {fails}")
    return Teacher(OwnModel(field=own), replace(sampler, field=own), setup, seed, {"data": ""})


def _without_data(shape: tuple[int, ...], asked: Mapping[str, object], training: Training, labels: int = 0) -> Setup:
    """A setup with blank rows for data: distilling needs none."""
    known = {"label": torch.arange(BLANK_ROWS) % labels} if labels else {}
    blank = Batch(torch.zeros(BLANK_ROWS, *shape), known, torch.arange(BLANK_ROWS))
    empty = Batch(torch.zeros(0, *shape), {}, torch.arange(0))
    names = tuple(map(str, range(labels)))
    data = DataSet("no data", "images" if len(shape) == 3 else "points", blank, None, empty, names)

    def build(*_: object) -> nn.Module:
        raise ValueError("a problem without its data has no networks of its own")

    return Setup("no data", asked, data, training, build)


def _note(out: Path, teacher: Teacher, student: Sampler) -> None:
    """Notes in the student's config.json where its teacher lies (the digest of the weights says which it is), and writes the
    state dict of a network that is not ours."""
    if teacher.run is None:
        write_tensors(out / "state.safetensors", network_of(student.field).state_dict())
        return
    run = teacher.run.folder.resolve()
    path, from_here = str(run), os.path.relpath(run, out.resolve())
    where = {"path": path, "from_here": from_here, "signed": signature([path, from_here])}
    write_json(out / "config.json", {**read_config(out), "teacher": where})


def _train_reflow(student: Distillation, teacher: Teacher, out: Path, device: str, progress: bool) -> Sampler:
    """The teacher's reflow, with as many updates of one network as the student and the online flow have together."""
    updates = student.updates * (student.online_updates + 1)
    method = Reflow(
        teacher=teacher.method, updates=updates, learning_rate=student.learning_rate,
        batch=student.batch or 256, rows=REFLOW_ROWS,
    )  # fmt: skip
    folder = out / "reflow"
    label = "reflow" if progress else None
    return run_method(method, teacher.parts(folder, device), folder, device=device, progress=label, **teacher.more)
