"""Imports pykickstart without ``requests``, which takes longer than all of pykickstart.

pykickstart's loader uses it to fetch kickstarts by URL; imagebuild passes text only. If this module
is imported before pykickstart's loader, the loader is bound to a placeholder that refuses every
request.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _NothingIsLoaded(Exception):
    """Replaces the exceptions that pykickstart's loader refers to."""


def _refuse(url: str, **_: object) -> object:
    raise _NothingIsLoaded(f"{url} is not fetched: imagebuild parses text only")


def _import() -> None:
    if "pykickstart.load" in sys.modules or "requests" in sys.modules:
        return
    exceptions = ModuleType("requests.exceptions")
    exceptions.__dict__.update(SSLError=_NothingIsLoaded, RequestException=_NothingIsLoaded)
    placeholder = ModuleType("requests")
    placeholder.__dict__.update(get=_refuse, exceptions=exceptions, __path__=[])
    names = {"requests": placeholder, "requests.exceptions": exceptions}
    sys.modules.update(names)
    try:
        import pykickstart.load  # noqa: F401
    finally:
        for name in names:
            del sys.modules[name]


_import()

from pykickstart.version import versionMap  # noqa: E402 - only after _import()

__all__ = ["versionMap"]
