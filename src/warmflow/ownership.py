"""Which runs this user has made: their paths may be opened again without being named again.

A run folder holds the names of its data and drafts. In a folder from somebody else such a name is the stranger's: it is opened
only if the caller names it. In the user's own folder it is what the user typed before. To tell them apart, a training writes
beside such names a signature (HMAC-SHA256) with a secret of this user and machine:

    $XDG_STATE_HOME/warmflow/key    (by default ~/.local/state/warmflow/key), 32 random bytes, readable by the user alone

It is made when it is first needed. Without it, or on another machine, names are given again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from warmflow.files import read_bytes

OUTSIDE = ("path", "data", "inputs", "targets", "samples")
"""The options of problems and drafts that name something outside of a run folder: a path, or a name of the hub."""
BYTES = 32


def outside(told: object) -> list[str]:
    """The names in the options of a problem or method, as JSON values, of what lies outside of the run folder. A draft of this
    library has a name too, without a dot, a slash or a colon."""
    if not isinstance(told, Mapping):
        return []
    texts = [(key, value) for key, value in told.items() if isinstance(value, str) and value]
    found = [
        v for key, v in texts if key in OUTSIDE or (key == "draft" and re.search(r"[./:\\]", v))
    ]  # a name has none of these
    return found + [name for value in told.values() for name in outside(value)]


def signature(value: object) -> str | None:
    """The signature of a JSON value; None if no secret can be kept."""
    key = _key(make=True)
    return None if key is None else _signed(key, value)


def is_ours(value: object, signed: object) -> bool:
    """Whether this user has signed the value."""
    key = _key(make=False)
    return key is not None and hmac.compare_digest(_signed(key, value).encode(), str(signed).encode("utf-8", "replace"))


def _signed(key: bytes, value: object) -> str:
    said = json.dumps(value, sort_keys=True).encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()


def _key(make: bool) -> bytes | None:
    """The user's secret; None if there is none and it is not, or cannot be, made."""
    try:
        path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "warmflow" / "key"
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                suppress(FileExistsError),
                open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file,
            ):
                file.write(secrets.token_bytes(BYTES))
        found = read_bytes(path, 1024)
    except (OSError, ValueError, RuntimeError):  # no home, or one that cannot be written
        return None
    return found if len(found) == BYTES else None
