"""The libraries that draw, which only these commands need: the extra ``pictures``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from imagebuild.errors import HostError


def library(name: str, what: str) -> Any:
    """The module ``name``, which draws ``what``. Raises HostError if it is not installed."""
    try:
        module = import_module(name)
    except ImportError as error:
        raise HostError(
            f"{what} needs the Python package {name}: {error}",
            "install imagebuild with its extra pictures: pip install 'imagebuild[pictures]'",
        ) from error
    # pygal 3.1 hooks into all later imports, for plugins, in a way that Python warns about
    sys.meta_path[:] = [one for one in sys.meta_path if type(one).__name__ != "PluginImportFixer"]
    return module
