"""One step t -> s."""

from warmflow.solvers.adams_bashforth import AdamsBashforth
from warmflow.solvers.euler import Euler
from warmflow.solvers.grid import grid
from warmflow.solvers.heun import Heun
from warmflow.solvers.jump import Jump
from warmflow.solvers.midpoint import Midpoint
from warmflow.solvers.rk4 import RK4

__all__ = ["RK4", "AdamsBashforth", "Euler", "Heun", "Jump", "Midpoint", "grid"]
