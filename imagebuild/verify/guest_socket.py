"""A unix socket through which a program on this host runs commands in a guest.

Each connection carries one command. The client sends a line of JSON, ``{"command": TEXT}``, and
gets one back: ``{"status": NUMBER, "output": BASE64, "errors": BASE64}``, or ``{"error": TEXT}`` if
the command could not be run.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from imagebuild.errors import GuestError, HostError
from imagebuild.log import logger
from imagebuild.verify import command
from imagebuild.verify.check import RunningGuest

_POLL = 0.1
_PATIENCE = 10.0
"""Seconds within which a client must have sent its command, or have read the result."""
_BEYOND = 15.0
"""Seconds that a command in the guest may take to end after its time limit."""
_LONGEST = 1 << 20
"""The most bytes of a request."""
_SHELL = """\
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
limit=
timeout 1 true 2>/dev/null && limit="timeout $2"
exec $limit /bin/sh -c "$1"
"""


@contextmanager
def serving(guest: RunningGuest, path: Path, *, limit: float) -> Iterator[None]:
    """Serve commands on the socket ``path`` until the block ends, for ``limit`` seconds at most.

    The folder of ``path`` must belong to this user alone. One command runs at a time, and none runs
    any more when the block has ended normally.
    """
    deadline = time.monotonic() + limit
    stopped = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(_POLL)
        # A daemon: after Ctrl-C nobody waits for a command in a guest that is about to be ended.
        thread = threading.Thread(target=_serve, args=(guest, listening, deadline, stopped), daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            stopped.set()
            raise
        stopped.set()
        thread.join()


def _serve(guest: RunningGuest, listening: socket.socket, deadline: float, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        except OSError:  # closed
            return
        with connection, suppress(OSError):
            connection.settimeout(_PATIENCE)
            reply = _reply(guest, _line(connection), deadline)
            connection.sendall(json.dumps(reply).encode() + b"\n")


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LONGEST:
        block = connection.recv(1 << 16)
        if not block:
            break
        data += block
    return data


def _reply(guest: RunningGuest, request: bytes, deadline: float) -> dict[str, Any]:
    left = deadline - time.monotonic()
    if left <= 0:
        return {"error": "the time limit has passed"}
    try:
        text = json.loads(request)["command"]
        argv = ["/bin/sh", "-c", _SHELL, "sh", str(text), str(int(left) + 1)]
        done = command.run(guest, argv, timeout=left + _BEYOND)
    except (GuestError, HostError) as error:
        return {"error": error.message}
    except TimeoutError:
        return {"error": "the guest did not answer in time"}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        logger.info("a request on the socket is invalid: %s", error)
        return {"error": "the request is invalid"}
    return {
        "status": done.status,
        "output": base64.b64encode(done.output).decode(),
        "errors": base64.b64encode(done.errors).decode(),
    }
