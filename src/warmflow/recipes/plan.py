"""A plan: everything that a comparison, a training run or an audit needs to know about a problem.

The draft is fitted, and the pairs are made, once; every seed and arm shares them. Arms differ in where they start and how
starts are paired, and in nothing else: same network (but for the input that sees the draft), updates, batch, optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from warmflow.contracts import Batch, Coupling, Player, Source, Start
from warmflow.couplings import Assignment, Given, Independent, NearestDatum, NearestDraft, prepare
from warmflow.data import DataSet
from warmflow.fields import NetworkField, WrappedField
from warmflow.networks import MLP, seeded
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.recipes.settings import Settings
from warmflow.sampler import Clip, Hook, Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, Gaussian, GaussianMixture, StandardNormal

COUPLINGS: dict[str, Coupling] = {
    "assignment": Assignment(),
    "minibatch-assignment": Assignment(),
    "nearest-datum": NearestDatum(),
    "nearest-draft": NearestDraft(),
    "independent": Independent(),
}
ARMS = ("cold", "cold_assigned", "warm")
OFFLINE = ("assignment", "nearest-datum", "nearest-draft")
PAIRED = (*OFFLINE, "given")


@dataclass(frozen=True, eq=False)
class Plan:
    """A problem, ready to be run.

    Args:
        name: the recipe's, or "custom".
        draft: fits or fetches the draft source; called once.
        aligned: drafts (n, *S) of the training rows, one a row, where the user's drafts are aligned with the data (the
            pairing "given"); the draft source then holds those of the other rows.
        network: builds a network: (shape, names of the conditions it sees and their shapes, seed) -> module.
    """

    name: str
    settings: Settings
    data: DataSet
    draft: Callable[[], Source]
    network: Callable[[tuple[int, ...], dict[str, tuple[int, ...]], int], nn.Module]
    aligned: Tensor | None = None

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The post-processing of every arm alike: images are clipped to their range."""
        return () if self.data.bounds is None else (Clip(*self.data.bounds),)

    def clip(self, x: Tensor) -> Tensor:
        return x if self.data.bounds is None else x.clamp(*self.data.bounds)

    def warm_source(self, draft: Source) -> Source:
        """The default warm start around a draft: its own noise added, unless sigma is 0 and the field is blind to it."""
        return Blurred(draft, self.settings.sigma) if self.settings.seen or self.settings.sigma else draft


def network(settings: Settings) -> Callable[[tuple[int, ...], dict[str, tuple[int, ...]], int], nn.Module]:
    """The recipes' network: a residual perceptron."""
    s = settings

    def build(shape: tuple[int, ...], sees: dict[str, tuple[int, ...]], seed: int) -> nn.Module:
        return seeded(seed, lambda: MLP(shape, sees=sees, width=s.width, depth=s.depth, dropout=s.dropout))

    return build


def fitted(settings: Settings, x: Tensor) -> Callable[[], Source]:
    """The draft of these settings, fitted to the training data x (n, *S) when called."""

    def fit() -> Source:
        if settings.draft == "gaussian":
            return Gaussian.fit(x)
        if settings.draft == "mixture":
            return GaussianMixture.fit(x, components=settings.components)
        if settings.draft == "noise":
            return StandardNormal(tuple(x.shape[1:]))
        raise ValueError(f"--draft is {settings.draft!r}, which only toys have; use mixture, gaussian or noise")

    return fit


def pairs(
    plan: Plan, draft: Source, folder: Path | None, progress: Callable[[int, int], None] | None = None, **changes: Any
) -> Batch:
    """The training data of the warm arm: paired offline where the pairing is, else the bare data."""
    s = replace(plan.settings, **changes) if changes else plan.settings
    if s.pairing == "given":
        train = plan.data.train
        if plan.aligned is None:
            raise ValueError("--pairing is 'given', which needs an array of drafts aligned with the data: draft=array")
        return replace(train, start=Start(plan.aligned, {}))
    if s.pairing not in OFFLINE:
        return plan.data.train
    data = plan.data.train
    return prepare(
        COUPLINGS[s.pairing], data, draft, folder, block=s.block, rounds=s.rounds, seed=s.data_seed, progress=progress
    )


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm of one seed: what to train on which data, and the sampler that comes of it."""

    name: str
    objective: FlowMatching
    data: Batch
    sampler: Sampler

    def trained(self, network: nn.Module, device: str = "cpu") -> Sampler:
        """The sampler with these weights."""
        field = self.objective.field
        if isinstance(field, NetworkField):
            return replace(self.sampler, field=replace(field, network=network), device=device)
        return replace(self.sampler, field=replace(field, network=network), device=device)


def arm(
    plan: Plan,
    name: str,
    seed: int,
    draft: Source | None,
    paired: Batch | None,
    begin: Any = None,
    autocast: str | None = None,
) -> Arm:
    """An untrained arm: "cold", "cold_assigned" (minibatch assignment of noise to data) or "warm".

    Args:
        begin: None for a fresh network; a ``WrappedField`` (trained further as it is), or a trained cold module whose
            weights a network of the same sizes takes over (inputs that see the draft start at zero).

    Raises:
        ValueError: an unknown arm; a network that does not fit.
    """
    s, shape = plan.settings, plan.data.shape
    source: Source
    if name == "warm":
        assert draft is not None and paired is not None
        source, data = plan.warm_source(draft), paired
        coupling = Given() if s.pairing in PAIRED else COUPLINGS[s.pairing]
        sees, path = (("draft",) if s.seen else ()), LinearPath(s.t0)
    elif name in ("cold", "cold_assigned"):
        source, data = StandardNormal(shape), plan.data.train
        coupling = Independent() if name == "cold" else Assignment()
        sees, path = (), LinearPath(0.0)
    else:
        raise ValueError(f"arm {name!r} is unknown; known: {', '.join(ARMS)}")
    field: NetworkField | WrappedField
    if isinstance(begin, WrappedField):
        if not isinstance(begin.network, nn.Module):
            raise ValueError(
                "the wrapped model is not a torch module, so it cannot be trained; it can be compared with"
            )
        field = replace(begin, path=path)
    else:
        net = plan.network(shape, dict.fromkeys(sees, shape), seed)
        if begin is not None:
            take_over(net, begin)
        field = NetworkField(net, path, s.predicts, sees, autocast)
    player = Player(field.network, s.learning_rate, ema=s.ema)  # type: ignore[arg-type]
    objective = FlowMatching(field, source, coupling, player)
    return Arm(name, objective, data, Sampler(source, field, Euler(), 4, plan.hooks))


def take_over(network: nn.Module, trained: nn.Module) -> None:
    """Copies a cold network's weights; a first layer that also sees a draft keeps zeros there, so that the warm flow
    begins as the cold one.

    Raises:
        ValueError: the networks differ in more than what they see.
    """
    ours, theirs = network.state_dict(), trained.state_dict()
    for name, value in ours.items():
        old = theirs.get(name)
        if old is not None and old.shape == value.shape:
            value.copy_(old)
        elif old is not None and name == "into.weight" and old.shape[0] == value.shape[0]:
            if old.shape[1] > value.shape[1]:
                raise ValueError("the run to start from sees more than this one: start from a cold run")
            value.zero_()
            value[:, : old.shape[1]] = old
        else:
            had = "nothing" if old is None else str(tuple(old.shape))
            raise ValueError(
                f"cannot start from that run: its network has {had} at {name}, this one {tuple(value.shape)}; "
                "use the same width and depth"
            )
