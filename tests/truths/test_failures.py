"""Errors of others become one line that says what to do; mistakes pass as they are."""

from __future__ import annotations

import errno
import os
import socket
import urllib.error

import numpy as np
import pytest
import torch

from warmflow.failures import Failed, explained, line_of

AGAIN = "run the same command again: what is finished is kept"


class OutOfMemoryError(RuntimeError):
    """Named like torch's, which cannot be made without a device."""


class Timeout(TimeoutError):
    __module__ = "filelock._error"


class BackendCompilerFailed(RuntimeError):
    __module__ = "torch._dynamo.exc"


CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 3.25 MiB is free.\n"
    "Of the allocated memory 138 GiB is allocated by PyTorch"
)
KNOWN = [
    (MemoryError(), "out of memory while training; lower --batch or --width, or free memory and"),
    (MemoryError("Unable to allocate 7.11 PiB for an array with shape (9,)"), "8.01 PB more were asked for; lower --batch or"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
                  "allocate 14400000000 bytes. Error code 12"), "14.4 GB more were asked for; lower --batch or --width"),
    (OutOfMemoryError(CUDA), "21.5 GB more were asked for; lower --batch"),
    (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "out of memory while training; lower"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out of memory"),
    (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GiB). Tried to allocate 256 bytes"), "256 bytes more"),
    (RuntimeError("Invalid buffer size: 37.25 GiB"), "40 GB more"),
    (RuntimeError("can't start new thread"), "out of memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory while training; lower --batch"),
    (RuntimeError("CUDA error: device-side assert triggered\nmore"), "the device has failed (CUDA error: device-side assert"),
    (BackendCompilerFailed("backend='inductor' raised:\nNo working C++ compiler found"), "leave out --compile"),
    (OSError(errno.ENOSPC, "No space left on device", "/runs/a"), "/runs/a: No space left on device; free space or choose"),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "/runs/a"), "free space or choose another place"),
    (OSError(errno.EFBIG, "File too large", "/runs/a"), "ulimit -f"),
    (OSError(errno.EROFS, "Read-only file system", "/runs/a"), "choose another place"),
    (PermissionError(errno.EACCES, "Permission denied", "/runs/a"), "/runs/a: Permission denied; check its permissions"),
    (OSError(errno.EIO, "Input/output error", "/runs/a"), "check the disk"),
    (OSError(errno.EMFILE, "Too many open files"), "lower --jobs, or raise the number of open files"),
    (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "lower --jobs"),
    (OSError(errno.ENOLCK, "No locks available"), "choose a place with file locks"),
    (Timeout("the file lock 'x.lock' could not be acquired"), "another process holds the lock: wait until it ends"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "the network has failed (Connection refused): check the"),
    (socket.gaierror(-2, "Name or service not known"), "the network has failed (Name or service not known)"),
    (TimeoutError("timed out"), "the network has failed (timed out)"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "the network has failed"),
    (urllib.error.URLError("no host given"), "the network has failed"),
    (ModuleNotFoundError("No module named 'datasets'", name="datasets"), "pip install 'warmflow[hub]'"),
    (ModuleNotFoundError("No module named 'polars'", name="polars.lazy"), "(No module named 'polars'): pip install polars"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "says"), KNOWN, ids=lambda v: type(v).__name__ if isinstance(v, Exception) else v[:40]
)
def test_an_error_of_others_is_one_line_with_what_to_do(error: Exception, says: str) -> None:
    with pytest.raises(Failed) as caught, explained("training", "--batch", "--width"):
        raise error
    said = str(caught.value)
    assert says in said and "\n" not in said and len(said) < 400
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("sigma is -1"), KeyError("x"), TypeError("no"), RuntimeError("shapes do not fit"), AssertionError(),
        ModuleNotFoundError("No module named 'warmflow.nothing'", name="warmflow.nothing"), ZeroDivisionError(),
        BrokenPipeError(errno.EPIPE, "Broken pipe"), KeyboardInterrupt(),
    ],
    ids=repr,
)  # fmt: skip
def test_mistakes_and_errors_of_the_user_pass_as_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, explained("training"):
        raise error
    assert caught.value is error


def test_the_innermost_stage_says_what_to_lower() -> None:
    @explained("comparing", "--samples")
    def outer() -> None:
        with explained("pairing", "block"):
            raise MemoryError

    with pytest.raises(Failed, match=r"^out of memory while pairing; lower block, or"):
        outer()


def test_what_is_raised_where_there_is_no_memory_is_known() -> None:
    """By numpy and torch as they are installed."""
    for ask in (lambda: np.empty(10**15), lambda: torch.empty(10**15), lambda: torch.empty(10**13, 10**10)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            ask()
        assert line_of(caught.value, "training", ("--batch",)).startswith("out of memory while training")


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, None])
def test_an_image_is_not_left_out_because_the_machine_failed(
    code: int | None, tmp_path: object, monkeypatch: object
) -> None:
    from pathlib import Path

    from PIL import Image

    from warmflow.data import image_files

    assert isinstance(tmp_path, Path) and isinstance(monkeypatch, pytest.MonkeyPatch)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    error = MemoryError() if code is None else OSError(code, os.strerror(code))

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(image_files, "read_image", fails)
    with pytest.raises(type(error)):
        image_files.read_folder(tmp_path, 8, "RGB")
