"""Sources: the distributions from which a flow starts."""

from warmflow.sources.autoregressive import Autoregressive
from warmflow.sources.blurred import Blurred
from warmflow.sources.by_label import ByLabel
from warmflow.sources.conditioned import Conditioned
from warmflow.sources.corrupted import Corrupted, uniform_kernel
from warmflow.sources.decoded import Decoded
from warmflow.sources.external import External
from warmflow.sources.filled import Filled, partly_known, together
from warmflow.sources.gaussian import Gaussian
from warmflow.sources.gaussian_mixture import GaussianMixture
from warmflow.sources.jittered import Jittered
from warmflow.sources.labelled import Labelled
from warmflow.sources.learned_prior import LearnedPrior
from warmflow.sources.lstm import LSTM
from warmflow.sources.markov import MarkovChain, random_chain
from warmflow.sources.ngram import NGram
from warmflow.sources.noise import StandardNormal
from warmflow.sources.pipeline import DiffusersPipeline
from warmflow.sources.plain_tokens import MaskTokens, UniformTokens
from warmflow.sources.restored import Restored
from warmflow.sources.shown import Shown

__all__ = [
    "LSTM",
    "Autoregressive",
    "Blurred",
    "ByLabel",
    "Conditioned",
    "Corrupted",
    "Decoded",
    "DiffusersPipeline",
    "External",
    "Filled",
    "Gaussian",
    "GaussianMixture",
    "Jittered",
    "Labelled",
    "LearnedPrior",
    "MarkovChain",
    "MaskTokens",
    "NGram",
    "Restored",
    "Shown",
    "StandardNormal",
    "UniformTokens",
    "partly_known",
    "random_chain",
    "together",
    "uniform_kernel",
]
