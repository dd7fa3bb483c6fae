"""Solvers: one integration step from t to s. One file each; ``SOLVERS`` finds them by name."""

import sys

from warmflow.contracts import Solver
from warmflow.discovery import classes_in
from warmflow.options import fields_of, suggestion
from warmflow.solvers.adams_bashforth import AdamsBashforth
from warmflow.solvers.euler import Euler
from warmflow.solvers.grid import grid
from warmflow.solvers.heun import Heun
from warmflow.solvers.jump import Jump
from warmflow.solvers.midpoint import Midpoint
from warmflow.solvers.multistep_x1 import MultistepX1
from warmflow.solvers.rk4 import RK4

__all__ = [
    "RK4", "SOLVERS", "AdamsBashforth", "Euler", "Heun", "Jump", "Midpoint", "MultistepX1", "grid", "label", "solver_named"
]  # fmt: skip

SOLVERS: dict[str, type[Solver]] = classes_in(sys.modules[__name__], Solver)  # type: ignore[type-abstract]
"""The solvers of floats that are asked for by name."""


def label(solver: Solver) -> str:
    """The name of a solver in tables, with every option that differs from its default: "Adams-Bashforth, spacing 1.5"."""
    options = [(f.name, getattr(solver, f.name), f.default) for f in fields_of(solver)]
    changed = [f"{name} {value:g}" for name, value, default in options if value != default]
    return ", ".join([solver.title or type(solver).__name__, *changed])


def solver_named(name: str) -> Solver:
    """The solver of floats of a name (``SOLVERS``), with its default options.

    Raises:
        ValueError: an unknown name.
    """
    if name not in SOLVERS:
        raise ValueError(f"solver is {name!r}; {suggestion(name, SOLVERS)}")
    return SOLVERS[name]()
