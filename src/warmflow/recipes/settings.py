"""What can be set, with types, defaults and help texts. No torch here: the command line reads this page.

Every recipe is a subclass that changes defaults; ``RECIPES`` maps the names that users type. A field's help is the text
behind ``--its-name``.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
from dataclasses import dataclass, field
from typing import Any, ClassVar

DRAFTS = ("mixture", "gaussian", "jittered", "noise")
TRAINED_DRAFTS = ("vae", "gan")
PIPELINE = "diffusers:"
"""What stands before the folder or the name of a diffusers pipeline."""
FITTED_DRAFTS = ("mixture", "gaussian", "noise", *TRAINED_DRAFTS, f"{PIPELINE}PATH")
PAIRINGS = ("assignment", "nearest-datum", "nearest-draft", "independent", "minibatch-assignment", "given")
PREDICTIONS = ("velocity", "x1")
TOKEN_DRAFTS = ("ngram", "lstm", "uniform")
RESTORED = ("regression", "input")
KNOWN_DRAFTS = DRAFTS + TRAINED_DRAFTS + TOKEN_DRAFTS + RESTORED
TOKEN_PAIRINGS = (
    "rewritten", "resampled", "maximal", "hamming-datum", "hamming-draft", "hamming-assignment", "independent", "given"
)  # fmt: skip
GRID_LAWS = ("moons", "eight_gaussians", "checkerboard")
PRIORS = ("learned", "low_pass")
DTYPES = ("float32", "bfloat16", "float16")
SOLVERS = ("euler", "adams-bashforth")
WEIGHTINGS = ("cross_entropy", "generalised_kl")
ALPHABETS = ("text8", "full")


NETWORKS = ("unet", "dit", "mlp")
WITHIN = ("assignment", "minibatch-assignment", "independent")
"""Pairings that keep the label."""
PRESETS = ("tiny", "small", "base")
SIDES = {"fashion": 28, "digits": 8, "cifar10": 32, "folder": 0}
"""Images that can be degraded, and their sides; of a folder it is asked."""


def option(default: Any, text: str, choices: tuple[str, ...] = (), runtime: bool = False) -> Any:
    """A setting with its help. ``runtime``: it says how fast something is computed, and is no part of what a run is."""
    return field(default=default, metadata={"help": text, "choices": choices, "runtime": runtime})


def is_pipeline(draft: Any) -> bool:
    """Whether a draft's name is that of a diffusers pipeline: "diffusers:" and a folder or a name."""
    return isinstance(draft, str) and draft.startswith(PIPELINE) and len(draft) > len(PIPELINE)


def is_ours(draft: Any) -> bool:
    """Whether a draft is named as a setting, not one that the user brings."""
    return isinstance(draft, str) and (draft in KNOWN_DRAFTS or is_pipeline(draft))


def whole_numbers(settings: Any, names: tuple[str, ...], least: int = 1) -> None:
    """ValueError where one of these settings is no whole number of at least ``least``."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{flag(name)} is {value!r}; it is a whole number of at least {least}")


@dataclass(frozen=True)
class Settings:
    """Settings of every recipe."""

    updates: int = option(3000, "updates of each flow: the same for cold and warm")
    batch: int = option(128, "rows in one update")
    learning_rate: float = option(2e-3, "AdamW's peak rate; linear warm-up, then a cosine")
    ema: float = option(0.999, "decay of the averaged weights that are sampled from; 0 for none")
    dropout: float = option(0.0, "dropout inside the network")
    width: int = option(256, "width of the network")
    depth: int = option(3, "residual blocks of the network")
    predicts: str = option("x1", "what the network predicts", PREDICTIONS)
    t0: float = option(0.8, "where the warm path starts in [0, 1); a label of time, it changes no number of calls")
    draft: str = option("mixture", "the draft model", DRAFTS)
    sigma: float = option(0.3, "noise of the warm start's own: start = draft + sigma eps")
    seen: bool = option(True, "the warm field sees the draft")
    solver: str = option("adams-bashforth", "how the warm flow is walked; the cold one is walked by all", SOLVERS)
    dtype: str = option("float32", "arithmetic inside the network; states and times stay in float32", DTYPES)
    pairing: str = option("assignment", "how drafts are paired with data", PAIRINGS)
    rounds: int = option(64, "fresh drafts paired with every datum")
    block: int = option(4096, "rows assigned at once")
    passes: int = option(0, "how often the pairs of an assignment are assigned anew in blocks of near ones")
    components: int = option(10, "components of a mixture draft")
    samples: int = option(20_000, "samples of each arm: four sets, each no larger than the held-out data")
    data_seed: int = option(0, "seed of the data's own draws and split")
    compile: bool = option(False, "compile the network for training", runtime=True)

    or_zero: ClassVar[tuple[str, ...]] = ()
    """Whole numbers that may be 0, which stands for a value that follows from elsewhere."""

    @property
    def asked(self) -> dict[str, Any]:
        """All but what says how fast it is computed: a run may be continued otherwise than it was begun."""
        fields = dataclasses.fields(self)
        return {f.name: getattr(self, f.name) for f in fields if not f.metadata["runtime"]}

    @property
    def autocast(self) -> str | None:
        """What a field takes for ``dtype``."""
        return None if self.dtype == "float32" else self.dtype

    def check(self) -> None:
        """Raises ValueError, naming the setting, its value and the remedy."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{flag(f.name)} is {value}; give a finite number")
            choices = f.metadata["choices"]
            if choices and value not in choices and not (f"{PIPELINE}PATH" in choices and is_pipeline(value)):
                raise ValueError(f"{flag(f.name)} is {value!r}; {suggest(value, choices)}")
        for name in ("updates", "batch", "width", "depth", "rounds", "block", "components", "samples"):
            whole_numbers(self, (name,), 0 if name in self.or_zero else 1)
        whole_numbers(self, ("passes",), 0)
        if not 0 <= self.t0 < 1:
            raise ValueError(
                f"--t0 is {self.t0}; it must lie in [0, 1): 0 is a cold start, 1 would leave no path to walk"
            )
        if self.sigma < 0:
            raise ValueError(f"--sigma is {self.sigma}; the start's own noise has a standard deviation of 0 or more")
        if self.learning_rate <= 0:
            raise ValueError(f"--learning-rate is {self.learning_rate}; it must be positive")
        for name in ("ema", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{flag(name)} is {getattr(self, name)}; it must lie in [0, 1)")
        if self.samples < 200:
            raise ValueError(f"--samples is {self.samples}; a distance needs at least 200")


@dataclass(frozen=True)
class Distillation:
    """Settings of Flow Generator Matching."""

    alpha: float = option(1.0, "0.5 is exact, 1 the practice on images")
    online_updates: int = option(1, "updates of the online flow to one of the student")
    updates: int = option(2000, "updates of the student")
    batch: int = option(256, "rows in one update")
    learning_rate: float = option(1e-3, "AdamW's peak rate of both, for networks of this size; large ones take 3e-5")
    beta: float = option(0.0, "decay of AdamW's first moment")
    ema: float = option(0.999, "decay of the student's averaged weights")
    times: str = option("uniform", "how times are drawn", ("uniform", "logit_normal"))
    real: float = option(0.0, "share of real data in the online flow's turn")
    seed: int = option(0, "seed of the distillation")

    def check(self) -> None:
        """Raises ValueError, naming the setting, its value and the remedy."""
        whole_numbers(self, ("online_updates", "updates", "batch"))
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"--alpha is {self.alpha}; 0.5 is exact, 1 is the practice on images")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"--learning-rate is {self.learning_rate}; it must be positive")
        for name in ("beta", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{flag(name)} is {getattr(self, name)}; it must lie in [0, 1)")
        if not 0 <= self.real <= 1:
            raise ValueError(f"--real is {self.real}; a share of the rows lies in 0 .. 1")
        if self.times not in ("uniform", "logit_normal"):
            raise ValueError(f"--times is {self.times!r}; {suggest(self.times, ('uniform', 'logit_normal'))}")


@dataclass(frozen=True)
class Toy(Settings):
    """Points in the plane, with a draft that is a *fresh* data point plus noise."""

    draft: str = option("jittered", "the draft model", DRAFTS)
    spread: float = option(0.35, "standard deviation of a jittered draft's noise, on data of unit variance")
    sigma: float = option(0.1, "noise of the warm start's own: start = draft + sigma eps")
    width: int = option(128, "width of the network")
    rounds: int = option(8, "fresh drafts paired with every datum")
    block: int = option(2500, "rows assigned at once")
    batch: int = option(256, "rows in one update")
    train: int = option(10_000, "training points")
    samples: int = option(8_000, "samples of each arm, in four sets")

    def check(self) -> None:
        Settings.check(self)
        if not 0 < self.spread < math.inf:
            raise ValueError(f"--spread is {self.spread}; a jittered draft needs a positive standard deviation")
        if self.train < 200:
            raise ValueError(f"--train is {self.train}: too few to tell; give at least 200 points")


@dataclass(frozen=True)
class Drafted(Settings):
    """Data of floats whose draft may be trained too, or come from a pipeline."""

    draft: str = option("mixture", "the draft model", FITTED_DRAFTS)
    draft_updates: int = option(0, "updates of a trained draft; 0: its own number")
    draft_width: int = option(0, "width of a trained draft; 0: its own")
    draft_latent: int = option(0, "numbers in the latent of a trained draft; 0: its own")
    draft_steps: int = option(50, "steps of a diffusers pipeline")

    def check(self) -> None:
        Settings.check(self)
        for name in ("draft_updates", "draft_width", "draft_latent"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{flag(name)} is {value!r}; it is a whole number, 0 for the draft's own")
        whole_numbers(self, ("draft_steps",))
        if self.draft == "gan" and self.draft_width % 4:
            raise ValueError(f"--draft-width is {self.draft_width}; a GAN takes a multiple of 4")


@dataclass(frozen=True)
class Classes(Drafted):
    """Data that may carry labels."""

    conditional: bool = option(False, "every flow is given the label; drafts are fitted and paired within it")
    guidance: float = option(
        1.0, "classifier-free guidance of every flow's samples; 1 is off, above it costs two calls"
    )
    guidance_interval: str = option("", "LOW,HIGH: times t between which it guides; everywhere where empty")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The times between which a flow is guided; None for all."""
        return interval_of(self.guidance_interval)

    def check(self) -> None:
        Drafted.check(self)
        self.check_classes()

    def check_classes(self) -> None:
        """Raises ValueError for labels and guidance that cannot be."""
        if not self.conditional and self.guidance != 1:
            raise ValueError(f"--guidance is {self.guidance}, but the flows are given no labels: add --conditional")
        scale_of(self.guidance)
        if self.interval is not None and self.guidance == 1:
            raise ValueError(f"--guidance-interval is {self.guidance_interval!r}, but --guidance is 1, which is off")
        if self.conditional and self.pairing not in WITHIN:
            raise ValueError(
                f"--pairing is {self.pairing!r}, which pairs across labels; with --conditional it is one of {', '.join(WITHIN)}"
            )


@dataclass(frozen=True)
class Digits(Classes):
    """scikit-learn's digits: 1797 real images of 8 x 8."""


@dataclass(frozen=True)
class Images(Classes):
    """Images, with a small U-Net where nothing else is asked."""

    network: str = option("unet", "the kind of network", NETWORKS)
    preset: str = option("tiny", "its size: on (3, 32, 32) a U-Net has 0.15, 3.2 or 20 million parameters", PRESETS)
    width: int = option(0, "width of the network (of a U-Net at full size); 0 for the preset's")
    depth: int = option(0, "blocks of the network (of a U-Net at each size); 0 for the preset's")
    channels_last: bool = option(False, "lay a U-Net's weights and images out by pixels", runtime=True)
    rounds: int = option(1, "fresh drafts paired with every datum")
    block: int = option(512, "rows assigned at once")
    passes: int = option(5, "how often the pairs of an assignment are assigned anew in blocks of near ones")
    components: int = option(30, "components of a mixture draft")
    samples: int = option(5_000, "samples of each arm, in four sets")

    or_zero: ClassVar[tuple[str, ...]] = ("width", "depth")

    def check(self) -> None:
        Classes.check(self)
        if self.network != "mlp" and self.width % 4:
            kind = "U-Net" if self.network == "unet" else "DiT"
            raise ValueError(f"--width is {self.width}; a {kind} takes a multiple of 4")
        if self.channels_last and self.network != "unet":
            raise ValueError(f"--channels-last is for U-Nets, and --network is {self.network!r}: leave it out")


@dataclass(frozen=True)
class Fashion(Images):
    """Fashion-MNIST: 70,000 real images of 28 x 28."""

    most: int = option(0, "the largest number of training images; 0 for all")

    def check(self) -> None:
        Images.check(self)
        if self.most < 0 or 0 < self.most < 1000:
            raise ValueError(f"--most is {self.most}; at least 1000 training images, or 0 for all")


@dataclass(frozen=True)
class Cifar10(Fashion):
    """CIFAR-10: 60,000 real photographs of 32 x 32."""


@dataclass(frozen=True)
class Emoji(Images):
    """Emoji: 3,786 pictures, of 64 x 64 where they are not made smaller."""

    size: int = option(32, "side of the square images")


@dataclass(frozen=True)
class Restoration(Images):
    """Images from their inputs, warm from a regression beside the conditional cold flow."""

    draft: str = option("regression", "the draft: a regression on the input, or the input itself", RESTORED)
    draft_updates: int = option(1000, "updates of the regression")
    pairing: str = option("independent", "every image has its own input", ("independent",))

    def check(self) -> None:
        Images.check(self)
        _alone(self, "these are given an input")
        whole_numbers(self, ("draft_updates",))
        if self.sigma == 0:
            raise ValueError(
                "--sigma is 0: a field that sees its draft then returns the conditional mean; give some noise"
            )


@dataclass(frozen=True)
class Degraded(Restoration):
    """Images restored from degraded ones of their own."""

    images: str = option("fashion", "which images", tuple(SIDES))
    most: int = option(0, "the largest number of training images; 0 for all")
    path: str = option("", "the folder of images")
    size: int = option(32, "side of the square images of a folder")
    mode: str = option("RGB", "colour (RGB) or grey (L)", ("RGB", "L"))

    @property
    def side(self) -> int:
        """Pixels a side."""
        return SIDES[self.images] or self.size

    def check(self) -> None:
        Restoration.check(self)
        if self.most < 0 or 0 < self.most < 1000:
            raise ValueError(f"--most is {self.most}; at least 1000 training images, or 0 for all")
        if self.most and self.images not in ("fashion", "cifar10"):
            raise ValueError(f"--most is {self.most}, which is for fashion and cifar10: leave it out")
        if (self.images == "folder") != bool(self.path):
            raise ValueError(
                "--path is missing; --images folder needs the folder of images"
                if self.images == "folder"
                else f"--path is {self.path!r}, but --images is {self.images!r}: say --images folder"
            )
        if self.size < 4:
            raise ValueError(f"--size is {self.size}; images have a side of at least 4")


@dataclass(frozen=True)
class SuperResolution(Degraded):
    """Images from ones of lower resolution."""

    factor: int = option(4, "pixels a side that one stands for")

    def check(self) -> None:
        Degraded.check(self)
        _divides(self.factor, self.side)


@dataclass(frozen=True)
class Denoising(Degraded):
    """Images from noisy ones."""

    noise: float = option(0.5, "the noise's standard deviation")

    def check(self) -> None:
        Degraded.check(self)
        if not 0 < self.noise < math.inf:
            raise ValueError(f"--noise is {self.noise}; denoising needs a positive standard deviation")


@dataclass(frozen=True)
class Pairs(Restoration):
    """The user's own pairs: two folders with the same file names, or the arrays of a file."""

    inputs: str = option("", "the folder of inputs")
    targets: str = option("", "the folder of targets, under the same file names")
    path: str = option("", "a .npz file with the arrays inputs and targets, in one order")
    size: int = option(32, "side of the square images of folders")
    mode: str = option("RGB", "colour (RGB) or grey (L)", ("RGB", "L"))

    def check(self) -> None:
        Restoration.check(self)
        folders = (bool(self.inputs), bool(self.targets))
        if self.path and any(folders):
            raise ValueError(f"--path is {self.path!r} beside folders: give a file of pairs, or --inputs and --targets")
        if not self.path and not all(folders):
            missing = "--targets" if self.inputs else "--inputs"
            raise ValueError(f"{missing} is missing; images.pairs needs --inputs and --targets, or --path FILE.npz")
        if self.size < 4:
            raise ValueError(f"--size is {self.size}; images have a side of at least 4")


@dataclass(frozen=True)
class Prior:
    """Settings of a learned prior."""

    prior: str = option("learned", "what z is: learned, or the image's own low frequencies", PRIORS)
    factor: int = option(2, "pixels a side that one number of low frequencies stands for")
    latent: int = option(8, "numbers in the prior's latent z")
    kl: float = option(
        0.03, "what a nat of the latent costs the auxiliary model; too cheap, and z names the training image"
    )
    auxiliary_updates: int = option(2000, "updates of the auxiliary model")
    auxiliary_width: int = option(256, "width of the auxiliary model")
    auxiliary_dropout: float = option(0.1, "dropout inside the auxiliary model")
    latent_updates: int = option(3000, "updates of the latent sampler; 0 draws z from N(0, I)")
    latent_width: int = option(64, "width of the latent sampler")
    latent_steps: int = option(4, "Heun steps of the latent sampler; few make z that is told from encoded z")
    weights: str = option("equal", "weights of the flow's squared errors", ("equal", "variance"))

    def check_prior(self) -> None:
        """Raises ValueError, naming the setting, its value and the remedy."""
        whole_numbers(
            self, ("factor", "latent", "latent_width", "latent_steps", "auxiliary_updates", "auxiliary_width")
        )
        if isinstance(self.latent_updates, bool) or self.latent_updates < 0:
            raise ValueError(
                f"--latent-updates is {self.latent_updates!r}; updates of the latent sampler, or 0 for none"
            )
        if self.kl < 0:
            raise ValueError(f"--kl is {self.kl}; a nat of the latent costs 0 or more")
        if not 0 <= self.auxiliary_dropout < 1:
            raise ValueError(f"--auxiliary-dropout is {self.auxiliary_dropout}; it must lie in [0, 1)")


@dataclass(frozen=True)
class LeDiFlow(Prior, Digits):
    """Digits from a learned prior, beside cold and warm flows."""

    dropout: float = option(0.2, "dropout inside the network; without, flows that see z copy their few images")

    def check(self) -> None:
        Digits.check(self)
        _alone(self, "these start from a learned prior")
        self.check_prior()
        _divides(self.factor, 8)


@dataclass(frozen=True)
class LeDiFlowFashion(Prior, Fashion):
    """Fashion-MNIST from a learned prior, beside cold and warm flows."""

    factor: int = option(4, "pixels a side that one number of low frequencies stands for")
    latent: int = option(16, "numbers in the prior's latent z")
    kl: float = option(
        2.5e-3, "what a nat of the latent costs the auxiliary model; too cheap, and z names the training image"
    )
    auxiliary_updates: int = option(4000, "updates of the auxiliary model")
    latent_width: int = option(128, "width of the latent sampler")
    latent_steps: int = option(8, "Heun steps of the latent sampler; few make z that is told from encoded z")

    def check(self) -> None:
        Fashion.check(self)
        _alone(self, "these start from a learned prior")
        self.check_prior()
        _divides(self.factor, 28)


@dataclass(frozen=True)
class Custom(Drafted):
    """The user's own arrays of points, or of images too small for a U-Net."""


@dataclass(frozen=True)
class OwnImages(Images):
    """The user's own images, of any number."""

    rounds: int = option(0, "fresh drafts paired with every datum; 0: as many as make 50,000 pairs, 1 to 8")

    or_zero: ClassVar[tuple[str, ...]] = ("width", "depth", "rounds")


@dataclass(frozen=True)
class Folder(OwnImages):
    """A folder of images, resized and centre-cropped; its subfolders are classes."""

    path: str = option("", "the folder of images")
    size: int = option(16, "side of the square images")
    mode: str = option("RGB", "colour (RGB) or grey (L)", ("RGB", "L"))

    def check(self) -> None:
        OwnImages.check(self)
        if not self.path:
            raise ValueError("--path is missing; images.folder needs the folder of images")
        if self.size < 4:
            raise ValueError(f"--size is {self.size}; images have a side of at least 4")


@dataclass(frozen=True)
class Grid(Toy):
    """A toy on a grid: a point is two tokens."""

    law: str = option("moons", "which toy", GRID_LAWS)
    levels: int = option(128, "cells an axis")
    power: float = option(1.0, "the schedule k(t) = t^power; 1 is linear")
    weighting: str = option("cross_entropy", "what the flow is trained on", WEIGHTINGS)
    draft: str = option("jittered", "the draft model", ("jittered", "uniform"))
    learning_rate: float = option(1e-3, "AdamW's peak rate; linear warm-up, then a cosine")
    width: int = option(96, "width of the network")
    depth: int = option(2, "blocks of the network")
    heads: int = option(4, "attention heads of the network")

    def check(self) -> None:
        Toy.check(self)
        _tokens(self)
        if self.levels < 8:
            raise ValueError(f"--levels is {self.levels}; a grid has a whole number of at least 8")


@dataclass(frozen=True)
class Text(Settings):
    """Characters of a text, in windows."""

    path: str = option("", "a text file, a folder of .txt files, or a .tar of them")
    alphabet: str = option("text8", "27 symbols (text8), or the text's own (full)", ALPHABETS)
    length: int = option(64, "symbols in a window")
    most: int = option(0, "the largest number of training windows; 0 for all")
    draft: str = option("ngram", "the draft model", TOKEN_DRAFTS)
    order: int = option(3, "order of an n-gram draft")
    draft_updates: int = option(2000, "updates of an LSTM draft")
    pairing: str = option("rewritten", "how drafts are paired with data", TOKEN_PAIRINGS)
    writer: int = option(6, "order of the n-gram model that rewrites, resamples, or stands for the data")
    strength: float = option(4.0, "how much each changed symbol costs where drafts are rewritten or data resampled")
    power: float = option(1.0, "the schedule k(t) = t^power; 1 is linear")
    weighting: str = option("cross_entropy", "what the flow is trained on", WEIGHTINGS)
    learning_rate: float = option(1e-3, "AdamW's peak rate; linear warm-up, then a cosine")
    width: int = option(128, "width of the network")
    depth: int = option(3, "blocks of the network")
    heads: int = option(4, "attention heads of the network")
    rounds: int = option(8, "fresh drafts paired with every datum")
    block: int = option(1024, "rows paired at once")
    samples: int = option(2_000, "samples of each arm, in eight sets")
    batch: int = option(64, "rows in one update")

    def check(self) -> None:
        Settings.check(self)
        _tokens(self)
        for name in ("length", "order", "writer", "draft_updates"):
            least = 2 if name == "length" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{flag(name)} is {getattr(self, name)}; it is a whole number of at least {least}")
        if self.most < 0:
            raise ValueError(f"--most is {self.most}; a number of windows, or 0 for all")
        if self.strength < 0:
            raise ValueError(f"--strength is {self.strength}; a changed symbol costs 0 or more")


@dataclass(frozen=True)
class TextFile(Text):
    """The user's own text."""

    def check(self) -> None:
        Text.check(self)
        if not self.path:
            raise ValueError("--path is missing; text.file needs a text file, or a folder of .txt files")


def _tokens(s: Any) -> None:
    """What settings of token flows share."""
    if s.power <= 0:
        raise ValueError(f"--power is {s.power}; the schedule k(t) = t^power needs a positive one, 1 is linear")
    if s.heads < 1 or s.width % (2 * s.heads):
        raise ValueError(f"--width is {s.width} and --heads {s.heads}; the width must be a multiple of twice the heads")


def scale_of(scale: float) -> float:
    """A scale of guidance; ValueError for one below 0, or not finite."""
    if not 0 <= scale < math.inf:
        raise ValueError(f"--guidance is {scale}; give a finite number of at least 0: 0 ignores the label, 1 is off")
    return scale


def interval_of(text: str) -> tuple[float, float] | None:
    """LOW,HIGH as two times; None where it is empty. ValueError where they are reversed, or no times."""
    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--guidance-interval is {text!r}; give two times with a comma, like 0.2,0.8") from None
    if not 0 <= low < high <= 1:
        raise ValueError(f"--guidance-interval is {text!r}; give LOW below HIGH, both in [0, 1], like 0.2,0.8")
    return low, high


def _alone(settings: Classes, what: str) -> None:
    """ValueError where a recipe whose flows are given something else is asked for labels."""
    if settings.conditional:
        raise ValueError(f"--conditional is for flows that are given labels, and {what}: leave it out")


def _divides(factor: int, side: int) -> None:
    """ValueError where low frequencies of this factor do not fit the image."""
    if factor < 2 or side % factor:
        raise ValueError(f"--factor is {factor}; it is at least 2 and divides the side of {side} pixels")


RECIPES: dict[str, type[Settings]] = {
    "toy.moons": Toy,
    "toy.eight_gaussians": Toy,
    "toy.checkerboard": Toy,
    "toy.grid": Grid,
    "images.digits": Digits,
    "images.fashion": Fashion,
    "images.cifar10": Cifar10,
    "images.emoji": Emoji,
    "lediflow.digits": LeDiFlow,
    "lediflow.fashion": LeDiFlowFashion,
    "images.super_resolution": SuperResolution,
    "images.denoising": Denoising,
    "images.pairs": Pairs,
    "images.folder": Folder,
    "text.characters": Text,
    "text.file": TextFile,
}
OWN: dict[str, type[Settings]] = {"custom": Custom, "custom.images": OwnImages}
"""What the user's own data are set by; the recipe of both is called "custom"."""


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def suggest(value: Any, known: tuple[str, ...] | list[str]) -> str:
    """``did you mean X? known: ...``"""
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.5)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(known)}"


KINDS = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}


def _typed(recipe: str, name: str, value: Any, default: Any) -> Any:
    """The value as the type of the default (whole numbers pass for numbers, numpy's for Python's)."""
    wanted = type(default)
    if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        return value
    number: Any = {int: numbers.Integral, float: numbers.Real}.get(wanted)
    if number is not None and isinstance(value, number) and not isinstance(value, bool) and -1e300 < value < 1e300:
        return wanted(value)
    if wanted is str and hasattr(value, "__fspath__"):
        return str(value)
    raise ValueError(f"{recipe}: {name} is {value!r}; it must be {KINDS[wanted]}, like {default!r}")


def distillation_of(**changes: Any) -> Distillation:
    """The checked settings of a distillation; ValueError as ``settings_of``."""
    fields = {f.name: f for f in dataclasses.fields(Distillation)}
    for name, value in changes.items():
        if name not in fields:
            raise ValueError(f"distilling has no setting {name!r}; {suggest(name, list(fields))}")
        changes[name] = _typed("distilling", name, value, fields[name].default)
    settings = Distillation(**changes)
    settings.check()
    return settings


def settings_of(recipe: str, **changes: Any) -> Settings:
    """The checked settings of a recipe with some of them changed.

    Raises:
        ValueError: an unknown recipe or setting, a value of another type or out of its range.
    """
    kind = OWN.get(recipe) or RECIPES.get(recipe)
    if kind is None:
        raise ValueError(f"recipe {recipe!r} is unknown; {suggest(recipe, list(RECIPES))}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name, value in changes.items():
        if name not in fields:
            own = recipe.removesuffix(".images") if recipe in OWN else recipe
            raise ValueError(f"{own} has no setting {name!r}; {suggest(name, list(fields))}")
        changes[name] = _typed(recipe, name, value, fields[name].default)
    settings = kind(**changes)
    settings.check()
    return settings
