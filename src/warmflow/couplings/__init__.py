"""Who is paired with whom."""

from warmflow.couplings.assignment import Assignment
from warmflow.couplings.given import Given
from warmflow.couplings.independent import Independent
from warmflow.couplings.nearest import NearestDatum, NearestDraft
from warmflow.couplings.prepare import prepare

__all__ = ["Assignment", "Given", "Independent", "NearestDatum", "NearestDraft", "prepare"]
