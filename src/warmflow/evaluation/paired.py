"""Samples that answer an input, like restorations and forecasts. Sets of outputs do not show whether each answers its own input.

    pairs          MMD between (input, output) and (input, truth), with both halves scaled to equal weight; the primary metric
    outputs        MMD on the outputs alone, as for samples without an input
    energy score   a proper score, from K = 4 draws for each of some inputs; smaller is better. A baseline row whose score is
                   shown to be higher is shown to be worse; a candidate's row whose score is shown to be higher supports no claim
    beside         CRPS, coverage of the central 90 % of the draws, recovered variance; with a range also PSNR and SSIM. They are
                   reported only: a regression has the best PSNR, and a sampler that ignores its input has a recovered variance
                   of 1.01, near the ideal value 1

To make both sides of a distance independent, samples for the validation inputs are compared with the test pairs, and samples for
the test inputs with the validation pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.data.ready import DRAWS, Part
from warmflow.evaluation.real import QUANTILES, RESAMPLES, VALIDATION_SHARE, RealData
from warmflow.evaluation.study import Measure
from warmflow.metrics.conditional import Score, coverage, crps, energy_score, joint_scales
from warmflow.metrics.copying import CopyingReference
from warmflow.metrics.joint import Halves, OutputCopies, OutputLabels, Outputs, Pairs
from warmflow.metrics.mmd import mmd_for
from warmflow.metrics.resampled import Extractor, Reference, ResampledMetric, resampling_counts
from warmflow.metrics.restoration import psnr, recovered_variance, ssim
from warmflow.metrics.variation import Labeller
from warmflow.noise import permutation

INPUTS = 200
ASKED_SEED = 1
ENERGY = "energy score"
LEVEL = 0.9


Answer = Callable[[Tensor, int], Tensor]
"""Returns outputs (n, *S) for inputs (n, *S') and a seed."""


@dataclass(frozen=True, eq=False)
class Paired:
    """Additional data of a study with inputs; built by ``paired_data``.

    Args:
        span: the width of the outputs' range, for PSNR and SSIM; None to omit them.
    """

    halves: Halves
    test: Part
    validation: Part
    reference: Reference
    span: float | None

    def asked_rows(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """The inputs that a row of n samples answers: rows of the validation set (for the test pairs), and of the test set."""
        last = n // VALIDATION_SHARE

        def rows(size: int, m: int) -> Tensor:
            return torch.cat([permutation(seed + k, size, "asked") for k in range(1 + m // size)])[:m]

        return rows(len(self.validation), n - last), rows(len(self.test), last)

    def asked(self, n: int, seed: int) -> Tensor:
        """The inputs (n, *S') of a row of n samples."""
        chosen, tested = self.asked_rows(n, seed)
        return torch.cat([self.validation.inputs[chosen], self.test.inputs[tested]])

    def resampled(self, real: RealData, measure: Measure, x: Tensor, seed: int) -> Measure:
        """The measure with the noise of the selected inputs, by resampling inputs with their answers. All methods and seeds share
        the inputs, so neither the spread over seeds nor the resampling of the test pairs includes this noise."""
        rows, replicates = self.asked_rows(len(x), seed)[0], dict(measure.replicates)
        counts = resampling_counts(len(self.validation), RESAMPLES, ASKED_SEED)[:, rows]
        for metric in real.metrics:
            moved = metric.reweighted(metric.features(x[: len(rows)]), real.test[metric.name], counts)
            if moved is not None:
                replicates[metric.name] = replicates[metric.name] + moved - measure.distance[metric.name]
        return replace(measure, replicates=replicates)

    def scored(self, measure: Measure, answer: Answer) -> Measure:
        """The measure with the energy score on test and validation inputs, and additional numbers."""
        test, chosen = self.test.first(INPUTS), self.validation.first(INPUTS)
        draws = torch.stack([answer(test.inputs, k) for k in range(DRAWS)])
        other = torch.stack([answer(chosen.inputs, DRAWS + k) for k in range(DRAWS)])
        value, replicates = Score(ENERGY, energy_score).against(draws, self.reference)
        beside = {
            "CRPS": float(crps(draws, test.truth).mean()),
            f"coverage of {LEVEL:.0%}": float(coverage(draws, test.truth, LEVEL).mean()),
            "recovered variance": recovered_variance(draws, test.truth),
        }
        if self.span is not None:
            beside |= {"PSNR": psnr(draws[0], test.truth, self.span), "SSIM": ssim(draws[0], test.truth)}
        return replace(
            measure,
            distance={**measure.distance, ENERGY: value},
            replicates={**measure.replicates, ENERGY: replicates},
            validation={**measure.validation, ENERGY: float(energy_score(other, chosen.truth).mean())},
            beside={**measure.beside, **beside},
        )


def paired_data(
    train: Part, test: Part, validation: Part, *, extractors: Sequence[tuple[str, Extractor]] = (),
    labeller: Labeller | None = None, span: float | None = None, samples: int = 2_000, seed: int = 0,
) -> RealData:  # fmt: skip
    """Prepares real data of inputs with their truths.

    Args:
        extractors: additional features of the outputs, by name.
        span: the width of the outputs' range, for PSNR and SSIM; None to omit them.
    """
    halves = Halves(tuple(train.inputs.shape[1:]), tuple(train.truth.shape[1:]))
    joined = [halves.joined(part.inputs, part.truth) for part in (train, test, validation)]
    pairs = Pairs(halves, joint_scales(train.inputs, train.truth))
    metrics: list[ResampledMetric] = [mmd_for(joined[0], pairs, "pairs of input and output")]
    metrics += [mmd_for(joined[0], Outputs(halves, e), name) for name, e in (("outputs", None), *extractors)]
    levels = tuple(q for q in QUANTILES if q * len(test) >= 1)
    made = RealData.of(
        joined[1], joined[2], metrics,
        copying=OutputCopies(halves, CopyingReference.of(train.truth, validation.truth, test.truth, levels)),
        labeller=None if labeller is None else OutputLabels(halves, labeller), samples=samples, seed=seed,
    )  # fmt: skip
    few = test.first(INPUTS)
    reference = Score(ENERGY, energy_score).reference(few.truth, resampling_counts(len(few), RESAMPLES, seed))
    return replace(made, paired=Paired(halves, test, validation, reference, span))
