"""Couplings: the rules that pair starts with data points."""

from warmflow.couplings.assignment import Assignment
from warmflow.couplings.encoded import Encoded
from warmflow.couplings.given import Given
from warmflow.couplings.hamming import AssignmentHamming, NearestDatumHamming, NearestDraftHamming
from warmflow.couplings.independent import Independent
from warmflow.couplings.maximal import Maximal
from warmflow.couplings.named import pairing_named
from warmflow.couplings.nearest import NearestDatum, NearestDraft
from warmflow.couplings.prepare import prepare
from warmflow.couplings.principal import Principal
from warmflow.couplings.resampled import Resampled
from warmflow.couplings.rewritten import Rewritten
from warmflow.couplings.semidiscrete import Masses, Semidiscrete
from warmflow.couplings.walked import Walked

__all__ = [
    "Assignment",
    "AssignmentHamming",
    "Encoded",
    "Given",
    "Independent",
    "Masses",
    "Maximal",
    "NearestDatum",
    "NearestDatumHamming",
    "NearestDraft",
    "NearestDraftHamming",
    "Principal",
    "Resampled",
    "Rewritten",
    "Semidiscrete",
    "Walked",
    "pairing_named",
    "prepare",
]
