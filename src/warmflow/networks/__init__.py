"""Networks only: they do not depend on losses, paths or t0, and are called as ``network(x, t, **conditions)``, or as
``network(x)`` if they read tokens from left to right.
"""

from warmflow.networks.auxiliary import Auxiliary
from warmflow.networks.base import Network, parameters, seeded
from warmflow.networks.causal import CausalTransformer, log_chances
from warmflow.networks.dcgan import DCDiscriminator, DCGenerator
from warmflow.networks.dit import DiT
from warmflow.networks.low_pass import LowPass
from warmflow.networks.lstm import TokenLSTM
from warmflow.networks.mlp import MLP
from warmflow.networks.transformer import TokenTransformer
from warmflow.networks.unet import UNet

__all__ = [
    "MLP",
    "Auxiliary",
    "CausalTransformer",
    "DCDiscriminator",
    "DCGenerator",
    "DiT",
    "LowPass",
    "Network",
    "TokenLSTM",
    "TokenTransformer",
    "UNet",
    "log_chances",
    "parameters",
    "seeded",
]
