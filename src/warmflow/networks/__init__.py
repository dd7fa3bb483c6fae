"""Bare networks: they know nothing of losses, paths or t0, and are called ``network(x, t, **conditions)``."""

from warmflow.networks.base import Network, parameters, seeded
from warmflow.networks.mlp import MLP
from warmflow.networks.transformer import TokenTransformer

__all__ = ["MLP", "Network", "TokenTransformer", "parameters", "seeded"]
