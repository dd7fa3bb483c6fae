"""Settings of every recipe."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from warmflow.recipes.settings.drafts import DRAFTS, PIPELINE, is_pipeline
from warmflow.recipes.settings.options import flag, option, suggest, whole_numbers

PAIRINGS = ("assignment", "nearest-datum", "nearest-draft", "independent", "minibatch-assignment", "given")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Settings:
    """Settings of every recipe."""

    updates: int = option(3000, "updates of each flow: the same for cold and warm")
    batch: int = option(128, "rows in one update")
    learning_rate: float = option(2e-3, "AdamW's peak rate; linear warm-up, then a cosine")
    ema: float = option(0.999, "decay of the averaged weights that are sampled from; 0 for none")
    dropout: float = option(0.0, "dropout inside the network")
    width: int = option(256, "width of the network")
    depth: int = option(3, "residual blocks of the network")
    t0: float = option(0.8, "where the warm path starts in [0, 1); a label of time, it changes no number of calls")
    draft: str = option("mixture", "the draft model", DRAFTS)
    seen: bool = option(True, "the warm field sees the draft")
    dtype: str = option("float32", "arithmetic inside the network; states and times stay in float32", DTYPES)
    pairing: str = option("assignment", "how drafts are paired with data", PAIRINGS)
    rounds: int = option(64, "fresh drafts paired with every datum")
    block: int = option(4096, "rows assigned at once")
    samples: int = option(2_000, "samples of each flow and training seed; a quarter of them is kept for choices")
    data_seed: int = option(0, "seed of the data's own draws and split")
    compile: bool = option(False, "compile the network for training", runtime=True)

    or_zero: ClassVar[tuple[str, ...]] = ()
    """Whole numbers that may be 0, which stands for a value that follows from elsewhere."""

    @property
    def asked(self) -> dict[str, Any]:
        """All but what says how fast it is computed: a run may be continued otherwise than it was begun."""
        fields = [f for f in dataclasses.fields(self) if not f.metadata["runtime"]]
        values = {f.name: getattr(self, f.name) for f in fields}
        return {f.name: values[f.name] for f in fields if not (f.metadata["later"] and values[f.name] == f.default)}

    @property
    def autocast(self) -> str | None:
        """What a field takes for ``dtype``."""
        return None if self.dtype == "float32" else self.dtype

    def check(self) -> None:
        """Raises ValueError, naming the setting, its value and the remedy."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{flag(f.name)} is {value}; give a finite number")
            choices = f.metadata["choices"]
            if choices and value not in choices and not (f"{PIPELINE}PATH" in choices and is_pipeline(value)):
                raise ValueError(f"{flag(f.name)} is {value!r}; {suggest(value, choices)}")
        for name in ("updates", "batch", "width", "depth", "rounds", "block", "samples"):
            whole_numbers(self, (name,), 0 if name in self.or_zero else 1)
        if not 0 <= self.t0 < 1:
            raise ValueError(
                f"--t0 is {self.t0}; it must lie in [0, 1): 0 is a cold start, 1 would leave no path to walk"
            )
        if self.learning_rate <= 0:
            raise ValueError(f"--learning-rate is {self.learning_rate}; it must be positive")
        for name in ("ema", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{flag(name)} is {getattr(self, name)}; it must lie in [0, 1)")
        if self.samples < 200:
            raise ValueError(f"--samples is {self.samples}; a distance needs at least 200")
