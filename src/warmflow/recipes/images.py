"""Images: scikit-learn's digits and Fashion-MNIST (also from a learned prior), CIFAR-10, emoji, a folder of the user's."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from warmflow.data import DataSet
from warmflow.data.cifar10 import cifar10 as read_cifar10
from warmflow.data.emoji import emoji as read_emoji
from warmflow.data.idx import fashion as read_fashion
from warmflow.data.images import digits as read_digits
from warmflow.data.images import folder as read_folder
from warmflow.networks import UNet, seeded
from warmflow.recipes.flows import FloatFlow
from warmflow.recipes.lediflow import LeDiFlowFlow
from warmflow.recipes.plan import Build, Plan, fitted, latent_apart, network
from warmflow.recipes.priors import fitted_prior
from warmflow.recipes.settings import (
    Cifar10,
    Digits,
    Emoji,
    Fashion,
    Folder,
    Images,
    LeDiFlow,
    LeDiFlowFashion,
    Restoration,
)


def digits(settings: Digits) -> Plan:
    """1797 real images of 8 x 8; 997 train, 300 validate, 500 are held out."""
    data = read_digits(settings.data_seed)
    return Plan("images.digits", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())


def lediflow_digits(settings: LeDiFlow) -> Plan:
    """The digits from a learned prior, beside cold flows and the warm one from a mixture."""
    plan = digits(settings)
    prior = fitted_prior(settings, plan.data)
    return replace(plan, name="lediflow.digits", flow=LeDiFlowFlow(), prior=prior)


def fashion(settings: Fashion) -> Plan:
    """Fashion-MNIST, with a small U-Net."""
    data = read_fashion(settings.data_seed, most=settings.most)
    return Plan("images.fashion", settings, data, fitted(settings, data.train.x1), unet(settings), FloatFlow())


def cifar10(settings: Cifar10) -> Plan:
    """CIFAR-10, with a small U-Net."""
    data = read_cifar10(settings.data_seed, most=settings.most)
    return Plan("images.cifar10", settings, data, fitted(settings, data.train.x1), unet(settings), FloatFlow())


def emoji(settings: Emoji) -> Plan:
    """Emoji, with a small U-Net."""
    data = read_emoji(settings.data_seed, size=settings.size)
    return Plan("images.emoji", settings, data, fitted(settings, data.train.x1), unet(settings), FloatFlow())


def lediflow_fashion(settings: LeDiFlowFashion) -> Plan:
    """Fashion-MNIST from a learned prior, beside cold flows and the warm one from a mixture."""
    plan = fashion(settings)
    return replace(plan, name="lediflow.fashion", flow=LeDiFlowFlow(), prior=fitted_prior(settings, plan.data))


def images_of(settings: Restoration) -> DataSet:
    """The images that are to be restored."""
    if settings.images == "digits":
        return read_digits(settings.data_seed)
    return read_fashion(settings.data_seed, most=settings.most)


def unet(settings: Images) -> Build:
    """A U-Net: images that it sees stand beside x, a latent z goes into its norms."""
    s = settings

    def build(shape: tuple[int, ...], sees: dict[str, tuple[int, ...]], seed: int) -> nn.Module:
        beside, z = latent_apart(sees)
        return seeded(seed, lambda: UNet(shape, sees=beside, modulated=z, width=s.width, dropout=s.dropout))

    return build


def folder(settings: Folder) -> Plan:
    """A folder of images. The network is a perceptron: sizes of up to about 32 are sensible."""
    data = read_folder(settings.path, settings.size, mode=settings.mode, seed=settings.data_seed)
    return Plan("images.folder", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())
