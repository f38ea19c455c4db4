"""What a program may ask of Cairn by itself: include/cairn/cairn.h for Python.

Without Cairn `version()` is 0 and everything else raises OSError with ENOSYS.
"""

import contextlib
import ctypes
import errno
import os

RESUMED, RESTARTED = 0, 1

_SYS_PRCTL = 157  # x86-64
_PRCTL = 0x4E524143  # "CARN"
_VERSION, _INCARNATION, _GENERATION, _ASK, _WAIT, _DEFER, _UNDEFER, _LEAVE_OUT, _TAKE_IN = range(1, 10)

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def _try(call, first=0, second=0):
    result = _syscall(*map(ctypes.c_long, (_SYS_PRCTL, _PRCTL, call)), ctypes.c_ulong(first), ctypes.c_ulong(second),
                      ctypes.c_long(0))
    return result, ctypes.get_errno()


def _call(call, first=0, second=0):
    result, error = _try(call, first, second)
    if result != -1:
        return result
    if error == errno.EINVAL and version() == 0:
        error = errno.ENOSYS
    raise OSError(error, os.strerror(error))


def version():
    """0: not under Cairn; else major * 65536 + minor * 256 + patch."""
    return max(_try(_VERSION)[0], 0)


def incarnation():
    """1 for a program that runs for the first time, and a higher number after each restart."""
    return _call(_INCARNATION)


def generation():
    """The newest checkpoint, committed or restarted from; 0: none yet."""
    return _call(_GENERATION)


def checkpoint():
    """Saves the job now. RESUMED once it is on disk, RESTARTED in a program that was restarted from it."""
    asked_in = incarnation()
    ticket = _call(_ASK)
    while True:
        try:
            return _call(_WAIT, ticket, asked_in)
        except InterruptedError:
            continue


@contextlib.contextmanager
def deferred():
    """No checkpoint is taken inside of the block: it waits. Does nothing without Cairn."""
    if version() == 0:
        yield
        return
    _call(_DEFER)
    try:
        yield
    finally:
        _call(_UNDEFER)


def _pages(buffer):
    view = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    return ctypes.addressof(view), len(buffer)


def leave_out(buffer):
    """The memory of a writable buffer of whole pages (mmap.mmap) need not be saved: it is zero after a restart."""
    _call(_LEAVE_OUT, *_pages(buffer))


def take_in(buffer):
    """Undoes leave_out."""
    _call(_TAKE_IN, *_pages(buffer))


class Watch:
    """Hooks by polling: poll() says what has happened since the last time."""

    def __init__(self):
        self._incarnation, self._generation = incarnation(), generation()

    def poll(self):
        """"restarted", "saved", or None."""
        before = self._incarnation, self._generation
        self._incarnation, self._generation = incarnation(), generation()
        if self._incarnation != before[0]:
            return "restarted"
        return "saved" if self._generation != before[1] else None
