"""One-step draft generators: a variational autoencoder and a DC-GAN, trained on the training data.

    vae    the auxiliary model of a learned prior, trained on the evidence lower bound (lambda = 1 / d), with a Gaussian mixture
           fitted to the encoded data; a draft is the decoder's mean, which is smooth and close to the data at coarse scales
    gan    a DC-GAN; its drafts are sharp, but modes of the data may be missing

Both are ``Decoded`` sources. Experiments and costs are in runs/LOG.md.

References:
    Auto-Encoding Variational Bayes, Kingma, Welling, 2013, arXiv 1312.6114, equation 10
    Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks, Radford, Metz, Chintala, 2015,
    arXiv 1511.06434
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from warmflow.contracts import Batch, Data, Player, Source
from warmflow.drafts.base import Draft, Place
from warmflow.drafts.trained import trained_part
from warmflow.estimates import is_trying
from warmflow.networks import Auxiliary, DCDiscriminator, DCGenerator, seeded
from warmflow.noise import Noise, permutation
from warmflow.number_checks import is_whole
from warmflow.objectives import Adversarial, VarianceGuided
from warmflow.options import Count, Whole, multiple_of, options
from warmflow.setup import Setup
from warmflow.sources import Decoded, GaussianMixture, StandardNormal

VAE = {"updates": 4000, "width": 256, "latent": 16, "batch": 128}
GAN = {"updates": 8000, "width": 32, "latent": 64, "batch": 64}
"""Default settings of both drafts."""
ENCODED = 20_000
"""Largest number of data points to which the mixture of latents is fitted."""
ALIVE = 0.02
"""Drafts have collapsed if their variance is a smaller share of that of the data."""


def train_vae(
    x: Tensor,
    *,
    steps: int = VAE["updates"],
    batch: int = VAE["batch"],
    seed: int = 0,
    width: int = VAE["width"],
    latent: int = VAE["latent"],
    components: int = 10,
    learning_rate: float = 1e-3,
    ema: float = 0.99,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: str | None = None,
) -> Decoded:
    """Trains a variational autoencoder of data x (n, *S) and returns it as a source of its decoder's means.

    Args:
        width: width of the encoder and the decoder (perceptrons).
        latent: dimension of z.
        components: number of components of the mixture that z is sampled from, fitted to the encoded data; 0 for N(0, I).
        folder: a run folder: training resumes from its checkpoint. None to store nothing.
        progress: the label of a progress bar; None for no bar.

    Raises:
        ValueError: no data, invalid sizes, a folder with another run, diverged training, or collapsed drafts.
    """
    data = _data(x)
    _sizes("vae", width=width, latent=latent)
    shape, n = tuple(x.shape[1:]), len(x)
    network = seeded(seed, lambda: Auxiliary(shape, latent=latent, width=width))
    objective = VarianceGuided(network, Player(network, learning_rate, ema=ema), 1 / math.prod(shape))
    asked = {"kind": "draft", "draft": "vae", "network": network.arguments, "components": components,
             "learning_rate": learning_rate, "ema": ema}  # fmt: skip

    def finished(trained: Auxiliary) -> Decoded:
        trained.eval().requires_grad_(False)
        rows = x[permutation(seed, n, "encoded")[:ENCODED]]
        z = _encoded(trained, rows, seed)
        some = min(components, len(z) // 2)
        where = (
            GaussianMixture.fit(z, components=some, dimensions=latent, seed=seed) if some else StandardNormal((latent,))
        )
        return _alive(Decoded(where, trained.cpu(), shape), x, "vae", "raise its updates, or lower its latent")

    return trained_part(objective, data, finished, asked, steps=steps, batch=min(batch, n), seed=seed, folder=folder,
                        device=device, progress=progress)  # fmt: skip


def train_gan(
    x: Tensor,
    *,
    steps: int = GAN["updates"],
    batch: int = GAN["batch"],
    seed: int = 0,
    width: int = GAN["width"],
    latent: int = GAN["latent"],
    penalty: float = 1.0,
    learning_rate: float = 1e-3,
    ema: float = 0.999,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: str | None = None,
) -> Decoded:
    """Trains a DC-GAN of images x (n, C, H, W) in [-1, 1] and returns its generator, with latents from N(0, I), as a source.

    Args:
        steps: number of updates of generator and discriminator together; they alternate.
        width: number of channels of the largest hidden layer, a multiple of 4.
        penalty: gamma, the weight of the squared gradient norm of the discriminator at real data.

    Other arguments and errors are those of ``train_vae``. Images only, with sides of at least 4.
    """
    data = _data(x)
    if x.ndim != 4:
        raise ValueError(
            f"the draft 'gan' generates images (n, C, H, W); the data are {tuple(x.shape)}: use vae or mixture"
        )
    _sizes("gan", width=width, latent=latent)
    shape, n = tuple(x.shape[1:]), len(x)
    generator = seeded(seed, lambda: DCGenerator(shape, latent=latent, width=width))
    discriminator = seeded(seed + 1, lambda: DCDiscriminator(shape, width=width))
    by = {"discriminator": Player(discriminator, learning_rate, BETAS, ema=0.0),
          "generator": Player(generator, learning_rate, BETAS, ema=ema)}  # fmt: skip
    objective = Adversarial(generator, discriminator, StandardNormal((latent,)), by, penalty)
    asked = {"kind": "draft", "draft": "gan", "network": generator.arguments, "penalty": penalty,
             "learning_rate": learning_rate, "ema": ema}  # fmt: skip

    def finished(trained: nn.Module) -> Decoded:
        trained.eval().requires_grad_(False)
        source = Decoded(StandardNormal((latent,)), trained.cpu(), shape)
        return _alive(source, x, "gan", "raise its updates, or take another training seed")

    return trained_part(objective, data, finished, asked, steps=steps, batch=min(batch, n), seed=seed, folder=folder,
                        device=device, progress=progress)  # fmt: skip


BETAS = (0.0, 0.99)
"""Adam without momentum, because the loss of each network changes with every update of the other."""


def _data(x: Tensor) -> Data:
    if not len(x):
        raise ValueError("there is no data to train a draft on")
    if not x.is_floating_point() or not bool(torch.isfinite(x).all()):
        raise ValueError(f"the data are {x.dtype}; a draft is trained on finite numbers (images in [-1, 1])")
    return Batch(x, {}, torch.arange(len(x)))


def _sizes(draft: str, **sizes: object) -> None:
    for name, value in sizes.items():
        if not is_whole(value):
            raise ValueError(f"{name} is {value!r}; the draft {draft!r} takes a whole number of at least 1")


@torch.no_grad()
def _encoded(network: Auxiliary, x: Tensor, seed: int) -> Tensor:
    """A sample (n, d) of q(z | x) for each row of x (n, *S)."""
    place, found = next(network.parameters()).device, []
    for part in x.split(1024):
        mean, log_spread = network.encode(part.to(place))
        found.append((mean.cpu(), log_spread.cpu()))
    means, spreads = (torch.cat(parts) for parts in zip(*found, strict=True))
    return means + spreads.exp() * Noise.of(seed, len(x)).normal("encoded", network.latent)


def _alive(source: Decoded, x: Tensor, draft: str, remedy: str) -> Decoded:
    """Returns the source; ValueError if its drafts have collapsed, or are NaN or infinite."""
    rows = min(len(x), 512)
    drawn = source.draw(rows, noise=Noise.of(0, rows)).x0
    if not bool(torch.isfinite(drawn).all()):
        raise ValueError(f"the {draft} generates NaN or infinite values: lower its learning rate")
    real = float((x[:rows] - x[:rows].mean(0)).square().mean())
    made = float((drawn - drawn.mean(0)).square().mean())
    if made < ALIVE * real and not is_trying():
        raise ValueError(
            f"the {draft}'s drafts have collapsed: their variance is {made:.2g}, that of the data {real:.2g}; {remedy}"
        )
    return source


def _trained(draft: Draft, setup: Setup) -> str:
    return "" if setup.space == "floats" else f"the draft {draft.name!r} is for floats, and {setup.name} is of tokens"


@options
class VAEDraft(Draft):
    """A variational autoencoder: the decoder's mean for latents sampled from a mixture fitted to the encoded data."""

    name: ClassVar[str] = "vae"
    updates: Count = 4000
    """Number of training updates of the draft."""
    width: Count = 256
    """Width of the encoder and the decoder."""
    latent: Count = 16
    """Dimension of the latent."""
    components: Whole | None = None
    """Components of the mixture of latents; 0 for a standard Gaussian; by default that of the problem."""

    def fits(self, setup: Setup) -> str:
        return _trained(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        components = setup.components if self.components is None else self.components
        return train_vae(setup.data.train.x1, steps=self.updates, seed=place.seed, width=self.width, latent=self.latent,
                         components=components, folder=place.folder, progress=place.bar("vae"))  # fmt: skip

    def stand_in(self, setup: Setup) -> Source | None:
        return setup.noise()


@options
class GANDraft(Draft):
    """A DC-GAN, for images with any number of channels and sides of at least 4."""

    name: ClassVar[str] = "gan"
    updates: Count = 8000
    """Number of training updates of generator and discriminator together."""
    width: Annotated[Count, multiple_of(4)] = 32
    """Number of channels of the largest hidden layer."""
    latent: Count = 64
    """Dimension of the latent."""

    def fits(self, setup: Setup) -> str:
        if setup.data.kind != "images":
            return f"the draft 'gan' generates images (n, C, H, W), and {setup.name} has none: use vae or mixture"
        return _trained(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        return train_gan(setup.data.train.x1, steps=self.updates, seed=place.seed, width=self.width, latent=self.latent,
                         folder=place.folder, progress=place.bar("gan"))  # fmt: skip

    def stand_in(self, setup: Setup) -> Source | None:
        return setup.noise()
