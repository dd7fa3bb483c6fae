"""warmflow: flow matching from a draft, and a verdict on whether it helps.

    A source gives a start; a coupling pairs starts with data; a path joins each pair on [t0, 1], where t0 is the time at
    which the flow starts; a field learns the motion along it; a solver integrates it in few steps; an evaluation says which
    method needs fewer network calls for the same quality.

Classes, functions and modules are imported when they are first used, so that ``warmflow --help`` does not wait for torch:
``import warmflow; warmflow.data.load("digits")``.

Where two classes share a name, the top level has the one that is made by calling it: ``warmflow.LearnedPrior`` is the method, its
source is ``warmflow.sources.LearnedPrior``. The drafts Gaussian, Jittered and Regression are asked for by their names
("gaussian") and stay in ``warmflow.drafts``; at the top level these are the sources and the objective.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import Any

__version__ = "0.2.0"

_EXPORTS = {
    "contracts": "Batch Condition Coupling Data Estimate Field FlowPath JumpPath Metric Objective Pair Path Player Point "
    "Record Samples Solver Source Start State",
    "noise": "Noise",
    "options": "OptionError",
    "sources": "Autoregressive Blurred ByLabel Conditioned Corrupted Decoded DiffusersPipeline External Filled Gaussian "
    "GaussianMixture Jittered Labelled LSTM MarkovChain MaskTokens NGram Restored Shown StandardNormal UniformTokens "
    "partly_known",
    "couplings": "Assignment AssignmentHamming Encoded Given Independent Maximal NearestDatum NearestDatumHamming NearestDraft "
    "NearestDraftHamming Principal Resampled Rewritten Semidiscrete Walked prepare",
    "paths": "LinearPath MixturePath",
    "networks": "Auxiliary CausalTransformer DCDiscriminator DCGenerator DiT LowPass MLP Network TokenLSTM TokenTransformer UNet",
    "fields": "ExactGaussian ExactMarkov ExactMixture ExactTokens Guided NetworkField Tempered TokenField WrappedField "
    "finite_data wrap",
    "solvers": "AdamsBashforth Euler Heun Jump Midpoint MultistepX1 RK4",
    "sampler": "Clip Sampler",
    "objectives": "Adversarial DiscreteFlowMatching FlowGeneratorMatching FlowMatching NextToken Regression VarianceGuided",
    "metrics.extractors": "EfficientNetLite0 NamedExtractor Scripted",
    "metrics.frechet": "Frechet",
    "metrics.judged": "Gap",
    "metrics.kgrams": "KGrams",
    "metrics.kid": "KID",
    "metrics.mmd": "MMD",
    "metrics.sliced_wasserstein": "SlicedWasserstein",
    "data": "DataSet",
    "data.fresh": "FreshToy",
    "data.grid": "Gridded",
    "functional": "flow_sampler sample",
    "pairs": "PairedDataset pair",
    "evaluation.verdict": "Verdict judge",
    "evaluation.evaluate": "Evaluation Extras evaluate",
    "image_table": "final_table",
    "training": "Diverged train",
    "checkpoints": "load",
    "setup": "Setup Training",
    "drafts": "Draft NoDraft Own Pipeline draft_of",
    "drafts.autoregressive": "LSTMDraft NGramDraft",
    "drafts.generators": "GANDraft VAEDraft",
    "drafts.mixture": "Mixture",
    "drafts.regression": "Input",
    "problems": "Problem problem_of",
    "problems.digits": "Digits",
    "problems.own": "Arrays Folder",
    "problems.published": "CIFAR10 Emoji FashionMNIST",
    "problems.restoration": "Denoising ImagePairs SuperResolution",
    "problems.text": "Text",
    "problems.toys": "Checkerboard EightGaussians GridOfTokens Moons",
    "methods": "Method",
    "methods.cold": "Cold",
    "methods.distillation": "Distillation",
    "methods.learned_prior": "LearnedPrior",
    "methods.own": "OwnModel",
    "methods.reflow": "Reflow",
    "methods.warm_start": "WarmStart",
    "report": "Report",
    "experiments.audit": "audit",
    "experiments.compare": "compare",
    "experiments.distill": "distill",
}
"""The public names by the module that has them."""
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = sorted([*_MODULE_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"warmflow.{_MODULE_OF[name]}"), name)
    if not name.startswith("_") and importlib.util.find_spec(f"warmflow.{name}") is not None:
        return importlib.import_module(f"warmflow.{name}")
    raise AttributeError(f"warmflow has no {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(module.name for module in pkgutil.iter_modules(__path__))})
