"""The final table for images: every method against real images by the usual metrics, with one extractor and the same N.

    Frechet distance                 biased upwards for small N, so N is the same in every row and is shown in the table
    kernel distance, with interval   unbiased
    precision, density               whether the samples resemble real images
    recall, coverage                 whether the samples cover all real images

    extractor = EfficientNetLite0.load(224)
    print(markdown(final_table(real, {"warm, 4 calls": warm, "cold, 20 calls": cold}, extractor, folder="features")))

None of these numbers enters a verdict, whose margins are fixed before sampling (``verdict.py``). For comparison, add a row of
real images that are not in ``real``: it shows the noise floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from warmflow.feature_cache import kept_features
from warmflow.metrics.extractors import NamedExtractor
from warmflow.metrics.frechet import Frechet
from warmflow.metrics.kid import KID, Estimate
from warmflow.metrics.neighbours import Balls, Neighbours, neighbours
from warmflow.metrics.resampled import features_of
from warmflow.number_checks import numbers_checked


@dataclass(frozen=True)
class FinalRow:
    """One method: n samples against n real images, on the features of the named extractor."""

    arm: str
    extractor: str
    n: int
    frechet: float
    kid: Estimate
    neighbours: Neighbours


@numbers_checked
def final_table(
    real: Tensor,
    arms: Mapping[str, Tensor],
    extractor: NamedExtractor,
    *,
    folder: str | Path | None = None,
    k: tuple[int, int] = (3, 5),
    size: int | None = None,
    seed: int = 0,
) -> list[FinalRow]:
    """Computes one row for each entry of ``arms``, in order.

    Args:
        real: held-out images (n, *S); use 10,000 for numbers to publish.
        arms: samples (n, *S) by method name, all post-processed in the same way, as many as there are real images.
        extractor: computes the features on which all distances are measured.
        folder: where the features of the real images are cached; None for no cache.
        k: number of neighbours for precision and recall, and for density and coverage.
        size: rows per subset of the kernel distance; 1,000, or a tenth of n if n is below 10,000.
        seed: seed of the random division into these subsets.

    Raises:
        ValueError: no methods, samples whose number or shape differs from ``real``, too few rows for the neighbours or the
            interval, or images that the extractor does not accept.
    """
    if not arms:
        raise ValueError("arms is empty; give the samples of at least one method by name")
    for name, x in arms.items():
        if x.shape != real.shape:
            raise ValueError(
                f"the samples of {name!r} are {tuple(x.shape)} and real is {tuple(real.shape)}; a Frechet distance depends on "
                f"the number of samples: give {len(real)} samples of shape {tuple(real.shape[1:])}, or cut both to one number"
            )
    frechet, kid = Frechet.on(extractor), KID.on(extractor)
    known = kept_features(extractor, real, folder)
    balls, rows = Balls.of(known, k), []
    for name, x in arms.items():
        found = features_of(extractor, x)
        near = neighbours(balls, Balls.of(found, k))
        value = kid.estimate(found, known, size=size, seed=seed)
        rows.append(FinalRow(name, extractor.name, len(x), frechet.distance(found, known), value, near))
    return rows


def markdown(rows: Sequence[FinalRow]) -> str:
    """The rows as a Markdown table, below a line that names the extractor; kernel distances are multiplied by 1,000.

    Raises:
        ValueError: no rows, or rows of several extractors or numbers of samples.
    """
    if not rows or len({(row.extractor, row.n) for row in rows}) > 1:
        raise ValueError(
            "rows must not be empty and must share one extractor and one number of samples: make a table of each"
        )
    first = rows[0]
    lines = [
        f"{first.n:,} samples a row against {first.n:,} real images, features of {first.extractor}; kernel distance times "
        f"1,000, with its {first.kid.level:.0%} interval from {first.kid.subsets} disjoint subsets of {first.kid.size:,}.",
        "",
        "| | Frechet distance | kernel distance | precision | recall | density | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        value, low, high = (_short(1e3 * v) for v in (row.kid.value, row.kid.low, row.kid.high))
        near = row.neighbours
        shares = (f"{v:.3f}" for v in (near.precision, near.recall, near.density, near.coverage))
        arm = row.arm.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {arm} | {_short(row.frechet)} | {value} ({low} to {high}) | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


def _short(x: float) -> str:
    """Three significant digits; integers from 1,000 on."""
    return f"{x:.3g}" if abs(x) < 999.5 else f"{x:,.0f}"
