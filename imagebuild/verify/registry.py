"""All checks, found by their files: ``checks/swap_off.py`` is ``swap-off``.

A file in that folder has a docstring (its documentation: a summary line, then prose), a ``Params``
model, and one of ``PROBES`` with ``judge(seen, params)``, ``act(guest, params)`` (with a ``TURN`` if
it ends or restarts the guest), and ``compare(clones, params)``; ``FOLLOWS`` if some of its problems
may only follow from those of another check (see ``Check``).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from imagebuild import fingerprint
from imagebuild.errors import UsageError
from imagebuild.schema.findings import did_you_mean
from imagebuild.verify import checks
from imagebuild.verify.check import Check, CheckCall, Params

if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTED = "`imagebuild checks list` lists them"


@cache
def names() -> tuple[str, ...]:
    """The names of all checks, sorted."""
    return tuple(sorted(_modules()))


def get(name: str) -> Check:
    """The check called ``name``; UsageError if there is none."""
    if name not in _modules():
        raise UsageError(f"there is no check {name!r}", did_you_mean(name, names()) or _LISTED)
    return _check(name)


def call(name: str, params: Mapping[str, Any] | None = None) -> CheckCall:
    """``name`` with validated ``params``; pydantic's ValidationError if they are invalid."""
    return CheckCall(name, get(name).params.model_validate(dict(params or {})))


@cache
def _modules() -> frozenset[str]:
    """The names of all checks, without importing any."""
    return frozenset(info.name.replace("_", "-") for info in pkgutil.iter_modules(checks.__path__))


@cache
def _check(name: str) -> Check:
    file = f"{name.replace('-', '_')}.py"
    module = importlib.import_module(f"{checks.__name__}.{file.removesuffix('.py')}")
    text = inspect.cleandoc(module.__doc__ or "")
    summary, _, description = text.partition("\n\n")
    check = Check(
        name=name,
        summary=summary.rstrip("."),
        description=description.strip(),
        params=module.Params,
        version=fingerprint.code(f"verify/checks/{file}")[:12],
        probes=getattr(module, "PROBES", {}),
        judge=getattr(module, "judge", None),
        act=getattr(module, "act", None),
        compare=getattr(module, "compare", None),
        follows=getattr(module, "FOLLOWS", {}),
        turn=getattr(module, "TURN", "running"),
    )
    if not summary or not issubclass(check.params, Params) or bool(check.probes) != bool(check.judge):
        raise TypeError(f"check {name} needs a docstring, a Params model, and PROBES with judge, or act")
    if sum(one is not None for one in (check.judge, check.act, check.compare)) != 1:
        raise TypeError(f"check {name} needs one of judge, act and compare")
    return check
