"""Where a flow starts."""

from warmflow.sources.autoregressive import Autoregressive
from warmflow.sources.blurred import Blurred
from warmflow.sources.corrupted import Corrupted, uniform_kernel
from warmflow.sources.external import External
from warmflow.sources.gaussian import Gaussian
from warmflow.sources.gaussian_mixture import GaussianMixture
from warmflow.sources.jittered import Jittered
from warmflow.sources.markov import MarkovChain, random_chain
from warmflow.sources.ngram import NGram
from warmflow.sources.noise import StandardNormal
from warmflow.sources.plain_tokens import MaskTokens, UniformTokens

__all__ = [
    "Autoregressive",
    "Blurred",
    "Corrupted",
    "External",
    "Gaussian",
    "GaussianMixture",
    "Jittered",
    "MarkovChain",
    "MaskTokens",
    "NGram",
    "StandardNormal",
    "UniformTokens",
    "random_chain",
    "uniform_kernel",
]
