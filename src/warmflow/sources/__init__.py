"""Where a flow starts."""

from warmflow.sources.blurred import Blurred
from warmflow.sources.external import External
from warmflow.sources.gaussian import Gaussian
from warmflow.sources.gaussian_mixture import GaussianMixture
from warmflow.sources.jittered import Jittered
from warmflow.sources.noise import StandardNormal

__all__ = ["Blurred", "External", "Gaussian", "GaussianMixture", "Jittered", "StandardNormal"]
