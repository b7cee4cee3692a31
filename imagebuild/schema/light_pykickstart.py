"""Imports pykickstart without ``requests``, which takes longer than all of pykickstart.

Its loader fetches kickstarts by URL with it; here it is given texts only. Who imports this first has the loader bound to a stand-in, which refuses.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _NothingIsLoaded(Exception):
    """In place of the exceptions that pykickstart's loader names."""


def _refuse(url: str, **_: object) -> object:
    raise _NothingIsLoaded(f"{url} is not loaded: imagebuild reads texts only")


def _import() -> None:
    if "pykickstart.load" in sys.modules or "requests" in sys.modules:
        return
    exceptions = ModuleType("requests.exceptions")
    exceptions.__dict__.update(SSLError=_NothingIsLoaded, RequestException=_NothingIsLoaded)
    stand_in = ModuleType("requests")
    stand_in.__dict__.update(get=_refuse, exceptions=exceptions, __path__=[])
    names = {"requests": stand_in, "requests.exceptions": exceptions}
    sys.modules.update(names)
    try:
        import pykickstart.load  # noqa: F401
    finally:
        for name in names:
            del sys.modules[name]


_import()

from pykickstart.version import versionMap  # noqa: E402 - not before

__all__ = ["versionMap"]
