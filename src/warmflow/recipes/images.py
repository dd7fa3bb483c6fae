"""Images: scikit-learn's digits and Fashion-MNIST (also from a learned prior), CIFAR-10, emoji, a folder of the user's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from warmflow.data import DataSet
from warmflow.data.cifar10 import cifar10 as read_cifar10
from warmflow.data.emoji import emoji as read_emoji
from warmflow.data.idx import fashion as read_fashion
from warmflow.data.images import digits as read_digits
from warmflow.data.images import folder as read_folder
from warmflow.drafts.learned_prior import fitted_prior
from warmflow.networks import MLP, DiT, UNet, dit, mlp, seeded, unet
from warmflow.recipes.flows import FloatFlow
from warmflow.recipes.labels import drafted
from warmflow.recipes.lediflow import LeDiFlowFlow
from warmflow.recipes.plan import Build, Plan, labels_in, latent_apart, network, set_up
from warmflow.recipes.settings import (
    Cifar10,
    Degraded,
    Digits,
    Emoji,
    Fashion,
    Folder,
    Images,
    LeDiFlow,
    LeDiFlowCifar10,
    LeDiFlowFashion,
    OwnImages,
)


def digits(settings: Digits) -> Plan:
    """1797 real images of 8 x 8; 997 train, 300 validate, 500 are held out."""
    data = read_digits(settings.data_seed)
    return Plan("images.digits", settings, data, drafted(settings, data), network(settings), FloatFlow())


def lediflow_digits(settings: LeDiFlow) -> Plan:
    """The digits from a learned prior, beside cold flows and the warm one from a mixture."""
    plan = digits(settings)
    prior = fitted_prior(settings, plan.data)
    return replace(plan, name="lediflow.digits", flow=LeDiFlowFlow(), prior=prior)


def fashion(settings: Fashion) -> Plan:
    """Fashion-MNIST."""
    data = read_fashion(settings.data_seed, most=settings.most)
    return planned("images.fashion", settings, data)


def lediflow_cifar10(settings: LeDiFlowCifar10) -> Plan:
    """CIFAR-10 from a learned prior, beside cold flows and the warm one from a mixture."""
    plan = cifar10(settings)
    return replace(plan, name="lediflow.cifar10", flow=LeDiFlowFlow(), prior=fitted_prior(settings, plan.data))


def cifar10(settings: Cifar10) -> Plan:
    """CIFAR-10."""
    data = read_cifar10(settings.data_seed, most=settings.most)
    return planned("images.cifar10", settings, data)


def emoji(settings: Emoji) -> Plan:
    """Emoji."""
    data = read_emoji(settings.data_seed, size=settings.size)
    return planned("images.emoji", settings, data)


def lediflow_fashion(settings: LeDiFlowFashion) -> Plan:
    """Fashion-MNIST from a learned prior, beside cold flows and the warm one from a mixture."""
    plan = fashion(settings)
    return replace(plan, name="lediflow.fashion", flow=LeDiFlowFlow(), prior=fitted_prior(settings, plan.data))


def images_of(settings: Degraded) -> DataSet:
    """The images that are to be degraded and restored."""
    s = settings
    if s.images == "digits":
        return read_digits(s.data_seed)
    if s.images == "folder":
        return read_folder(s.path, s.size, mode=s.mode, seed=s.data_seed)
    return (read_cifar10 if s.images == "cifar10" else read_fashion)(s.data_seed, most=s.most)


KINDS: dict[str, tuple[Any, dict[str, dict[str, Any]], str]] = {
    "unet": (UNet, unet.PRESETS, "blocks"),
    "dit": (DiT, dit.PRESETS, "depth"),
    "mlp": (MLP, mlp.PRESETS, "depth"),
}
"""A kind of network: its class, its presets, and what ``depth`` is called there."""


def network_of(settings: Images, shape: tuple[int, ...]) -> Build:
    """The network of these settings: images that it sees stand beside x, a latent z goes into its norms.

    Raises:
        ValueError: images of this shape do not fit it.
    """
    s = settings
    kind, presets, deep = KINDS[s.network]
    size = presets[s.preset] | ({"width": s.width} if s.width else {}) | ({deep: s.depth} if s.depth else {})

    def made(shape: tuple[int, ...], sees: dict[str, tuple[int, ...]], seed: int) -> nn.Module:
        beside, z = latent_apart(sees)
        return seeded(
            seed, lambda: kind(shape, sees=beside, modulated=z, classes=labels_in(sees), dropout=s.dropout, **size)
        )

    try:
        with torch.device("meta"):  # without memory or numbers: does it fit?
            made(shape, {}, 0)
    except ValueError as error:
        raise ValueError(f"--network is {s.network!r}, --preset {s.preset!r}: {error}") from None
    return lambda shape, sees, seed: set_up(made(shape, sees, seed), s)


def planned(name: str, settings: Images, data: DataSet) -> Plan:
    """The plan of images with a network of these settings."""
    build = network_of(settings, data.shape)
    return Plan(name, settings, data, drafted(settings, data), build, FloatFlow())


PAIRS = 50_000


def own(name: str, settings: OwnImages, data: DataSet) -> Plan:
    """The plan of the user's own images: the fewer there are, the more fresh drafts each is paired with."""
    rounds = settings.rounds or min(8, max(1, PAIRS // len(data.train)))
    return planned(name, replace(settings, rounds=rounds), data)


def folder(settings: Folder) -> Plan:
    """A folder of images."""
    data = read_folder(settings.path, settings.size, mode=settings.mode, seed=settings.data_seed)
    return own("images.folder", settings, data)
