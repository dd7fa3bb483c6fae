"""The motion along a path: networks, a guidance wrapper, a wrapper for a user's own model, exact oracles."""

from warmflow.fields.exact import ExactGaussian, ExactMixture, finite_data
from warmflow.fields.guided import Guided
from warmflow.fields.network import NetworkField
from warmflow.fields.wrapped import WrappedField, wrap

__all__ = ["ExactGaussian", "ExactMixture", "Guided", "NetworkField", "WrappedField", "finite_data", "wrap"]
