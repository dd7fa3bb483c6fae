"""What a problem is: options, its data, and the values of options that suit it. A problem is one file, found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from warmflow.contracts import Source
from warmflow.data import DataSet, enough
from warmflow.data.native import LEAST
from warmflow.options import Whole, changed, options, plain
from warmflow.setup import Build, Setup, Training, float_network


def _side(value: int) -> int:
    if value and value < LEAST:
        raise ValueError(f"it must be at least {LEAST}, or 0 for the images' own size")
    return value


LEAST_SIDE = 8
"""Images with a smaller side take a perceptron."""
Side = Annotated[int, AfterValidator(_side)]
"""The side of square images; 0 for their own size."""
SMALL: Mapping[str, object] = {
    "components": 10, "rounds": 64, "block": 4096, "passes": 0, "sigma": 0.3, "pairing": "whole-set",
}  # fmt: skip
"""Options that suit small data (a thousand rows of up to a hundred numbers)."""
IMAGES: Mapping[str, object] = {
    "components": 30, "rounds": 1, "block": 512, "passes": 5, "sigma": 0.3, "pairing": "whole-set",
    "factor": 4, "latent": 16, "kl": 2.5e-3, "auxiliary_updates": 4000, "latent_width": 128, "latent_steps": 8,
}  # fmt: skip
"""Options that suit images of a U-Net, chosen on Fashion-MNIST."""


@options
class Problem(ABC):
    """What there is to generate."""

    name: ClassVar[str]
    network: ClassVar[str] = "mlp"
    """The kind of network where none is asked for."""
    draft: ClassVar[str] = "mixture"
    """The draft model where none is asked for."""
    training: ClassVar[Mapping[str, object]] = {}
    """Options of ``Training`` that suit this problem."""
    samples: ClassVar[int] = 2_000
    """Samples of each method and training seed where no number is asked for."""
    space: ClassVar[Literal["floats", "tokens"]] = "floats"
    marks: ClassVar[frozenset[str]] = frozenset()
    """What options may apply to, beside its space and its network: "labels", "texts"."""
    data_seed: Whole = 0
    """Seed of the data's own draws and split."""

    @abstractmethod
    def load(self) -> DataSet:
        """The data.

        Raises:
            ValueError: data that are missing, damaged or too few.
        """

    def values(self, data: DataSet) -> Mapping[str, object]:
        """The problem's values for options of methods and drafts that the user left open."""
        return SMALL

    def fresh(self) -> Source | None:
        """Draws fresh data, if the problem can."""
        return None

    def build(self, training: Training, data: DataSet) -> Build:
        """Makes its networks."""
        return float_network(training, data.shape, self.network)

    def asked(self) -> dict[str, object]:
        """The problem's options as JSON values, which identify its runs."""
        return {"name": self.name, **plain(self)}

    @property
    def described(self) -> str:
        """The user's name of the problem."""
        return self.name

    def setup(self, training: Training | None = None, /, **changes: object) -> Setup:
        """The problem made ready.

        Args:
            training: how flows are trained; by default with the values that suit the problem, some changed by ``changes``.

        Raises:
            ValueError: data or options that are impossible.
        """
        t = changed(Training(), {**self.training, **changes}) if training is None else training
        data = self.load()
        enough(data.total, data.name)
        return Setup(
            name=self.described, asked=self.asked(), data=data, training=t, build=self.build(t, data),
            defaults={"draft": self.draft, **self.values(data)}, space=self.space, fresh=self.fresh(),
        )  # fmt: skip


@options
class ImageProblem(Problem):
    """Images that take a U-Net."""

    network: ClassVar[str] = "unet"
    marks: ClassVar[frozenset[str]] = frozenset({"labels"})

    def values(self, data: DataSet) -> Mapping[str, object]:
        return IMAGES


PAIRS = 50_000


def own_values(data: DataSet) -> Mapping[str, object]:
    """For the user's own images: the fewer there are, the more fresh drafts each is paired with."""
    return {**IMAGES, "rounds": min(8, max(1, PAIRS // len(data.train)))}
