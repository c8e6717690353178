"""``python -m training <command>``: builds and measures the models that the app serves."""

from __future__ import annotations

import argparse
import errno
import os
import sys

from training.audit.command import add_audit_commands
from training.commands import add_bundle_commands
from training.workbench import add_workbench_commands


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(
        prog="python -m training",
        description="Train, measure and export the networks of the X-Ray Result Interpreter.",
        epilog=(
            "The device is found by itself. KERAS_BACKEND=tensorflow, jax or torch chooses the "
            "library that computes."
        ),
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    add_bundle_commands(commands)
    add_audit_commands(commands)
    add_workbench_commands(commands)
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 refused with a sentence, 130 interrupted (call again to go on)."""
    given = parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cxr.errors import CxrError  # after the parser: --help must not wait for TensorFlow

    try:
        given.start(given)
    except CxrError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            words = "The disk is full. Free some room and call again: it goes on."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR):
            words = f"{error.filename} cannot be used: {error.strerror}. Name another place."
        else:
            raise
        print(f"error: {words}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        words = getattr(given, "interrupted", "Call the same command again to go on.")
        print(f"\nInterrupted. {words}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
