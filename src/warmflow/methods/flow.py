"""A flow of a problem's space: field, objective and sampler from a source, a coupling and a start time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from warmflow.contracts import Coupling, Data, Field, Objective, Player, Source
from warmflow.fields import Guided, NetworkField, TokenField, as_guided, with_network
from warmflow.methods.base import Method, Networks, Stage
from warmflow.methods.parts import Parts
from warmflow.objectives import DiscreteFlowMatching, FlowMatching
from warmflow.paths import LinearPath, MixturePath
from warmflow.sampler import Sampler
from warmflow.setup import Setup, Shape, interval_of
from warmflow.solvers import AdamsBashforth, Jump

DROP = 0.1
"""Share of the rows whose label is dropped in training, so that guidance has a velocity without it."""
STEPS = 4


@dataclass(frozen=True, eq=False)
class Flow:
    """An untrained flow; its network is called "flow"."""

    objective: Objective
    data: Data
    sampler: Sampler

    def trained(self, network: nn.Module) -> Sampler:
        """The sampler with these weights."""
        field = self.sampler.field
        guided = as_guided(field)
        inner = with_network(guided.field, network)
        return replace(self.sampler, field=inner if guided is not field else replace(guided, field=inner))


class FlowMethod(Method):
    """A method that trains one flow, and before it no more than its parts."""

    @abstractmethod
    def flow(self, parts: Parts) -> Flow:
        """The flow, untrained."""

    def stages(self, parts: Parts) -> Sequence[Stage]:
        flow = self.flow(parts)
        return [Stage("flow", lambda _: (flow.objective, flow.data))]

    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        return self.flow(parts).trained(networks["flow"])


def flow_of(
    setup: Setup, seed: int, source: Source, coupling: Coupling, data: Data, *, t0: float = 0.0,
    sees: Mapping[str, Shape] | None = None, masked: bool = False, begin: nn.Module | None = None, weigh_by: str | None = None,
) -> Flow:  # fmt: skip
    """The flow of this problem from ``source``.

    Args:
        sees: what the network sees of a start, beside the conditions that every flow is given.
        masked: tokens: the path keeps the mask apart from the vocabulary.
        begin: a trained cold network whose weights are taken over.
        weigh_by: floats: the condition that the squared errors are weighted by.

    Raises:
        ValueError: a network that does not fit ``begin``.
    """
    t, shapes = setup.training, {**(sees or {}), **setup.given}
    if setup.space == "tokens":
        path = MixturePath(t0, t.power, setup.vocabulary) if masked else MixturePath(t0, t.power)
        net = network_of(setup, shapes, seed, begin)
        field = TokenField(net, path, tuple(shapes), t.autocast)
        player = Player(net, t.learning_rate, ema=t.ema)
        objective: Objective = DiscreteFlowMatching(field, source, coupling, player, t.weighting)
        return Flow(objective, data, Sampler(source, field, Jump(), 16))
    network = network_of(setup, shapes, seed, begin)
    inner = NetworkField(network, LinearPath(t0), t.predicts, tuple(shapes), t.autocast)
    player = Player(network, t.learning_rate, ema=t.ema)
    drop = DROP if "label" in shapes else 0.0
    objective = FlowMatching(inner, source, coupling, player, drop=drop, weigh_by=weigh_by)
    return Flow(objective, data, Sampler(source, guided(inner, setup), AdamsBashforth(), STEPS, setup.hooks))


def guided(field: Field, setup: Setup) -> Field:
    """The field with classifier-free guidance, where that is asked."""
    t = setup.training
    return field if t.guidance == 1 else Guided(field, t.guidance, ("label",), interval_of(t.guidance_interval))


def network_of(setup: Setup, sees: Mapping[str, Shape], seed: int, begin: nn.Module | None = None) -> nn.Module:
    """A fresh network, or one that takes over a trained cold network's weights."""
    made = setup.build(setup.shape, sees, seed)
    if begin is not None:
        take_over(made, begin)
    return made


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
        elif old is None and name.startswith("seen."):
            value.zero_()  # an embedding of what the cold network did not see
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
