"""Settings of learned priors, and of the recipes that start from one."""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.recipes.settings.floats import Digits
from warmflow.recipes.settings.images import Cifar10, Fashion
from warmflow.recipes.settings.options import alone, divides, option, whole_numbers

PRIORS = ("learned", "low_pass")


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
        alone(self, "these start from a learned prior")
        self.check_prior()
        divides(self.factor, 8)


@dataclass(frozen=True)
class LargerPrior(Prior):
    """A learned prior of images larger than digits, chosen on Fashion-MNIST."""

    factor: int = option(4, "pixels a side that one number of low frequencies stands for")
    latent: int = option(16, "numbers in the prior's latent z")
    kl: float = option(
        2.5e-3, "what a nat of the latent costs the auxiliary model; too cheap, and z names the training image"
    )
    auxiliary_updates: int = option(4000, "updates of the auxiliary model")
    latent_width: int = option(128, "width of the latent sampler")
    latent_steps: int = option(8, "Heun steps of the latent sampler; few make z that is told from encoded z")


@dataclass(frozen=True)
class LeDiFlowFashion(LargerPrior, Fashion):
    """Fashion-MNIST from a learned prior, beside cold and warm flows."""

    def check(self) -> None:
        Fashion.check(self)
        alone(self, "these start from a learned prior")
        self.check_prior()
        divides(self.factor, 28)


@dataclass(frozen=True)
class LeDiFlowCifar10(LargerPrior, Cifar10):
    """CIFAR-10 from a learned prior, beside cold and warm flows; the prior's settings are not tuned here."""

    def check(self) -> None:
        Cifar10.check(self)
        alone(self, "these start from a learned prior")
        self.check_prior()
        divides(self.factor, 32)
