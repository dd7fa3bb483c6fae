"""The couplings of floats behind the names of pairings."""

from __future__ import annotations

from warmflow.contracts import Coupling
from warmflow.couplings.assignment import Assignment
from warmflow.couplings.given import Given
from warmflow.couplings.independent import Independent
from warmflow.couplings.nearest import NearestDatum, NearestDraft
from warmflow.options import suggestion


def pairing_named(name: str, *, within: str | None = None, capacity: int = 0) -> Coupling:
    """The coupling of a pairing's name.

    Args:
        within: the condition that assignments stay within.
        capacity: of nearest-data: how many starts of a block may take one sample; 0 for any number.

    Raises:
        ValueError: an unknown name.
    """
    known: dict[str, Coupling] = {
        "whole-set": Assignment(within), "minibatch": Assignment(within), "independent": Independent(),
        "nearest-data": NearestDatum(capacity or None), "nearest-draft": NearestDraft(), "given": Given(),
    }  # fmt: skip
    if name not in known:
        raise ValueError(f"pairing is {name!r}; {suggestion(name, known)}")
    return known[name]
