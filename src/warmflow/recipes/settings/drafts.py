"""The names of drafts."""

from __future__ import annotations

from typing import Any

DRAFTS = ("mixture", "gaussian", "jittered", "noise")
TRAINED_DRAFTS = ("vae", "gan")
PIPELINE = "diffusers:"
"""What stands before the folder or the name of a diffusers pipeline."""
FITTED_DRAFTS = ("mixture", "gaussian", "noise", *TRAINED_DRAFTS, f"{PIPELINE}PATH")
TOKEN_DRAFTS = ("ngram", "lstm", "uniform")
RESTORED = ("regression", "input")
KNOWN_DRAFTS = DRAFTS + TRAINED_DRAFTS + TOKEN_DRAFTS + RESTORED


def is_pipeline(draft: Any) -> bool:
    """Whether a draft's name is that of a diffusers pipeline: "diffusers:" and a folder or a name."""
    return isinstance(draft, str) and draft.startswith(PIPELINE) and len(draft) > len(PIPELINE)


def is_ours(draft: Any) -> bool:
    """Whether a draft is named as a setting, not one that the user brings."""
    return isinstance(draft, str) and (draft in KNOWN_DRAFTS or is_pipeline(draft))
