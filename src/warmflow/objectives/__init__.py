"""What is trained, one method a file."""

from warmflow.objectives.flow_matching import FlowMatching

__all__ = ["FlowMatching"]
