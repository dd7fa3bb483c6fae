"""Flow matching as functions of tensors, for a network and a training loop of your own.

    cold    x0 ~ N(0, I)                    L = E |model(x_t, t) - u|^2
    warm    x0 = draft + sigma eps          L = E |model(x_t, t, draft=draft) - u|^2

on the linear path x_t = ((1 - t) x0 + (t - t0) x1) / (1 - t0), u = (x1 - x0) / (1 - t0), with t uniform on [t0, 1]. A model that
predicts x1 is trained on |model - x1|^2. Training and sampling take the same t0, sigma and predicts.

A model is anything that is called ``model(x_t, t, **condition)`` with x_t (B, *S) and t (B,), 0 at noise and 1 at data, and
that returns (B, *S), or an object with that tensor as ``.sample`` (diffusers). Conditions are the draft (``draft=``) and what
the batch carries ("label" as ``label=``).

Randomness is torch's: ``generator`` is a ``torch.Generator``, or None for the default one, which ``torch.manual_seed`` seeds.
Every call advances the generator, so no two batches get the same noise. If its state is saved with a checkpoint, a resumed run
gives bit-identical results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypedDict, Unpack

import torch
from torch import Tensor

from warmflow.contracts import Pair, Solver, Source, Start
from warmflow.couplings.assignment import assign, assign_within
from warmflow.devices import like, place_of_float64
from warmflow.fields import WrappedField
from warmflow.noise import Noise
from warmflow.number_checks import numbers_checked
from warmflow.objectives.flow_matching import matching_loss
from warmflow.options import suggestion
from warmflow.paths import LinearPath
from warmflow.sampler import Clip, Hook, Sampler
from warmflow.solvers import solver_named
from warmflow.sources import Blurred, External, StandardNormal
from warmflow.user_code import weights_of

__all__ = ["Sampling", "flow_matching_loss", "flow_sampler", "pair_batch", "path_points", "sample", "warm_start_loss"]

Model = Callable[..., object]
Predicts = Literal["velocity", "x1"]
T0, SIGMA, STEPS = 0.8, 0.3, 4
"""Start time and added noise of warm starts; steps of sampling."""


def path_points(
    x0: Tensor, x1: Tensor, *, t0: float = 0.0, t: Tensor | None = None, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Points of the linear path from x0 at t0 to x1 at 1, and the velocity there, which is what a network is trained on.

    Args:
        x0, x1: (B, *S).
        t: (B,) times in [t0, 1]; None draws them uniformly.

    Returns:
        t (B,), x_t (B, *S), velocity (B, *S) = (x1 - x0) / (1 - t0).

    Raises:
        ValueError: x0 and x1 of different shapes, t0 outside [0, 1), times outside [t0, 1].
    """
    _alike(x0, x1)
    path, noise = LinearPath(t0), Noise.drawn(len(x1), generator)
    if t is None:
        t = t0 + (1 - t0) * noise.uniform("t").to(place_of_float64(x1.device))
    elif t.shape != (len(x1),) or bool((t < t0).any()) or bool((t > 1).any()):
        raise ValueError(f"t has shape {tuple(t.shape)}; give {len(x1)} times in [{t0:g}, 1]")
    point = path.sample(Pair(Start(x0), x1), t, noise=noise.fold("path"))
    assert point.velocity is not None
    return like(t, x1), point.x_t, point.velocity


@numbers_checked
def pair_batch(x0: Tensor, x1: Tensor, *, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Reorders the rows of x0 so that each is near its row of x1, by optimal assignment; for cold and warm flows.

    Args:
        x0, x1: (B, *S) noise or drafts, and data.
        labels: (B,) the labels of the data; noise is then assigned within each label.

    Returns:
        x0 in its new order, and x1 unchanged, so that the order of labels and drafts that belong to x1 stays valid.

    Raises:
        ValueError: x0 and x1 of different shapes, NaN or infinite values.
    """
    _alike(x0, x1)
    a, b = (x.detach().flatten(1).float().cpu() for x in (x0, x1))
    rows = assign(a, b) if labels is None else assign_within(a, b, labels.detach().cpu())
    return x0[rows.to(x0.device)], x1


def flow_matching_loss(
    model: Model, batch: Sequence[object], *, t0: float = 0.0, predicts: Predicts = "velocity",
    generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """The flow-matching loss of a batch, averaged over all entries. The model does not see x0: ``model(x_t, t, **condition)``.

    Args:
        batch: (x0, x1) or (x0, x1, condition), moved to the model's device: x0 is noise for a cold flow.
        t0: the time of x0; 0 for noise.
        predicts: what the model returns, "velocity" or "x1".

    Returns:
        A scalar to call ``backward`` on.

    Raises:
        ValueError: a batch of another form, or a model that returns another shape.
    """
    x0, x1, condition = _rows(batch, model)
    noise = Noise.drawn(len(x1), generator)
    return matching_loss(_field(model, predicts, t0, tuple(condition)), Pair(Start(x0, condition), x1), noise=noise)


def warm_start_loss(
    model: Model, batch: Sequence[object], *, t0: float = T0, sigma: float = SIGMA, predicts: Predicts = "velocity",
    seen: bool = True, generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """The loss of a warm start from draft + sigma eps, with fresh eps at every call.

    Args:
        batch: (draft, x1) or (draft, x1, condition), as ``PairedDataset`` gives them; moved to the model's device.
        t0: the time at which the path starts: the model sees times in [t0, 1]. The number of calls does not depend on it.
        sigma: standard deviation of the noise that is added to the draft. With 0 a model that sees the draft returns the mean of
            the data given the draft.
        predicts: what the model returns, "velocity" or "x1".
        seen: whether the model is given the draft: ``model(x_t, t, draft=draft, **condition)``.

    Returns:
        A scalar to call ``backward`` on.

    Raises:
        ValueError: a batch of another form, impossible t0 or sigma, or a model that returns another shape.
    """
    draft, x1, condition = _rows(batch, model)
    noise = Noise.drawn(len(x1), generator)
    source = Blurred(StandardNormal(tuple(x1.shape[1:])), sigma)
    start = source.draw(len(x1), {**condition, "draft": draft}, noise=noise.fold("pair"))
    sees = ("draft", *condition) if seen else tuple(condition)
    return matching_loss(_field(model, predicts, t0, sees), Pair(start, x1), noise=noise)


class Sampling(TypedDict, total=False):
    """How your own flow is sampled; ``t0``, ``sigma``, ``predicts`` and ``seen`` must have the values of training.

    steps: steps of the solver, 4 by default; Adams-Bashforth and Euler take one network call each.
    solver: a ``Solver`` or the name of one: adams-bashforth (the default), euler, heun, ... (``solvers.SOLVERS``).
    t0: by default 0.8 from a draft, 0 from noise.
    sigma: 0.3 by default; only from a draft.
    clip: the range (low, high) that samples are clipped to; by default none.
    hooks: functions of the state, applied after every step.
    device: by default that of the model's parameters, else that of the drafts.
    """

    steps: int
    solver: str | Solver
    t0: float
    sigma: float
    predicts: Predicts
    seen: bool
    clip: tuple[float, float]
    hooks: Sequence[Hook]
    device: str


@numbers_checked
def flow_sampler(
    model: Model,
    start: object = None,
    *,
    shape: Sequence[int] | None = None,
    condition: Sequence[str] = (),
    **options: Unpack[Sampling],
) -> Sampler:
    """Your own model as a ``Sampler``: ``sampler(n, steps=, seed=)`` gives samples with counted calls, and is what
    ``warmflow.evaluate`` takes as a method.

    Args:
        start: drafts (an array that is drawn from, a callable draft(n, seed), a ``Source``); None for noise.
        shape: the shape of a sample; needed only if the flow starts from noise.
        condition: names of further conditions that the model is given.
        options: those of ``Sampling``.

    Raises:
        ValueError: an unknown option or solver, noise without a shape, impossible values.
    """
    _known(options)
    here = start.device if isinstance(start, Tensor) else torch.device("cpu")
    predicts, device = options.get("predicts", "velocity"), options.get("device") or str(_device(model, here))
    hooks, clip = tuple(options.get("hooks", ())), options.get("clip")
    if clip is not None:
        hooks = (*hooks, Clip(*clip))
    asked = options.get("solver", "adams-bashforth")
    solver = solver_named(asked) if isinstance(asked, str) else asked
    source: Source
    if start is None:
        if shape is None:
            raise ValueError("start is None, so the flow starts from noise: give shape, the shape of one sample")
        source, t0, sees = StandardNormal(tuple(shape)), 0.0, tuple(condition)
    else:
        draft = start if isinstance(start, Source) else External.of(start)
        source = draft if isinstance(draft, Blurred) else Blurred(draft, options.get("sigma", SIGMA))
        t0, names = T0, [*condition, *(draft.takes & {"label"})]
        sees = tuple(dict.fromkeys(["draft", *names] if options.get("seen", True) else names))
    field = _field(model, predicts, options.get("t0", t0), sees)
    return Sampler(source, field, solver, options.get("steps", STEPS), hooks, device)


@numbers_checked
def sample(
    model: Model, start: object = None, *, n: int | None = None, shape: Sequence[int] | None = None,
    condition: Mapping[str, Tensor] | None = None, seed: int = 0, batch: int | None = None, **options: Unpack[Sampling],
) -> Tensor:  # fmt: skip
    """Samples of your own model, integrated from drafts or from noise. A module is in evaluation mode during sampling.

    Args:
        start: drafts (n, *S), which give one sample each; or, with ``n``, a callable draft(n, seed), a ``Source`` such as
            ``PairedDataset.source``; None for noise of ``shape``.
        condition: (n, ...) by name, given to the model: {"label": labels}.
        seed: of every draw; the same seed gives the same samples at any batch size.
        batch: rows that are integrated at once; all if None.
        options: steps=4, solver="adams-bashforth", t0=0.8 (from noise 0), sigma=0.3, predicts="velocity", seen=True, clip, hooks;
            see ``Sampling``.

    Returns:
        (n, *S) on the model's device.

    Raises:
        ValueError: neither drafts nor n, an unknown option or solver, a model that returns another shape.
    """
    given = dict(condition or {})
    if isinstance(start, str):
        raise ValueError(
            f"start is {start!r}; give drafts, a draft(n, seed), or the source of your pairs: pairs.source"
        )
    if start is not None and not isinstance(start, Source) and not callable(start):
        drafts = torch.as_tensor(start)
        if n is not None and n != len(drafts):
            raise ValueError(f"n is {n} and there are {len(drafts)} drafts; leave n out, or give a draft(n, seed)")
        n = len(drafts)
        start, given["draft"] = drafts, drafts.detach().float()
    if n is None:
        raise ValueError("n is missing; give the number of samples, or an array of drafts")
    made = flow_sampler(model, start, shape=shape, condition=[k for k in given if k != "draft"], **options)
    return made(n, seed=seed, batch=batch, condition=given).x


def _known(options: Mapping[str, object]) -> None:
    for name in options:
        if name not in Sampling.__annotations__:
            raise ValueError(f"{name} is no option of sampling; {suggestion(name, Sampling.__annotations__)}")


def _alike(x0: Tensor, x1: Tensor) -> None:
    if x0.shape != x1.shape or not x1.is_floating_point():
        raise ValueError(
            f"x0 is {tuple(x0.shape)} {str(x0.dtype)[6:]} and x1 {tuple(x1.shape)} {str(x1.dtype)[6:]}; give floats of one shape"
        )


def _rows(batch: Sequence[object], model: Model) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """(start, data, condition) of a batch, on the model's device."""
    condition: Mapping[str, Tensor] = {}
    match batch:
        case [Tensor() as x0, Tensor() as x1]:
            pass
        case [Tensor() as x0, Tensor() as x1, Mapping() as condition]:
            pass
        case [Tensor(), Tensor(), other]:
            raise ValueError(
                f"the batch's third part is a {type(other).__name__}; give conditions by name: {{'label': labels}}"
            )
        case _:
            raise ValueError("batch is of another form; give (start, data) or (start, data, {name: condition})")
    _alike(x0, x1)
    device = _device(model, x1.device)
    return x0.to(device), x1.to(device), {k: v.to(device) for k, v in condition.items()}


def _device(model: Model, otherwise: torch.device) -> torch.device:
    weights = weights_of(model)
    return otherwise if weights is None else weights.device


def _field(model: Model, predicts: str, t0: float, sees: tuple[str, ...]) -> WrappedField:
    if predicts not in ("velocity", "x1"):
        raise ValueError(f"predicts is {predicts!r}; give 'velocity' or 'x1'")
    return WrappedField(model, predicts, sees=sees, path=LinearPath(t0))
