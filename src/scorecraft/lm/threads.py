"""How many threads compute: torch's number, and the same for the compiled loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def match_compiled_loops() -> None:
    """Let the compiled loops use as many threads as torch does (its setting, or ``OMP_NUM_THREADS``)."""
    import numba

    wanted = torch.get_num_threads()
    numba.set_num_threads(max(1, min(wanted, _most())))
    # Where both use OpenMP, numba's first call sets the number for torch as well.
    torch.set_num_threads(wanted)


def _most() -> int:
    """The number that numba was started with, which it cannot exceed."""
    from numba.core import config

    return int(vars(config)["NUMBA_NUM_THREADS"])


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Compute with this number of threads inside the block, and with the earlier number after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    match_compiled_loops()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        match_compiled_loops()
