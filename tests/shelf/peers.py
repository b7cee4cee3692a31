"""The programs that read a shelf: a web server, virt-builder, and the client library of simplestreams."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a web server on the loopback interface that serves a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def virt_builder(home: Path, *words: str | Path, sources: str = "", timeout: float = 60) -> str:
    """What virt-builder prints, with a folder of its own instead of the user's and the system's settings.

    ``sources`` is the content of a file of sources, virt-builder(1) SOURCES OF TEMPLATES. Raises
    CalledProcessError.
    """
    config = home / "config" / "virt-builder" / "repos.d"
    config.mkdir(parents=True, exist_ok=True)
    (config / "shelf.conf").write_text(sources)
    env = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        "VIRT_BUILDER_DIRS": str(home / "none"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
    }
    argv = ["virt-builder", *words]
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True, timeout=timeout).stdout


def source(url: str, key: Path | None = None, *, form: str = "native") -> str:
    """A section of a file of sources."""
    lines = ["[shelf]", f"uri={url}", f"format={form}"]
    return "\n".join([*lines, *([] if key is None else [f"gpgkey=file://{key}"])]) + "\n"
