"""Principal components: the plane in which data vary most, as a space to pair in.

    p(x) = A (x - m),        A (k, d) with orthonormal rows: the eigenvectors of the covariance with the largest eigenvalues

Distances on the plane are never above those of the whole space, and what they lack is little where the variance left out is:

    |x0 - x1|^2 = |p(x0) - p(x1)|^2 + |(1 - A'A)(x0 - x1)|^2

Where all starts lie on the plane through m (a mixture of as many components, not blurred), the second term is a number of the
datum's own, so an assignment on the plane is one of the whole space.

References:
    On lines and planes of closest fit to systems of points in space, Pearson, 1901
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Principal:
    """axes (k, d), centre (d,), float64: x (n, *S) to its coordinates (n, k) float32; d is the product of S.

    ``left`` is the share of the variance of the data that was fitted which lies off the plane.
    """

    axes: Tensor
    centre: Tensor
    left: float

    @staticmethod
    def fit(x: Tensor, *, dimensions: int = 50) -> Principal:
        """The first ``dimensions`` components of x (n, *S); fewer where x has fewer numbers, or fewer rows.

        Raises:
            ValueError: fewer than two rows, no dimensions, NaN or infinite values.
        """
        if len(x) < 2 or dimensions < 1:
            raise ValueError(f"{len(x)} rows and {dimensions} dimensions: give at least 2 rows and 1 dimension")
        flat = x.flatten(1)
        centre = flat.double().mean(0)
        covariance = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64, device=x.device)
        for rows in flat.split(4096):  # so that no second copy of the data is held
            off = rows.double() - centre
            covariance.addmm_(off.T, off)
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("the data hold NaN or infinite values: remove or repair these rows")
        variances, vectors = torch.linalg.eigh(covariance)  # ascending
        k = min(dimensions, *flat.shape)
        total = float(variances.sum())
        left = max(0.0, 1 - float(variances[-k:].sum()) / total) if total > 0 else 0.0
        return Principal(vectors[:, -k:].flip(1).T.contiguous(), centre, left)

    def __call__(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        if flat.shape[1] != len(self.centre):
            raise ValueError(
                f"x is {tuple(x.shape)}, the components were fitted to rows of {len(self.centre)} numbers: fit them to this data"
            )
        axes, centre = self.axes.to(x.device), self.centre.to(x.device)
        return torch.cat([(rows.double() - centre) @ axes.T for rows in flat.split(4096)]).float()
