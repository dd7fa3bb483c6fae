"""Solvers: one integration step from t to s."""

from warmflow.contracts import Solver
from warmflow.options import fields_of, suggestion
from warmflow.solvers.adams_bashforth import AdamsBashforth
from warmflow.solvers.euler import Euler
from warmflow.solvers.grid import grid
from warmflow.solvers.heun import Heun
from warmflow.solvers.jump import Jump
from warmflow.solvers.midpoint import Midpoint
from warmflow.solvers.multistep_x1 import MultistepX1
from warmflow.solvers.rk4 import RK4

__all__ = ["RK4", "AdamsBashforth", "Euler", "Heun", "Jump", "Midpoint", "MultistepX1", "grid", "label", "solver_named"]

_NAMES: dict[type[Solver], str] = {
    AdamsBashforth: "Adams-Bashforth",
    Midpoint: "midpoint",
    MultistepX1: "multistep x1",
    Jump: "jump",
}


def label(solver: Solver) -> str:
    """The name of a solver in tables, with every option that differs from its default: "Adams-Bashforth, spacing 1.5"."""
    options = [(f.name, getattr(solver, f.name), f.default) for f in fields_of(solver)]
    changed = [f"{name} {value:g}" for name, value, default in options if value != default]
    return ", ".join([_NAMES.get(type(solver), type(solver).__name__), *changed])


def solver_named(name: str) -> Solver:
    """The solver of floats of a name: adams-bashforth, euler, heun, midpoint, multistep-x1, rk4.

    Raises:
        ValueError: an unknown name.
    """
    kinds: tuple[type[Solver], ...] = (AdamsBashforth, Euler, Heun, Midpoint, MultistepX1, RK4)
    known = {label(kind()).lower().replace(" ", "-"): kind for kind in kinds}
    if name not in known:
        raise ValueError(f"solver is {name!r}; {suggestion(name, known)}")
    return known[name]()
