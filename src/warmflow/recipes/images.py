"""Images: scikit-learn's digits, a folder of the user's."""

from __future__ import annotations

from warmflow.data.images import digits as read_digits
from warmflow.data.images import folder as read_folder
from warmflow.recipes.flows import FloatFlow
from warmflow.recipes.plan import Plan, fitted, network
from warmflow.recipes.settings import Digits, Folder


def digits(settings: Digits) -> Plan:
    """1797 real images of 8 x 8; 997 train, 300 validate, 500 are held out."""
    data = read_digits(settings.data_seed)
    return Plan("images.digits", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())


def folder(settings: Folder) -> Plan:
    """A folder of images. The network is a perceptron: sizes of up to about 32 are sensible."""
    data = read_folder(settings.path, settings.size, mode=settings.mode, seed=settings.data_seed)
    return Plan("images.folder", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())
