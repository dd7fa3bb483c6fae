"""warmflow: flow matching from a draft, and the proof of whether it helps.

    A source gives a start; a coupling pairs starts with data; a path joins each pair on [t0, 1]; a field learns the motion
    along it; a solver walks it in few steps; a verdict says whether the walk got shorter at the same quality.

Names are imported when they are first used, so that ``warmflow --help`` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_ROOMS = {
    "contracts": "Batch Condition Coupling Data Estimate Field FlowPath JumpPath Metric Objective Pair Path Player Point "
    "Record Samples Solver Source Start State",
    "noise": "Noise",
    "sources": "Blurred ByLabel Conditioned Corrupted External Filled Gaussian GaussianMixture Labelled LearnedPrior LSTM "
    "MarkovChain MaskTokens NGram Restored Shown StandardNormal UniformTokens partly_known",
    "couplings": "Assignment AssignmentHamming Given Independent Maximal NearestDatum NearestDatumHamming NearestDraft "
    "NearestDraftHamming Principal Resampled Rewritten Encoded Semidiscrete Walked prepare",
    "paths": "LinearPath MixturePath",
    "networks": "DiT LowPass MLP Auxiliary Network TokenLSTM TokenTransformer UNet",
    "fields": "ExactGaussian ExactMarkov ExactMixture ExactTokens Guided NetworkField Tempered TokenField WrappedField "
    "finite_data wrap",
    "solvers": "Euler Heun Jump Midpoint AdamsBashforth MultistepX1 RK4",
    "sampler": "Clip Sampler",
    "objectives": "DiscreteFlowMatching FlowGeneratorMatching FlowMatching NextToken Regression VarianceGuided",
    "metrics.extractors": "EfficientNetLite0 Scripted",
    "metrics.frechet": "Frechet",
    "metrics.kid": "KID",
    "evaluation.verdict": "Verdict judge",
    "evaluation.evaluate": "Evaluation Extras evaluate",
    "image_table": "final_table",
    "training": "train",
    "checkpoints": "load",
    "report": "Report",
    "experiments.compare": "compare",
    "experiments.distill": "distill",
    "experiments.audit": "audit",
}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names.split()}
__all__ = sorted([*_WHERE, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"warmflow has no {name!r}")
    return getattr(importlib.import_module(f"warmflow.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
