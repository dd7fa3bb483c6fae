"""The audit's factor: what the draft gains, and not what the assignment does."""

import pytest
import torch

from warmflow.drafts import NoDraft
from warmflow.experiments.audit import audit
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise


def clusters(n: int = 900) -> torch.Tensor:
    """Eight tight clusters on a circle: exact velocities of independent noise bend, those of assigned noise hardly do."""
    angle = torch.arange(n) % 8 * torch.pi / 4
    centre = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    return centre + 0.1 * Noise.of(0, n).normal("x", 2)


@pytest.mark.long
def test_noise_in_the_place_of_a_draft_is_credited_with_nothing() -> None:
    """The same noise, assigned by the same coupling and blurred alike, is one of the cold flows that it is set beside. Beside
    independent noise alone it would be credited with a factor of 4, which is the assignment's."""
    found = audit(clusters(), method=WarmStart(draft=NoDraft(), sigma=0.1, rounds=1, block=600))
    assert found.cold_calls == 1, "by assigned noise; by independent noise it is 4"
    assert found.factor is None or found.factor <= 1
    assert "unlikely to help" in found.sentence
