"""How many threads an engine on the CPU should take."""

from __future__ import annotations

import os


def free_cpus() -> int:
    """Number of CPUs that this process may use and that others do not keep busy; at least 1.

    The threads of llama.cpp and of torch wait for each other in busy loops: with more threads than free CPUs they get
    many times slower.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not hasattr(os, "getloadavg"):
        return usable
    busy = os.getloadavg()[0] - ((os.cpu_count() or usable) - usable)  # others may be busy on CPUs that we may not use
    return max(1, usable - max(0, round(busy)))
