"""Keep freed memory for the next tensor of the same size, instead of handing it back to the system each time.

A training step frees and takes the same tens of megabytes for every layer. By default the C library returns such
blocks at once, and the system clears every page again when it is next touched: up to a third of a small model's step.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
_NEVER_TRIM, _LARGEST_IN_HEAP = 2**31 - 1, 1 << 25  # glibc takes no more than 32 MiB


@cache
def reuse_freed_memory() -> bool:
    """Ask the C library, once per process, to keep freed blocks below 32 MiB; False where it is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    heap = library.mallopt(_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
    return bool(heap and library.mallopt(_TRIM_THRESHOLD, _NEVER_TRIM))
