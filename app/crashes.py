"""What a process leaves behind when it crashes: nothing."""

from __future__ import annotations

import resource


def leave_no_core() -> None:
    """Let this process, and all that it starts, write no core: that holds films and keys."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
