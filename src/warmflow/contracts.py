"""Read this page first: the data records of warmflow and the abstract classes that work on them.

    A *source* gives a start; a *coupling* pairs starts with data; a *path* joins each pair on [t0, 1]; a *field* learns the
    motion along it; a *solver* integrates it in few steps. An *evaluation* says, from samples alone, which method needs fewer
    network calls for the same quality.

Time runs from t = t0 at the source to t = 1 at the data, everywhere. In shapes, B is the batch size and S the shape of one
sample. Records are frozen and can be indexed by rows: ``r[rows]`` slices every tensor in them. Concrete classes are final: a
variation is a wrapper or a new class, never an override of a concrete method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from warmflow.brief import Brief
from warmflow.noise import Noise
from warmflow.records import Record

Condition = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Start(Record):
    """The start of a flow: x0 (B, *S), the conditions that a field may see, and the entries that are already data.

    ``condition`` maps names ("draft", "label", "z") to tensors (B, ...). ``fixed`` is a (B, *S) mask of entries that are
    already data. ``t`` (B,) replaces the path's t0 if it is given. ``calls`` (B,) counts the network calls made by the source
    itself.
    """

    x0: Tensor
    condition: Condition = field(default_factory=dict)
    fixed: Tensor | None = None
    t: Tensor | None = None
    calls: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Batch(Record):
    """Data: x1 (B, *S), conditions, the index of each row in its data set, and the starts if the data is paired.

    A whole data set in memory is a Batch of all its rows.
    """

    x1: Tensor
    condition: Condition = field(default_factory=dict)
    index: Tensor | None = None
    start: Start | None = None


@dataclass(frozen=True, eq=False)
class Pair(Record):
    """A start and the data point paired with it."""

    start: Start
    x1: Tensor
    index: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Point(Record):
    """A point on the path: x_t (B, *S) at t (B,), and its velocity (B, *S), which is None on jump paths."""

    pair: Pair
    t: Tensor
    x_t: Tensor
    velocity: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Estimate(Record):
    """The output of a field at (x_t, t). ``calls`` (B,) is the number of network evaluations for each sample."""

    calls: Tensor
    x1: Tensor | None = None
    velocity: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True, eq=False)
class State(Record):
    """The state of a solver: x (B, *S), t (B,) float64, calls (B,). ``memory`` belongs to the solver."""

    start: Start
    x: Tensor
    t: Tensor
    calls: Tensor
    memory: Any = None


@dataclass(frozen=True, eq=False)
class Samples(Record):
    """The output of a sampler. ``calls`` (B,) counts the flow's network only; the source's own cost is in ``start.calls`` and
    ``source_seconds``. ``seconds`` is the total wall time, including the source.
    """

    x: Tensor
    start: Start
    steps: int
    calls: Tensor
    seconds: float
    source_seconds: float


@runtime_checkable
class Data(Protocol):
    """Rows that are accessed by index: a Batch in memory, or any object that loads rows on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Batch: ...


class Source(Brief, ABC):
    """The distribution from which a flow starts. ``takes`` names the conditions that the distribution depends on."""

    if TYPE_CHECKING:  # fields or properties

        @property
        def takes(self) -> frozenset[str]: ...
        @property
        def shape(self) -> tuple[int, ...]: ...

    is_noise: ClassVar[bool] = False
    """Whether it is noise that knows nothing of the data."""

    @property
    def draft_source(self) -> Source | None:
        """The source of ``condition["draft"]``, to which noise is added or which the field sees; None without drafts."""
        return None

    @property
    def label_shares(self) -> Tensor | None:
        """(K,) the probabilities of the labels that it draws; None if it draws no labels."""
        return None

    @abstractmethod
    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        """Draws n starts. Conditions in ``condition`` (label, z, draft, index) are used as given; everything else is drawn from
        ``noise``.
        """


class Wrapper(Source):
    """A source whose starts are made from those of another one, of the same shape."""

    source: Source

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def label_shares(self) -> Tensor | None:
        return self.source.label_shares


class Latents(Protocol):
    """A model of a latent z (B, latent): ``networks.Auxiliary`` or ``networks.LowPass``."""

    latent: int

    def encode(self, y: Tensor) -> tuple[Tensor, Tensor]: ...
    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...


class Coupling(ABC):
    """A rule that pairs starts with data. ``preserves`` names the marginals that it keeps exactly; the audit measures it."""

    preserves: ClassVar[frozenset[str]]
    given: ClassVar[bool] = False
    """True if every data point comes with its own start."""
    blind: ClassVar[bool] = False
    """True if the pairs do not depend on the values of starts and data."""
    refines: ClassVar[bool] = False
    """True if ``prepare`` can improve its pairs by passes, which exchange starts between nearby pairs."""
    if TYPE_CHECKING:  # fields or properties

        @property
        def within(self) -> str | None:
            """The condition that pairs share; None where any start may be paired with any data."""

        @property
        def space(self) -> Callable[[Tensor], Tensor] | None:
            """The space in which costs are measured; None for that of the samples."""
    else:
        within = space = None

    @abstractmethod
    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        """Pairs every row of the batch with a start, or every start with a data point, so that the pairs follow the coupling's
        joint distribution.
        """


class Path(Brief, ABC):
    """How a pair is joined on [t0, 1]; exact at both ends."""

    t0: float

    @abstractmethod
    def begin(self, start: Start) -> Tensor:
        """The initial time (B,) float64 of each start: ``start.t`` if it is given, else t0."""

    @abstractmethod
    def sample(self, pair: Pair, t: Tensor, *, noise: Noise) -> Point:
        """Samples the path at times t (B,) in [t0, 1]."""


class FlowPath(Path):
    """A path with a velocity, and the conversions between predictions."""

    @abstractmethod
    def velocity(self, x1: Tensor, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
        """The velocity at (x_t, t), t < 1, of the path that ends in x1."""

    @abstractmethod
    def x1(self, velocity: Tensor, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
        """The end point of the path that passes through x_t at t with this velocity."""


class JumpPath(Path):
    """A path of tokens: each position jumps once from its start to its data token."""

    @abstractmethod
    def fires(self, t: Tensor, s: Tensor) -> Tensor:
        """The probability that a position still at its start at t has jumped by s: (k(s) - k(t)) / (1 - k(t)); 1 at s = 1."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """The jump rate at t, k'(t) / (1 - k(t)), finite for t < 1."""

    @abstractmethod
    def when(self, share: Tensor) -> Tensor:
        """The time (B,) at which the expected share of positions that have jumped equals ``share`` (B,)."""

    @abstractmethod
    def settled(self, x_t: Tensor, start: Start) -> Tensor:
        """A mask (B, L) of positions of x_t that cannot change any more: they are fixed, or have visibly jumped."""


class Field(Brief, ABC):
    """The motion along a path: a network, or an exact closed form."""

    path: Path
    if TYPE_CHECKING:  # a field or a property

        @property
        def sees(self) -> tuple[str, ...] | None:
            """Names of the start's conditions that it sees; None where a field of one's own does not say."""
    else:
        sees = None

    @abstractmethod
    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        """The estimate at x_t (B, *S) and t (B,), which sees only the condition of the start. A field on a jump path returns
        logits (B, L, V), or (M, V) at the M positions where ``at`` (B, L) is true, in row-major order.
        """


class Solver(Brief, ABC):
    """One integration step. A solver is stateless: values it must remember are kept in ``State.memory``."""

    name: ClassVar[str] = ""
    """The name by which users ask for it with its default options; empty if it is not asked for by name."""
    title: ClassVar[str] = ""
    """Its name in tables; that of the class by default."""
    order: ClassVar[int]
    calls_per_step: ClassVar[int]
    calls_last_step: ClassVar[int]
    """Declared calls of a step, and of the step that ends at t = 1. Used in tests only, never for counting."""
    jumps: ClassVar[bool] = False
    """Whether it samples tokens, whose steps may cost no call."""
    spacing: float = 1.0
    """The time grid of n steps: t0 + (1 - t0) (i / n)^spacing."""

    @abstractmethod
    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        """The initial state at times t (B,)."""

    @abstractmethod
    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        """The state at times s (B,). A pure function; rows with t == s are unchanged and cost no calls."""


@dataclass(frozen=True, eq=False)
class Player(Brief):
    """A network to train and the settings of its optimiser; ``ema`` is the decay of the averaged weights, 0 for none."""

    network: nn.Module
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    ema: float = 0.999


class Objective(Brief, ABC):
    """A training objective. One training step is one batch and one update of one player. ``product`` names the player whose
    network is the result.
    """

    if TYPE_CHECKING:  # a field or a property

        @property
        def players(self) -> Mapping[str, Player]: ...

    product: str

    @abstractmethod
    def turn(self, step: int) -> str:
        """The name of the player that is updated at this step."""

    @abstractmethod
    def pair(self, batch: Batch, *, noise: Noise) -> Pair:
        """Pairs the *whole* batch, before it is divided between processes: pairing each half separately would give another
        joint distribution. ``noise`` has one stream per row.
        """

    @abstractmethod
    def loss(self, turn: str, pair: Pair, *, noise: Noise) -> tuple[Tensor, dict[str, float]]:
        """The mean loss over these rows (any part of the batch), and numbers to log."""


class Metric(Brief, ABC):
    """A distance between sets of samples, computed on features; the features of real data are computed once."""

    name: str

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The features (n, d) float64 of x (n, *S)."""

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> float:
        """The distance between two sets of features (n, d) and (m, d)."""
