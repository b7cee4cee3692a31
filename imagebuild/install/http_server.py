"""Serves a folder of this host to the VM over HTTP while the VM runs.

The server listens only on the loopback interface. QEMU's user network, which needs no privileges,
makes that available to the guest as 10.0.2.2. The guest is untrusted: its requests can only read,
and only inside the folder.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from imagebuild.log import logger

HOST_FROM_THE_GUEST = "10.0.2.2"
"""This host's loopback interface as the guest sees it through QEMU's user network (qemu(1), -netdev
user).
"""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    folder: Path

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, directory=str(self.folder), **kwargs)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("the VM requested %s", " ".join(repr(arg)[:200] for arg in args))

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        # Neither links nor paths may lead outside the folder, and folders are not listed.
        named = self.translate_path(self.path)
        path = Path(named.replace("\0", "")).resolve()
        if "\0" in named or not path.is_relative_to(self.folder) or not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("the VM aborted a transfer", exc_info=True)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` while the block runs; yields the address for the guest."""
    handler = type("_Bound", (_Handler,), {"folder": folder.resolve()})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST_FROM_THE_GUEST}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
