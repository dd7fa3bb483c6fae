"""The page to read first: the records that travel through warmflow and the abstract classes that carry them.

    A *source* gives a start; a *coupling* pairs starts with data; a *path* joins each pair on [t0, 1]; a *field*
    learns the motion along it; a *solver* walks it in few steps; a *verdict* says whether the walk got shorter
    at the same quality.

Time runs from t = t0 at the source to t = 1 at the data, everywhere. B is the batch, S the shape of one sample.
Records are frozen and row-indexable: ``r[rows]`` slices every tensor in them. Concrete classes are final: a variation
is a wrapper or a new leaf, never an override.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from warmflow.noise import Noise

R = TypeVar("R", bound="Record")
Condition = Mapping[str, Tensor]


def _each(value: Any, act: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return act(value)
    if isinstance(value, Record):
        return value.each(act)
    if isinstance(value, Mapping):
        return {k: _each(v, act) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_each(v, act) for v in value)
    return value


@dataclass(frozen=True, eq=False)
class Record:
    """A frozen bundle of tensors with a common first axis; everything that is not a tensor is carried along."""

    def each(self: R, act: Callable[[Tensor], Tensor]) -> R:
        """The same record with ``act`` applied to every tensor in it, nested records included."""
        return dataclasses.replace(
            self, **{f.name: _each(getattr(self, f.name), act) for f in dataclasses.fields(self)}
        )

    def __getitem__(self: R, rows: Tensor | slice) -> R:
        return self.each(lambda x: x[rows])

    def __len__(self) -> int:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor | Record):
                return len(value)
        raise TypeError(f"{type(self).__name__} holds no tensor, so it has no length")

    def to(self: R, device: torch.device | str) -> R:
        return self.each(lambda x: x.to(device))


def concatenate(records: Sequence[R]) -> R:
    """One record with the rows of many; numbers that are not tensors are taken from the first."""

    def join(values: list[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.cat(values)
        if isinstance(values[0], Record):
            return concatenate(values)
        if isinstance(values[0], Mapping):
            return {k: join([v[k] for v in values]) for k in values[0]}
        if isinstance(values[0], tuple | list):
            return type(values[0])(join(list(column)) for column in zip(*values, strict=True))
        return values[0]

    return dataclasses.replace(
        records[0], **{f.name: join([getattr(r, f.name) for r in records]) for f in dataclasses.fields(records[0])}
    )


@dataclass(frozen=True, eq=False)
class Start(Record):
    """Where a flow starts: x0 (B, *S), all that a field may see of it, and what is already data.

    ``condition`` maps names ("draft", "label", "z") to (B, ...). ``fixed`` is a (B, *S) mask of entries that are data
    already. ``t`` (B,) overrides the path's t0; ``calls`` (B,) counts network calls the source itself spent.
    """

    x0: Tensor
    condition: Condition = field(default_factory=dict)
    fixed: Tensor | None = None
    t: Tensor | None = None
    calls: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Batch(Record):
    """Data: x1 (B, *S), conditions, the index of each row in its data set, and its start where the data is paired.

    A whole data set in memory is a Batch of all its rows.
    """

    x1: Tensor
    condition: Condition = field(default_factory=dict)
    index: Tensor | None = None
    start: Start | None = None


@dataclass(frozen=True, eq=False)
class Pair(Record):
    """A start and the datum it is to become."""

    start: Start
    x1: Tensor
    index: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Point(Record):
    """A point of the path: x_t (B, *S) at t (B,); velocity (B, *S), or None on jump paths."""

    pair: Pair
    t: Tensor
    x_t: Tensor
    velocity: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Estimate(Record):
    """What a field says at (x_t, t). ``calls`` (B,) is how many network evaluations each sample cost."""

    calls: Tensor
    x1: Tensor | None = None
    velocity: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True, eq=False)
class State(Record):
    """A walk in progress: x (B, *S), t (B,) float64, calls (B,); ``memory`` belongs to the solver."""

    start: Start
    x: Tensor
    t: Tensor
    calls: Tensor
    memory: Any = None


@dataclass(frozen=True, eq=False)
class Samples(Record):
    """What a sampler returns. ``calls`` (B,) of the flow's network only; the source's own cost is in ``start.calls``
    and ``source_seconds``; ``seconds`` is the wall time of everything, the source included."""

    x: Tensor
    start: Start
    steps: int
    calls: Tensor
    seconds: float
    source_seconds: float


@runtime_checkable
class Data(Protocol):
    """Rows that can be asked for by index: a Batch in memory, or anything that loads on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Batch: ...


class Source(ABC):
    """Where a flow starts. ``takes`` names the conditions its law depends on."""

    takes: frozenset[str]
    shape: tuple[int, ...]

    @abstractmethod
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        """n starts. What ``condition`` names (label, z, draft, index) is taken, the rest is drawn from ``noise``."""


class Coupling(ABC):
    """Who is paired with whom. ``preserves`` names the marginals it keeps exactly; the audit measures it."""

    preserves: ClassVar[frozenset[str]]

    @abstractmethod
    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        """A start for every row of the batch (or a datum for every start), in the law the coupling stands for."""


class Path(ABC):
    """How a pair is joined on [t0, 1], exact at both ends."""

    t0: float

    @abstractmethod
    def begin(self, start: Start) -> Tensor:
        """(B,) float64: the time each start stands at, ``start.t`` where it is given, else t0."""

    @abstractmethod
    def sample(self, pair: Pair, t: Tensor, *, noise: Noise) -> Point:
        """The path's point at times t (B,) in [t0, 1]."""


class FlowPath(Path):
    """A path with a velocity; conversions between predictions live with it."""

    @abstractmethod
    def velocity(self, x1: Tensor, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
        """The velocity at (x_t, t < 1) of the path that ends in x1."""

    @abstractmethod
    def x1(self, velocity: Tensor, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
        """The end of the path that passes (x_t, t) with this velocity."""


class JumpPath(Path):
    """A path of tokens: each position jumps from start to datum once."""

    @abstractmethod
    def fires(self, t: Tensor, s: Tensor) -> Tensor:
        """Probability that a position still at its start at t has jumped by s: (k(s) - k(t)) / (1 - k(t)); 1 at s = 1."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """The rate of jumping at t, k'(t) / (1 - k(t)), finite for t < 1."""

    @abstractmethod
    def when(self, share: Tensor) -> Tensor:
        """The time (B,) at which a share (B,) of the positions is expected to have jumped."""

    @abstractmethod
    def settled(self, x_t: Tensor, start: Start) -> Tensor:
        """(B, L) bool: positions of x_t that cannot change any more (they are fixed, or are seen to have jumped)."""


class Field(ABC):
    """The motion along a path: a network, or an exact oracle."""

    path: Path

    @abstractmethod
    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        """The estimate at x_t (B, *S) and t (B,), seeing of the start only its condition. A field on a jump path gives
        logits (B, L, V), or (M, V) at the M positions where ``at`` (B, L) bool is true, row by row."""


class Solver(ABC):
    """One step of a walk. Stateless: what must be remembered travels in ``State.memory``."""

    order: ClassVar[int]
    calls_per_step: ClassVar[int]
    calls_last_step: ClassVar[int]
    """What a step, and the step that ends at t = 1, declare to cost: for tests, never used to count."""
    spacing: float = 1.0
    """Where the n steps of a walk stand: t0 + (1 - t0) (i / n)^spacing."""

    @abstractmethod
    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        """The walk's first state at times t (B,)."""

    @abstractmethod
    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        """The state at times s (B,). Pure; rows with t == s are unchanged and cost nothing."""


@dataclass(frozen=True, eq=False)
class Player:
    """A network that is trained, with its optimiser's settings; ``ema`` is the decay, 0 for none."""

    network: nn.Module
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    ema: float = 0.999


class Objective(ABC):
    """What is trained. One step is one batch and one update of one player."""

    players: Mapping[str, Player]
    product: str

    @abstractmethod
    def turn(self, step: int) -> str:
        """The name of the player whose turn it is."""

    @abstractmethod
    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        """Pairs of the *whole* batch, before it is divided between processes: a pairing of half a batch is another
        law. ``noise`` has one stream a row."""

    @abstractmethod
    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        """The mean loss over these rows (any part of the batch) and numbers worth logging."""


class Metric(ABC):
    """A distance between sets of samples, through features that are computed once for real data."""

    name: str

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """(n, d) float64 features of x (n, *S)."""

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> float:
        """The distance between two sets of features (n, d) and (m, d)."""
