"""Settings of flows of floats: points, digits, what the user brings as arrays; labels and guidance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmflow.recipes.settings.drafts import FITTED_DRAFTS
from warmflow.recipes.settings.every import Settings
from warmflow.recipes.settings.options import flag, option, whole_numbers
from warmflow.recipes.settings.plane import Plane

PREDICTIONS = ("velocity", "x1")
SOLVERS = ("euler", "adams-bashforth", "multistep-x1")
WITHIN = ("assignment", "minibatch-assignment", "independent")
"""Pairings that keep the label."""


@dataclass(frozen=True)
class Floats(Settings):
    """Settings of every flow of floats."""

    predicts: str = option("x1", "what the network predicts", PREDICTIONS)
    sigma: float = option(0.3, "noise of the warm start's own: start = draft + sigma eps")
    solver: str = option(
        "adams-bashforth",
        "default solver for sampling a run; a comparison chooses each flow's solver on validation data",
        SOLVERS,
    )
    passes: int = option(0, "how often the pairs of an assignment are assigned anew in blocks of near ones")
    capacity: int = option(
        0, "how many starts of a block may take one datum where each takes its nearest; 0 for any number", later=True
    )
    components: int = option(10, "components of a mixture draft")

    def check(self) -> None:
        Settings.check(self)
        whole_numbers(self, ("components",))
        whole_numbers(self, ("passes", "capacity"), 0)
        if self.capacity and self.pairing != "nearest-datum":
            raise ValueError(f"--capacity is {self.capacity}, which is for --pairing nearest-datum: leave it out")
        if self.sigma < 0:
            raise ValueError(f"--sigma is {self.sigma}; the start's own noise has a standard deviation of 0 or more")


def of_floats(settings: Settings) -> Floats:
    """These settings, known to be of a flow of floats."""
    assert isinstance(settings, Floats)
    return settings


@dataclass(frozen=True)
class Toy(Plane, Floats):
    """Points in the plane, with a draft that is a *fresh* data point plus noise."""

    sigma: float = option(0.1, "noise of the warm start's own: start = draft + sigma eps")

    def check(self) -> None:
        Floats.check(self)
        self.check_plane()


@dataclass(frozen=True)
class Drafted(Floats):
    """Data of floats whose draft may be trained too, or come from a pipeline."""

    draft: str = option("mixture", "the draft model", FITTED_DRAFTS)
    draft_updates: int = option(0, "updates of a trained draft; 0: its own number")
    draft_width: int = option(0, "width of a trained draft; 0: its own")
    draft_latent: int = option(0, "numbers in the latent of a trained draft; 0: its own")
    draft_steps: int = option(50, "steps of a diffusers pipeline")

    def check(self) -> None:
        Floats.check(self)
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
class Custom(Drafted):
    """The user's own arrays of points, or of images too small for a U-Net."""


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
