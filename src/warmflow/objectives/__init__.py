"""Training objectives, one per file."""

from warmflow.objectives.adversarial import Adversarial
from warmflow.objectives.discrete_flow_matching import DiscreteFlowMatching
from warmflow.objectives.flow_generator_matching import FlowGeneratorMatching
from warmflow.objectives.flow_matching import FlowMatching
from warmflow.objectives.next_token import NextToken
from warmflow.objectives.regression import Regression
from warmflow.objectives.variance_guided import VarianceGuided

__all__ = [
    "Adversarial",
    "DiscreteFlowMatching",
    "FlowGeneratorMatching",
    "FlowMatching",
    "NextToken",
    "Regression",
    "VarianceGuided",
]
