"""Fields: the motion along a path. networks, wrappers for guidance and temperature, a user's own model, closed forms."""

from warmflow.fields.exact import ExactGaussian, ExactMixture, finite_data
from warmflow.fields.exact_tokens import ExactMarkov, ExactTokens
from warmflow.fields.guided import Guided, as_guided
from warmflow.fields.network import NetworkField, module_of, network_of, with_network
from warmflow.fields.tokens import Tempered, TokenField
from warmflow.fields.wrapped import WrappedField, wrap

__all__ = [
    "ExactGaussian",
    "ExactMarkov",
    "ExactMixture",
    "ExactTokens",
    "Guided",
    "NetworkField",
    "Tempered",
    "TokenField",
    "WrappedField",
    "as_guided",
    "finite_data",
    "module_of",
    "network_of",
    "with_network",
    "wrap",
]
