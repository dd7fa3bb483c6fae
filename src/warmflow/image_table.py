"""The table at the end: every arm against real images by what the literature reports, all on one extractor and at equal N.

    Frechet distance                 biased upwards by a small N, so N is the same in every row and stands in the table
    kernel distance, with interval   unbiased
    precision, density               are samples like real ones
    recall, coverage                 are all real ones found

    extractor = EfficientNetLite0.load(224)
    print(markdown(final_table(real, {"warm, 4 calls": warm, "cold, 20 calls": cold}, extractor, folder="features")))

Nothing here enters a verdict; verdicts have margins that were fixed before sampling (``verdict.py``). A row of real images that
are not in ``real`` is the floor to read the others against: give one as an arm.
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


@dataclass(frozen=True)
class FinalRow:
    """One arm: n samples against n real images, on the features of the extractor named."""

    arm: str
    extractor: str
    n: int
    frechet: float
    kid: Estimate
    neighbours: Neighbours


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
    """A row for each of ``arms``, in their order.

    Args:
        real: held-out images (n, *S), 10,000 for numbers to quote.
        arms: samples (n, *S) by name, post-processed all alike; as many as there are real images.
        extractor: what the distances are taken on, and named by.
        folder: where the real images' features are kept for the next table; None keeps nothing.
        k: neighbours of precision and recall, and of density and coverage.
        size: rows of a subset of the kernel distance; 1,000, or a tenth of n where n is below 10,000.
        seed: names the order in which rows are dealt out into these subsets.

    Raises:
        ValueError: no arms, an arm of another number or shape than real, too few rows for the neighbours or the interval,
            or images that the extractor does not take.
    """
    if not arms:
        raise ValueError("arms is empty; give at least one arm's samples by name")
    for name, x in arms.items():
        if x.shape != real.shape:
            raise ValueError(
                f"arm {name!r} is {tuple(x.shape)} and real {tuple(real.shape)}; a Frechet distance depends on how many there "
                f"are: give {len(real)} samples of shape {tuple(real.shape[1:])}, or cut both to one number"
            )
    frechet, kid = Frechet.on(extractor), KID.on(extractor)
    known = kept_features(extractor, real, folder)
    balls, rows = Balls.of(known, k), []
    for name, x in arms.items():
        found = extractor.features(x)
        near = neighbours(balls, Balls.of(found, k))
        value = kid.estimate(found, known, size=size, seed=seed)
        rows.append(FinalRow(name, extractor.name, len(x), frechet.distance(found, known), value, near))
    return rows


def markdown(rows: Sequence[FinalRow]) -> str:
    """The rows as a Markdown table; the line above it names the extractor, and the kernel distance is shown times 1,000."""
    if not rows or len({(row.extractor, row.n) for row in rows}) > 1:
        raise ValueError(
            "rows hold several extractors or numbers, or none at all; a table has one: make a table of each"
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
    """Three significant digits; whole numbers from 1,000 on."""
    return f"{x:.3g}" if abs(x) < 999.5 else f"{x:,.0f}"
