"""What is trained, one method a file."""

from warmflow.objectives.discrete_flow_matching import DiscreteFlowMatching
from warmflow.objectives.flow_matching import FlowMatching

__all__ = ["DiscreteFlowMatching", "FlowMatching"]
