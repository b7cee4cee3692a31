"""Starts the agent; the source that is sent ends with this module."""

import os
import signal
import sys

from .framing import BrokenMessage
from .requests import Requests


def main() -> int:
    """Serve until the connection ends. What an interrupted transfer leaves is used by the next one."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.umask(0o077)
    try:
        Requests(sys.stdin.buffer, sys.stdout.buffer).serve()
    except (BrokenMessage, BrokenPipeError, ConnectionResetError):
        return 1
    return 0


os._exit(main())  # a thread may still hash
