"""A guest's serial console on the user's terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty

from imagebuild.cli.output import write_raw
from imagebuild.host.domain import SerialStream

ESCAPE = b"\x1d"
"""Ctrl-]: leaves the console, as in ``virsh console``."""
_WAIT = 0.05


def attached(stream: SerialStream) -> bool:
    """Connect the terminal and the console until the user leaves it (True) or the machine ends."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        while not stream.ended:
            if data := stream.read():
                write_raw(data)
            readable, _, _ = select.select([terminal], [], [], _WAIT)
            if readable:
                typed = os.read(terminal, 4096)
                if not typed or ESCAPE in typed:
                    return True
                stream.write(typed)
        return False
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
