"""Local histograms of oriented gradients: fine-scale image features that need no weights and no training.

With central differences g = (g_x, g_y) of a channel (edges repeated), magnitude |g| and direction theta of each pixel,

    h(o, i, j) = 1 / (cell area) sum over pixels and channels   |g| B_o(theta) W_i(row) W_j(column)
    feature    = 4 / c ( sqrt(h + 1/127.5) - sqrt(1/127.5) )        for c x c cells, c = 4, 2, 1

B_o distributes a direction linearly between the two nearest of 8 signed directions, W_i a row linearly between the two nearest
of c cells along the side. Both sum to 1, so no magnitude is lost at the border of a bin, and a shift by one pixel changes the
features little. Cells of a quarter of the side locate edges. Cells of a half and of the whole side are sensitive to small
changes of all edges, such as blur, which in 4 x 4 cells are hidden by the differences between images: on digits of 8 x 8 pixels
4 x 4 cells alone were no better than pixels. The factor 4 / c gives each level equal weight in a squared distance. There are
8 (16 + 4 + 1) = 168 features for any image of 8 x 8 pixels or more. Directions are signed: an image and its negative differ.

The square root increases the weight of weak edges relative to strong ones, as for histograms in general (Euclidean distances of
roots are Hellinger distances). It is steep at 0. The constant is one step of an 8-bit image in [-1, 1], so that differences
lost in 8 bits hardly count.

Compared with pixels: a distance of pixels is dominated by the position of large areas. *Blur* changes them little, but lowers
every gradient; *broken strokes* add ends, edges across the stroke, that real data do not have; noise left over from too few
steps fills cells in which real images are flat. Gradients do not change if a constant is added to an image, and hardly with any
smooth change, but pixels do. Gradients therefore complement pixels and do not replace them.

References:
    Histograms of oriented gradients for human detection, Dalal, Triggs, CVPR 2005 (normalised by blocks there, but not here: a
    normalised histogram does not change if all edges are weaker)
    Representing shape with a spatial pyramid kernel, Bosch, Zisserman, Munoz, CIVR 2007 (cells of several sizes)
    Three things everyone should know to improve object retrieval, Arandjelovic, Zisserman, CVPR 2012 (the square root)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ORIENTATIONS = 8
CELLS = (4, 2, 1)
LEAST_SIDE = 8
FLOOR = 1 / 127.5
PIXELS = 2**17
"""Pixels per block: 8 float64 maps of them take 8 MiB."""


@dataclass(frozen=True)
class Gradients:
    """Extracts features (n, 168) float64 from images x (n, C, H, W), floats in [-1, 1], H and W at least 8."""

    def features(self, x: Tensor) -> Tensor:
        """The features defined above, 168 per row, ordered by level (4 x 4 cells first), direction, row and column of the cell.

        Raises:
            ValueError: not (n, C, H, W) floats, or a side below 8.
        """
        if x.ndim != 4 or not x.is_floating_point() or min(x.shape[2:]) < LEAST_SIDE:
            raise ValueError(
                f"x is {tuple(x.shape)} of {x.dtype}; gradients need float images (n, C, H, W) of at least "
                f"{LEAST_SIDE} x {LEAST_SIDE} pixels"
            )
        height, width = x.shape[2:]
        weights = [(cell_weights(height, c), cell_weights(width, c), max(CELLS) / c) for c in CELLS]
        parts = [torch.empty(0, ORIENTATIONS * sum(c * c for c in CELLS), dtype=torch.float64)]
        for block in x.split(max(1, PIXELS // (height * width))):
            maps = torch.zeros(len(block), ORIENTATIONS, height, width, dtype=torch.float64)
            for channel in block.detach().cpu().double().unbind(1):
                maps += oriented(channel)
            levels = []
            for rows, columns, factor in weights:
                h = torch.einsum("ih,nohw,jw->noij", rows, maps, columns)
                levels.append(factor * ((h + FLOOR).sqrt() - math.sqrt(FLOOR)).flatten(1))
            parts.append(torch.cat(levels, 1))
        return torch.cat(parts)


def oriented(x: Tensor) -> Tensor:
    """|g| B_o(theta) (n, 8, H, W) of one channel (n, H, W), for directions o at angle 2 pi o / 8 from the horizontal axis."""
    difference = torch.tensor([-0.5, 0.0, 0.5], dtype=x.dtype)
    padded = F.pad(x[:, None], (1, 1, 1, 1), mode="replicate")
    g_x = F.conv2d(padded[:, :, 1:-1], difference.reshape(1, 1, 1, 3))[:, 0]
    g_y = F.conv2d(padded[:, :, :, 1:-1], difference.reshape(1, 1, 3, 1))[:, 0]
    magnitude = torch.hypot(g_x, g_y)
    place = torch.atan2(g_y, g_x) * (ORIENTATIONS / (2 * math.pi))
    lower = place.floor()
    upper_share = place - lower
    low = lower.long().remainder(ORIENTATIONS)[:, None]
    out = torch.zeros(len(x), ORIENTATIONS, *x.shape[1:], dtype=x.dtype)
    out.scatter_(1, low, (magnitude * (1 - upper_share))[:, None])
    out.scatter_(1, (low + 1).remainder(ORIENTATIONS), (magnitude * upper_share)[:, None])
    return out


def cell_weights(side: int, cells: int) -> Tensor:
    """W_i divided by the length of a cell, (cells, side) float64: linear between cell centres, constant beyond the outermost."""
    length = side / cells
    place = ((torch.arange(side, dtype=torch.float64) + 0.5) / length - 0.5).clamp(0, cells - 1)
    return (1 - (place - torch.arange(cells, dtype=torch.float64)[:, None]).abs()).clamp(min=0) / length
