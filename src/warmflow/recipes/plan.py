"""A plan: everything that a comparison, a training run or an audit needs to know about a problem.

Draft, prior and pairs are made anew for each training seed, and shared by the flows of that seed. Flows differ in where they
start and how starts are paired, and in nothing else: same network (but for the input that sees the draft), updates, batch,
optimiser.

What flows a kind of data has and how each is made is its ``Flow``: ``flows`` for floats,
``tokens`` for tokens.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from warmflow.contracts import Batch, Coupling, Data, Objective, Source, Start
from warmflow.couplings import prepare
from warmflow.data import DataSet
from warmflow.drafts.generators import GAN, VAE, train_gan, train_vae
from warmflow.evaluation.study import Role, Training
from warmflow.fields import Guided
from warmflow.networks import MLP, seeded
from warmflow.recipes.settings import PIPELINE, TRAINED_DRAFTS, Drafted, Floats, Settings, is_pipeline
from warmflow.sampler import Clip, Hook, Sampler
from warmflow.sources import DiffusersPipeline, Gaussian, GaussianMixture, StandardNormal


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm of one seed: what to train on which data, and the sampler that comes of it."""

    name: str
    objective: Objective
    data: Data
    sampler: Sampler

    def trained(self, network: nn.Module, device: str = "cpu") -> Sampler:
        """The sampler with these weights."""
        field: Any = self.sampler.field
        if isinstance(field, Guided):
            inner: Any = field.field
            whole: Any = replace(field, field=replace(inner, network=network))
        else:
            whole = replace(field, network=network)
        return replace(self.sampler, field=whole, device=device)


class Flow(ABC):
    """How the arms of a kind of data are made and walked. ``arms`` are trained at equal budget; the first ones are cold.

    The claim is about the arm ``judged``; arms that are neither it nor cold stand beside it.
    """

    arms: tuple[str, ...]
    of_prior: tuple[str, ...] = ()
    """Arms that start from the plan's learned prior."""
    candidates: tuple[str, ...] = ("warm",)
    """Flows that are judged against the cold ones."""
    control: str = "noise"
    """The flow of the first candidate's recipe from noise; it may be no flow of these."""
    titles: Mapping[str, str] = MappingProxyType({})
    """What flows are called in sentences, where it is not their name."""
    offline: tuple[str, ...]
    """Pairings that are made before training, on blocks of the whole set."""
    training: Training = Training.EQUAL
    """What is held equal between the flows."""
    counted: tuple[str, ...] = ("draft", "pairing")
    """What a candidate's cost counts beside its flow."""
    audited: bool = True
    """Whether pairings are compared before a verdict: not where every datum has its own draft."""

    def role(self, arm: str) -> Role:
        """What a flow is to the verdict."""
        if arm.startswith("cold"):
            return Role.BASELINE
        if arm in self.candidates:
            return Role.CANDIDATE
        return Role.CONTROL if arm == self.control else Role.SHOWN

    def of(self, arm: str) -> str:
        """Of the control, the candidate it belongs to."""
        return "warm" if arm == self.control else ""

    def title(self, arm: str) -> str:
        """What a flow is called in sentences; empty for its name."""
        return {**TITLES, **self.titles}.get(arm, "")

    def needs(self, arm: str) -> str:
        """The source that must be there before a flow is trained: "draft", "prior", "noise" (paired offline), or none ("")."""
        return {"warm": "draft", **dict.fromkeys(OF_NOISE, "noise")}.get(arm, "prior" if arm in self.of_prior else "")

    def paired(self, plan: Plan, arm: str) -> tuple[str, str] | None:
        """The source and the pairing that a flow's pairs are made of; None where it takes the data as they are.

        The control "noise" is paired as the warm flow. Drafts given with the data (pairing "given") have no counterpart among
        samples of noise; the control is then paired by assignment.
        """
        pairing = plan.settings.pairing
        if arm == "noise":
            return "noise", "assignment" if pairing == "given" else pairing
        return {"warm": ("draft", pairing), "cold_whole": ("noise", "assignment")}.get(arm)

    @abstractmethod
    def noise(self, plan: Plan) -> Source:
        """The source of a cold flow, with the conditions that every flow is given."""

    @abstractmethod
    def warm_source(self, plan: Plan, draft: Source) -> Source:
        """The default warm start around a draft."""

    @abstractmethod
    def coupling(self, plan: Plan, pairing: str) -> Coupling:
        """The coupling that a pairing's name stands for; ValueError for an unknown one."""

    @abstractmethod
    def arm(
        self, plan: Plan, name: str, seed: int, draft: Source | None, paired: Batch | None, begin: Any = None
    ) -> Arm:
        """An untrained arm.

        Args:
            begin: None for a fresh network; a ``WrappedField`` (trained further as it is), or a trained cold module whose
                weights a network of the same sizes takes over (inputs that see the draft start at zero).

        Raises:
            ValueError: an unknown arm; a network that does not fit.
        """

    def stand_in(self, plan: Plan) -> Source | None:
        """A source that costs what the draft does and is not trained; None where the draft itself needs no training."""
        return None


class Drafting(Protocol):
    """Fits, trains or fetches a draft; a trained one in ``folder``, where it is continued or read, with a progress bar.
    ``seed`` is of the fit alone: the data do not depend on it."""

    def __call__(self, folder: Path | None = None, progress: bool = False, seed: int = 0) -> Source: ...


TITLES = {
    "cold": "cold with independent pairs", "cold_assigned": "cold with minibatch pairs",
    "cold_whole": "cold with whole-set pairs", "cold_masked": "cold from a mask", "noise": "warm from noise",
}  # fmt: skip
OF_NOISE = ("cold_whole", "noise")
"""Flows whose pairs are made of noise."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A problem, ready to be run.

    Args:
        name: the recipe's, or "custom".
        draft: fits, trains or fetches the draft source; called once for each training seed.
        aligned: drafts (n, *S) of the training rows, one a row, where the user's drafts are aligned with the data (the
            pairing "given"); the draft source then holds those of the other rows.
        given: pairs made elsewhere (drafts and what they were refined to), to be trained on as they are.
        prior: trains the learned prior in a folder, or reads it there: (folder, progress, seed) -> prior and facts. None where
            the recipe has none.
        network: builds a network: (shape, names of the conditions it sees and their shapes, of "label" the number of
            labels, seed) -> module.
    """

    name: str
    settings: Settings
    data: DataSet
    draft: Drafting
    network: Callable[[tuple[int, ...], dict[str, tuple[int, ...]], int], nn.Module]
    flow: Flow
    aligned: Tensor | None = None
    given: Batch | None = None
    prior: Callable[[Path, bool, int], tuple[Source, dict[str, Any]]] | None = None

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The post-processing of every arm alike: images are clipped to their range."""
        return () if self.data.bounds is None else (Clip(*self.data.bounds),)

    def clip(self, x: Tensor) -> Tensor:
        return x if self.data.bounds is None else x.clamp(*self.data.bounds)


Build = Callable[[tuple[int, ...], dict[str, tuple[int, ...]], int], nn.Module]
"""A network of (shape of a sample, names and shapes of the conditions it sees, seed)."""


def latent_apart(sees: dict[str, tuple[int, ...]]) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """What stands beside x, and the latent z, which goes into the norms; the label is neither."""
    return {k: v for k, v in sees.items() if k not in ("z", "label")}, {k: v for k, v in sees.items() if k == "z"}


def labels_in(sees: dict[str, tuple[int, ...]]) -> int:
    """How many labels a network sees; 0 for none."""
    return sees.get("label", (0,))[0]


@lru_cache(maxsize=1)
def uncompiled() -> str:
    """Why nothing can be compiled here; empty where it can. Asked by compiling a small network's gradient."""
    try:
        device = "cuda" if torch.cuda.is_available() else "cpu"  # each has a compiler of its own
        small = torch.nn.Linear(2, 2, device=device)
        small.compile()
        small(torch.ones(1, 2, device=device)).sum().backward()
    except Exception as error:  # whatever a compiler's absence raises
        return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ""


def set_up(network: nn.Module, settings: Settings) -> nn.Module:
    """The network laid out and compiled as asked, in place: its weights keep their names, and a copy of it is not compiled."""
    s = settings
    if getattr(s, "channels_last", False):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if s.compile and uncompiled():
        warnings.warn(
            f"--compile is left out, nothing compiles here ({uncompiled()[:200]}): install a C++ compiler, for CUDA Triton",
            stacklevel=2,
        )
    elif s.compile:
        network.compile()
    return network


def network(settings: Settings) -> Build:
    """The recipes' network: a residual perceptron. A latent z scales and shifts its norms, all else it sees stands beside x."""
    s = settings

    def build(shape: tuple[int, ...], sees: dict[str, tuple[int, ...]], seed: int) -> nn.Module:
        beside, z = latent_apart(sees)
        made = seeded(
            seed,
            lambda: MLP(
                shape,
                sees=beside,
                modulated=z,
                classes=labels_in(sees),
                width=s.width,
                depth=s.depth,
                dropout=s.dropout,
            ),
        )
        return set_up(made, s)

    return build


def ready(source: Source) -> Drafting:
    """A draft for which there is nothing to do."""
    return lambda folder=None, progress=False, seed=0: source


def fitted(settings: Floats, x: Tensor) -> Drafting:
    """The draft of these settings, fitted to the training data x (n, *S) when called."""

    def fit(folder: Path | None = None, progress: bool = False, seed: int = 0) -> Source:
        if isinstance(settings, Drafted) and settings.draft in TRAINED_DRAFTS:
            return _trained(settings, x, folder, settings.draft if progress else None, seed)
        if isinstance(settings, Drafted) and is_pipeline(settings.draft):
            name = settings.draft.removeprefix(PIPELINE)
            return DiffusersPipeline.of(name, tuple(x.shape[1:]), settings.draft_steps)
        if settings.draft == "gaussian":
            return Gaussian.fit(x)
        if settings.draft == "mixture":
            return GaussianMixture.fit(x, components=settings.components, seed=seed)
        if settings.draft == "noise":
            return StandardNormal(tuple(x.shape[1:]))
        raise ValueError(f"--draft is {settings.draft!r}, which only toys have; use mixture, gaussian or noise")

    return fit


def _trained(s: Drafted, x: Tensor, folder: Path | None, progress: str | None, seed: int) -> Source:
    """A draft that is a network, trained in the folder or read from it."""
    own = VAE if s.draft == "vae" else GAN
    more: dict[str, Any] = {
        "steps": s.draft_updates or own["updates"], "width": s.draft_width or own["width"], "seed": seed,
        "latent": s.draft_latent or own["latent"], "folder": folder, "progress": progress,
    }  # fmt: skip
    return train_vae(x, components=s.components, **more) if s.draft == "vae" else train_gan(x, **more)


def pairs(
    plan: Plan, draft: Source, folder: Path | None, progress: Callable[[int, int], None] | None = None, *, seed: int = 0,
    **changes: Any,
) -> Batch:  # fmt: skip
    """The training data of a flow from ``draft``: paired offline where the pairing is, else the bare data. ``changes`` are of
    the settings, like ``pairing``."""
    s = replace(plan.settings, **changes) if changes else plan.settings
    if s.pairing == "given":
        train = plan.data.train
        if plan.given is not None:
            return plan.given
        if plan.aligned is None:
            raise ValueError("--pairing is 'given', which needs an array of drafts aligned with the data: draft=array")
        return replace(train, start=Start(plan.aligned, {}))
    data, flow = plan.data.train, plan.flow
    if s.pairing not in flow.offline:
        return data
    coupling = flow.coupling(plan, s.pairing)
    passes = s.passes if isinstance(s, Floats) and s.pairing == "assignment" else 0
    return prepare(
        coupling,
        data,
        draft,
        folder,
        block=s.block,
        rounds=s.rounds,
        passes=passes,
        seed=seed,
        progress=progress,
    )
