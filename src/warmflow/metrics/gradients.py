"""Local histograms of oriented gradients: a finer feature of images that needs no weights and no training.

With central differences g = (g_x, g_y) of a channel (edges repeated), |g| the magnitude and theta the direction of a pixel,

    h(o, i, j) = 1 / (cell area) sum over pixels and channels   |g| B_o(theta) W_i(row) W_j(column)
    feature    = 4 / c ( sqrt(h + 1/127.5) - sqrt(1/127.5) )        for c x c cells, c = 4, 2, 1

B_o shares a direction linearly between the nearest two of 8 signed directions, W_i a row linearly between the nearest two of
c cells along the side; both are shares that sum to 1, so no magnitude is lost at the border of a bin, and a shift of one
pixel moves the features little. Cells of a quarter of the side say where edges are. Those of a half and of the whole see small
changes that all edges share, such as blur, which 4 x 4 cells lose among the differences between images: on digits of 8 x 8
pixels 4 x 4 cells alone were no better than pixels. By the factor 4 / c each level has one weight in a squared distance. In
all 8 (16 + 4 + 1) = 168 numbers, for any image of 8 x 8 pixels or more. Directions are signed: an image and its
negative differ.

The square root lets weak edges count beside strong ones, as it does for histograms in general (Euclidean distances of
roots are Hellinger distances). It is steep at 0; the constant is one step of an 8-bit image in [-1, 1], so that what a saved
picture does not keep hardly counts.

What it sees that pixels do not. A distance of pixels is dominated by where the large masses of an image lie. *Blur* moves
little of them, and lowers every gradient at once; *broken strokes* add ends, edges across the stroke, where there are none in
real data; noise left over from too few steps fills the cells in which real images are flat. It is blind to a constant
added to an image, and nearly to anything smooth; pixels are not. So it stands beside them, never in their place.

References:
    Histograms of oriented gradients for human detection, Dalal, Triggs, CVPR 2005 (there normalised by blocks; here not: a
    normalised histogram does not see that all edges are weak)
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
"""Pixels a block: 8 float64 maps of them are 8 MiB."""


@dataclass(frozen=True)
class Gradients:
    """An extractor: (n, 168) float64 features of images x (n, C, H, W), floats in [-1, 1], H and W at least 8."""

    def features(self, x: Tensor) -> Tensor:
        """The features above, 168 a row: level (4 x 4 cells first), direction, row and column of the cell.

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
    """|g| B_o(theta) for each direction o, at angle 2 pi o / 8 from the columns' axis: (n, 8, H, W) of one channel (n, H, W)."""
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
    """W_i over the length of a cell, (cells, side) float64: linear between centres of cells, constant beyond the outermost."""
    length = side / cells
    place = ((torch.arange(side, dtype=torch.float64) + 0.5) / length - 0.5).clamp(0, cells - 1)
    return (1 - (place - torch.arange(cells, dtype=torch.float64)[:, None]).abs()).clamp(min=0) / length
