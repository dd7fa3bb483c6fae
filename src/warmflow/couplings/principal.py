"""Principal components: a space in which to measure pairing costs.

    p(x) = A (x - m),        A (k, d) with orthonormal rows: the eigenvectors of the covariance with the largest eigenvalues

Distances between projections are never larger than between the samples, and the difference is small if little variance is left
out:

    |x0 - x1|^2 = |p(x0) - p(x1)|^2 + |(1 - A'A)(x0 - x1)|^2

If all starts lie in the affine subspace through m spanned by the components (such as drafts of a mixture with as many components,
without blur), the second term depends only on the data point, so an assignment in the subspace is optimal in the whole space.

References:
    On lines and planes of closest fit to systems of points in space, Pearson, 1901
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Principal:
    """Projects x (n, *S) to coordinates (n, k) float32, with axes (k, d) and centre (d,) in float64; d is the product of S.

    ``left`` is the share of the fitted data's variance that the components leave out.
    """

    axes: Tensor
    centre: Tensor
    left: float

    @staticmethod
    def fit(x: Tensor, *, dimensions: int = 50) -> Principal:
        """Fits the first ``dimensions`` components of x (n, *S); fewer if x has fewer rows or fewer entries per row.

        Raises:
            ValueError: fewer than two rows, no dimensions, NaN or infinite values.
        """
        if len(x) < 2 or dimensions < 1:
            raise ValueError(f"{len(x)} rows and {dimensions} dimensions: give at least 2 rows and 1 dimension")
        flat = x.flatten(1)
        centre = flat.double().mean(0)
        covariance = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64, device=x.device)
        for rows in flat.split(4096):  # avoids a second copy of the data
            off = rows.double() - centre
            covariance.addmm_(off.T, off)
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("the data contain NaN or infinite values: remove or repair these rows")
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
