"""Additional numbers for restoration: PSNR, SSIM and recovered variance.

    psnr       10 log10( range^2 / mean squared error ),  in dB; highest for a regression
    recovered  E Var_k / ( E (y - mean_k)^2 / (1 + 1/K) ),  over K draws x_1 .. x_K for each input

If y and the draws are exchangeable given the input, as they are for exact samples of the posterior, then
E (y - mean_k)^2 = (1 + 1/K) E Var_k at every pixel, and the ratio is 1. It is 0 for a regression, however sharp, and above 1 for
a sampler that varies too much. The ratio is reported only: it is also 1 for draws from the whole data set that ignore the input
(the error grows with the spread), and for a bias b with a variance of sigma^2 + b^2. The energy score and the CRPS
(``metrics.conditional``) detect both.
"""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(x: Tensor, y: Tensor, span: float = 2.0) -> float:
    """The mean peak signal-to-noise ratio, in dB, of x against y, (n, *S) each in a range of width ``span``."""
    _alike(x, y)
    error = (x.double() - y.double()).square().flatten(1).mean(1)
    return float((10 * torch.log10(span**2 / error.clamp(min=1e-12))).mean())


def ssim(x: Tensor, y: Tensor, low: float = -1.0, high: float = 1.0) -> float:
    """The mean structural similarity of images x and y (n, C, H, W) in [low, high], by torchmetrics, with windows of 11 x 11 and
    Gaussian weights of standard deviation 1.5. It compares ratios of means, so intensities are shifted to start at 0.

    Raises:
        ValueError: unequal shapes.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure as similarity

    _alike(x, y)
    x, y = ((z.float() - low) / (high - low) for z in (x, y))
    found = similarity(x, y, data_range=1.0)
    assert isinstance(found, Tensor)
    return float(found)


def recovered_variance(draws: Tensor, truth: Tensor) -> float:
    """The ratio defined above, from draws (K, n, *S), K >= 2 for each input, and the truth (n, *S)."""
    if len(draws) < 2:
        raise ValueError(f"draws are {tuple(draws.shape)}; a variance needs at least two draws of every input")
    _alike(draws[0], truth)
    many = draws.double()
    within = many.var(0, unbiased=True).mean()
    apart = (truth.double() - many.mean(0)).square().mean() / (1 + 1 / len(many))
    return float(within / apart.clamp(min=1e-12))


def _alike(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape:
        raise ValueError(
            f"samples are {tuple(x.shape)}, the truth {tuple(y.shape)}: give one sample for each, in order"
        )
