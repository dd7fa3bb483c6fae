"""Images: scikit-learn's digits (also from a learned prior), a folder of the user's."""

from __future__ import annotations

from dataclasses import replace

from warmflow.data.images import digits as read_digits
from warmflow.data.images import folder as read_folder
from warmflow.recipes.flows import FloatFlow
from warmflow.recipes.lediflow import LeDiFlowFlow
from warmflow.recipes.plan import Plan, fitted, network
from warmflow.recipes.priors import fitted_prior
from warmflow.recipes.settings import Digits, Folder, LeDiFlow


def digits(settings: Digits) -> Plan:
    """1797 real images of 8 x 8; 997 train, 300 validate, 500 are held out."""
    data = read_digits(settings.data_seed)
    return Plan("images.digits", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())


def lediflow_digits(settings: LeDiFlow) -> Plan:
    """The digits from a learned prior, beside cold flows and the warm one from a mixture."""
    plan = digits(settings)
    prior = fitted_prior(settings, plan.data)
    return replace(plan, name="lediflow.digits", flow=LeDiFlowFlow(), prior=prior)


def folder(settings: Folder) -> Plan:
    """A folder of images. The network is a perceptron: sizes of up to about 32 are sensible."""
    data = read_folder(settings.path, settings.size, mode=settings.mode, seed=settings.data_seed)
    return Plan("images.folder", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())
