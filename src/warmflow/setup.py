"""A problem made ready: its data, the options of training that all methods share, and what every flow of it is given.

Methods are written against ``Setup`` alone, so that one works on every problem that it fits. There are two *spaces*: floats
(points and images, on the linear path) and tokens (texts, points on a grid, on the mixture path).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal, cast

import torch
from torch import Tensor, nn

from warmflow.brief import Brief
from warmflow.contracts import Data, Source
from warmflow.data import DataSet
from warmflow.data.paired import INPUT
from warmflow.networks import MLP, DiT, TokenTransformer, UNet, dit, mlp, seeded, unet
from warmflow.options import RUNTIME, Count, NotNegative, Positive, Share, Whole, only, options
from warmflow.sampler import Clip, Hook
from warmflow.sources import Conditioned, Labelled, StandardNormal, UniformTokens

Shape = tuple[int, ...]
Build = Callable[[Shape, Mapping[str, Shape], int], nn.Module]
"""A network from (shape of a sample, shapes of the conditions it sees by name, seed). Of "label" the shape is (classes,)."""
PRESETS: Mapping[str, tuple[type[nn.Module], Mapping[str, Mapping[str, object]], str]] = {
    "unet": (UNet, unet.PRESETS, "blocks"), "dit": (DiT, dit.PRESETS, "depth"), "mlp": (MLP, mlp.PRESETS, "depth"),
}  # fmt: skip
"""Networks of floats: the class, its sizes, and what ``depth`` is called there."""


@options
class Training:
    """How every flow of a comparison is trained; the same for all methods."""

    updates: Count = 3000
    """Updates of each flow."""
    restarts: str | None = None
    """Numbers of updates after which the learning rate rises and falls again, like 600,900: ends of trainings that went on."""
    batch: Count = 128
    """Rows in one update."""
    learning_rate: Positive = 2e-3
    """AdamW's peak learning rate; linear warm-up, then a cosine."""
    ema: Share = 0.999
    """Decay of the averaged weights that are sampled from; 0 for none."""
    dropout: Share = 0.0
    """Dropout inside the network."""
    network: Literal["", "mlp", "unet", "dit", "transformer"] = ""
    """The kind of network; the problem's own by default."""
    preset: Annotated[Literal["tiny", "small", "base"], only("unet", "dit")] = "tiny"
    """The size of the network; on (3, 32, 32) a U-Net has 0.15, 3.2 or 20 million parameters."""
    width: Whole = 0
    """Width of the network; 0 for the preset's."""
    depth: Whole = 0
    """Blocks of the network; 0 for the preset's."""
    heads: Annotated[Count, only("tokens")] = 4
    """Attention heads of a transformer."""
    predicts: Annotated[Literal["x1", "velocity"], only("floats")] = "x1"
    """What the network predicts (floats)."""
    power: Annotated[Positive, only("tokens")] = 1.0
    """Tokens: the schedule k(t) = t^power; 1 is linear."""
    weighting: Annotated[Literal["cross_entropy", "generalised_kl"], only("tokens")] = "cross_entropy"
    """Tokens: the loss."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic inside the network; states and times stay in float32."""
    conditional: Annotated[bool, only("labels")] = False
    """Give every flow the label; drafts are fitted and pairs are made within it."""
    guidance: Annotated[NotNegative, only("labels")] = 1.0
    """Classifier-free guidance scale of every flow's samples; 1 disables it, any other value costs two calls a step."""
    guidance_interval: Annotated[str, only("labels")] = ""
    """LOW,HIGH: times t between which guidance is on; everywhere by default."""
    compile: Annotated[bool, RUNTIME] = False
    """Compile the network for training."""
    channels_last: Annotated[bool, RUNTIME, only("unet")] = False
    """Lay a U-Net's weights and images out by pixels."""

    def __post_init__(self) -> None:
        if not self.conditional and self.guidance != 1:
            raise ValueError(f"guidance is {self.guidance}, but the flows are given no labels: set conditional too")
        if interval_of(self.guidance_interval) is not None and self.guidance == 1:
            raise ValueError(f"guidance_interval is {self.guidance_interval!r}, but guidance is 1, which is off")

        ends_of(self.restarts, self.updates)

    @property
    def ends(self) -> tuple[int, ...]:
        """The updates at which the learning rate has come down; the last one is ``updates``."""
        return ends_of(self.restarts, self.updates)

    @property
    def autocast(self) -> str | None:
        """The dtype as fields take it."""
        return None if self.dtype == "float32" else self.dtype


def ends_of(restarts: str | None, updates: int) -> tuple[int, ...]:
    """``Training.ends``.

    Raises:
        ValueError: restarts that do not rise, or are not below ``updates``.
    """
    try:
        found = (*(int(part) for part in (restarts or "").split(",") if part), updates)
    except ValueError:
        found = ()
    if not found or found[0] < 1 or any(a >= b for a, b in pairwise(found)):
        raise ValueError(
            f"restarts is {restarts!r} with updates {updates}; give rising whole numbers below it, like 600"
        )
    return found


def interval_of(text: str) -> tuple[float, float] | None:
    """Converts LOW,HIGH to two times; None if it is empty.

    Raises:
        ValueError: times that are reversed or outside [0, 1].
    """
    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"guidance_interval is {text!r}; give two times with a comma, like 0.2,0.8") from None
    if not 0 <= low < high <= 1:
        raise ValueError(f"guidance_interval is {text!r}; give LOW below HIGH, both in [0, 1], like 0.2,0.8")
    return low, high


@dataclass(frozen=True, eq=False)
class Setup(Brief):
    """A problem with its data in memory.

    Args:
        name: the problem's.
        asked: the problem's options as JSON, which name it in run folders.
        build: makes a network, see ``Build``.
        defaults: values of options of methods and drafts that are left to the problem (None), by name.
        space: "floats" or "tokens".
        fresh: draws fresh data points, where the problem can; None elsewhere.
        asks_inputs: whether flows see the inputs that samples answer.
    """

    name: str
    asked: Mapping[str, object]
    data: DataSet
    training: Training
    build: Build
    defaults: Mapping[str, object] = field(default_factory=dict)
    space: Literal["floats", "tokens"] = "floats"
    fresh: Source | None = None
    asks_inputs: bool = True

    def __post_init__(self) -> None:
        if self.training.conditional and INPUT in self.data.apart.condition:
            raise ValueError(
                f"conditional is for data with labels, and samples of {self.name} answer an input: leave it out"
            )
        if self.training.conditional and self.space == "tokens":
            raise ValueError(f"conditional is for flows of floats, and {self.name} is of tokens: leave it out")
        if self.training.conditional:
            classes_of(self.data)

    @property
    def data_seed(self) -> int:
        """The seed of the data's own draws and split."""
        return cast("int", self.asked.get("data_seed", 0))

    @property
    def components(self) -> int:
        """The default number of components of a mixture draft."""
        return cast("int", self.defaults.get("components", 10))

    @property
    def shape(self) -> Shape:
        """The shape of one sample."""
        return self.data.shape

    @property
    def train(self) -> Data:
        """The training data; read on demand where it is larger than memory."""
        return self.data.train if self.data.whole is None else self.data.whole

    @property
    def vocabulary(self) -> int:
        """Number of tokens; 0 for floats."""
        return self.data.vocabulary

    @property
    def inputs(self) -> Tensor | None:
        """The inputs that samples answer (degraded images), from data that no flow is trained on; None if there are none."""
        return self.data.apart.condition.get(INPUT)

    def without_inputs(self) -> Setup:
        """The same problem, but flows do not receive the inputs (because the draft is the input itself)."""
        return replace(self, asks_inputs=False)

    @property
    def given(self) -> dict[str, Shape]:
        """The conditions that every flow sees, by name with their shapes."""
        found: dict[str, Shape] = {}
        if self.training.conditional:
            found["label"] = (classes_of(self.data),)
        if self.inputs is not None and self.asks_inputs:
            found[INPUT] = tuple(self.inputs.shape[1:])
        return found

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The post-processing of every method's samples: images are clipped to their range."""
        return () if self.data.bounds is None else (Clip(*self.data.bounds),)

    def clip(self, x: Tensor) -> Tensor:
        return x if self.data.bounds is None else x.clamp(*self.data.bounds)

    def noise(self) -> Source:
        """Noise, with the conditions that every flow is given."""
        if self.space == "tokens":
            return UniformTokens(self.shape, self.vocabulary)
        return self.conditioned(StandardNormal(self.shape))

    def conditioned(self, source: Source) -> Source:
        """The source with the labels or inputs that every flow is given."""
        if self.inputs is not None:
            return Conditioned(source, INPUT, self.inputs)
        if self.training.conditional:
            return Labelled.of(source, self.data.train.condition["label"])
        return source


def classes_of(data: DataSet) -> int:
    """The number of labels.

    Raises:
        ValueError: data without labels, with one, or with a label of fewer than two training rows.
    """
    label = data.train.condition.get("label")
    if label is None:
        raise ValueError(f"conditional is for data with labels, and {data.name} has none: leave it out")
    counts = torch.bincount(label, minlength=len(data.classes))
    if len(counts) < 2:
        raise ValueError(f"conditional is for several classes, and {data.name} has one: leave it out")
    rare = int(counts.argmin())
    if int(counts[rare]) < 2:
        name = data.classes[rare] if rare < len(data.classes) else str(rare)
        raise ValueError(
            f'{data.name}: class "{name}" has {int(counts[rare])} training rows; a draft of a class is fitted to at least two'
        )
    return len(counts)


# ---------------------------------------------------------------- networks


def float_network(training: Training, shape: Shape, default: str) -> Build:
    """The network of floats: conditions of the sample's shape stand beside x, a latent goes into the norms.

    Raises:
        ValueError: samples of this shape do not fit the network.
    """
    t = training
    name = t.network or default
    if name not in PRESETS:
        raise ValueError(f"network is {name!r}, which is for tokens; give mlp, unet or dit")
    kind, presets, deep = PRESETS[name]
    size = {**presets[t.preset], **({"width": t.width} if t.width else {}), **({deep: t.depth} if t.depth else {})}
    if name != "mlp" and t.width % 4:
        raise ValueError(f"width is {t.width}; a {name} takes a multiple of 4")
    if t.channels_last and name != "unet":
        raise ValueError(f"channels_last is for a U-Net, and network is {name!r}: leave it out")

    def made(shape: Shape, sees: Mapping[str, Shape], seed: int) -> nn.Module:
        beside = {k: v for k, v in sees.items() if k not in ("z", "label")}
        latent = {k: v for k, v in sees.items() if k == "z"}
        classes = sees.get("label", (0,))[0]
        return seeded(
            seed, lambda: kind(shape, sees=beside, modulated=latent, classes=classes, dropout=t.dropout, **size)
        )

    try:
        with torch.device("meta"):  # without memory or numbers: does it fit?
            made(shape, {}, 0)
    except ValueError as error:
        raise ValueError(f"network is {name!r}, preset {t.preset!r}: {error}") from None
    return lambda shape, sees, seed: prepared_network(made(shape, sees, seed), t)


def token_network(training: Training, vocabulary: int, length: int) -> Build:
    """A transformer of tokens, the mask among them, so that all flows have one size. ``length`` > 0 embeds positions."""
    t = training
    if t.network not in ("", "transformer"):
        raise ValueError(f"network is {t.network!r}, which is for floats; tokens take a transformer")
    if t.width % (2 * t.heads):
        raise ValueError(f"width is {t.width} and heads {t.heads}; the width must be a multiple of twice the heads")

    def build(shape: Shape, sees: Mapping[str, Shape], seed: int) -> nn.Module:
        made = seeded(seed, lambda: TokenTransformer(vocabulary, extra=1, sees=tuple(sees), length=length, width=t.width,
                                                     depth=t.depth, heads=t.heads, dropout=t.dropout))  # fmt: skip
        return prepared_network(made, t)

    return build


def prepared_network(network: nn.Module, training: Training) -> nn.Module:
    """The network laid out and compiled as asked, in place: its weights keep their names, and a copy of it is not compiled."""
    if training.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if training.compile and (why := compiler_missing()):
        warnings.warn(f"compile is left out, nothing compiles here ({why[:200]}): install a C++ compiler, for CUDA Triton",
                      stacklevel=2)  # fmt: skip
    elif training.compile:
        network.compile()
    return network


@lru_cache(maxsize=1)
def compiler_missing() -> str:
    """The reason why networks cannot be compiled on this machine; empty if they can. Compiles a small network to find out."""
    try:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        small = torch.nn.Linear(2, 2, device=device)
        small.compile()
        small(torch.ones(1, 2, device=device)).sum().backward()
    except Exception as error:  # whatever a compiler's absence raises
        return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ""
