"""One command works in a run folder at a time.

The lock is ``flock`` on the file ``.lock`` of the folder, which also says who holds it. It ends with its process, even where that
is killed; the file is removed with the lock. Worker processes work for their parent, which holds it. Where a file system has no
such locks (some network drives), or the system has none (Windows), the command goes on without one.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from warmflow.files import hold, let_go, make_folder, parse_json, reason, sweep
from warmflow.printing import in_one_line

LOCK = ".lock"
NOTE_BYTES = 4096


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder if needed, and works in it alone for as long as the block runs.

    Leftovers of killed processes in it and in the folders below it are removed. Of several processes of one training
    (``torchrun``) only the first writes, and only that one takes the lock.

    Raises:
        ValueError: another process works in it, which is named; the folder cannot be written.
    """
    if int(os.environ.get("RANK", "0")) != 0:
        yield
        return
    new = not folder.exists()
    make_folder(folder)
    handle = _taken(folder)
    try:
        hold(folder)
        sweep(folder)
        yield
    finally:
        let_go(folder)
        if handle is not None:
            with suppress(OSError):
                if _same(handle, folder / LOCK):
                    (folder / LOCK).unlink()
            os.close(handle)
        if new:
            with suppress(OSError):
                folder.rmdir()  # where nothing was written


def _taken(folder: Path) -> int | None:
    """The open file of the lock; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    path = folder / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise ValueError(f"{path} cannot be opened ({reason(error)}): move it away") from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError(f"{path} is no regular file: move it away")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = _holder(handle)
            os.close(handle)
            raise ValueError(f"{folder} is in use {said}: wait until it ends, or choose another folder") from None
        except OSError:
            os.close(handle)
            with suppress(OSError):
                path.unlink()
            return None  # a file system without locks
        except ValueError:
            os.close(handle)
            raise
        if _same(handle, path):
            break
        os.close(handle)  # its holder has just removed it
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(_note()).encode()[:NOTE_BYTES])
    return handle


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def _note() -> Mapping[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": datetime.now().isoformat(sep=" ", timespec="seconds"),
            "command": shlex.join(sys.argv)[:300]}  # fmt: skip


def _holder(handle: int) -> str:
    """What the file of a lock says about its holder."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found = parse_json(os.read(handle, NOTE_BYTES))
        said = f"by process {found['pid']} on {found['host']}, started {found['started']} ({found['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "by another process"
    return in_one_line(said)
