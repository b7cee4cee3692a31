"""Compiled templates, kept for the next process: to compile them takes a tenth of a plan.

They are found by the digest of the template's text and of the code that compiles it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import jinja2
import platformdirs
from jinja2.bccache import Bucket, BytecodeCache

from imagebuild import fingerprint
from imagebuild.host import private_files

_LONGEST = 1 << 22
"""Bytes of a compiled template that are read."""
_CODE = ("environment", "here_documents", "quotes", "source_map")
"""The modules that decide how a template is compiled."""


class CompiledTemplates(BytecodeCache):
    """Keeps compiled templates in ``folder`` (default: below the user's cache). ``kind`` names the environment
    that compiles them.
    """

    def __init__(self, kind: str, folder: Path | None = None) -> None:
        self._kind = kind
        self._folder = folder or platformdirs.user_cache_path("imagebuild-templates")

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The file's name; a template of the same name elsewhere has another."""
        return hashlib.sha256(repr((self._kind, name, filename)).encode()).hexdigest()[:32]

    def get_source_checksum(self, source: str) -> str:
        """What the compiled template depends on; Jinja2 compares it, and the version of Python's bytecode."""
        return hashlib.sha256(repr((source, self._kind, _code())).encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket with what was kept, if only this user can have written it."""
        content = private_files.read(self._folder / bucket.key, _LONGEST)
        if content:
            try:
                bucket.bytecode_from_string(content)
            except (EOFError, ValueError, TypeError):
                bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        private_files.write(self._folder / bucket.key, bucket.bytecode_to_string())


@cache
def _code() -> tuple[str, str]:
    return jinja2.__version__, fingerprint.code(*(f"kickstart/{name}.py" for name in _CODE))
