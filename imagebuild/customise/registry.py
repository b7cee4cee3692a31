"""All operations, found by their files: ``operations/remove_udev_rules.py`` is ``remove-udev-rules``.

A file of that folder has a docstring (its documentation: a summary line, then prose), a
``PHASE``, a ``Params`` model and ``apply(guest, params)``; ``needs_network(guest, params)`` if it
ever downloads something; ``CARRIES`` and ``REPLACES`` if it scrubs (see ``Operation``).
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagebuild
from imagebuild.customise import operations
from imagebuild.customise.operation import Operation, OperationCall, Params, Phase
from imagebuild.customise.supplies import NOTHING, Supplies
from imagebuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

DEFAULTS: tuple[str, ...] = (
    "disable-selinux",
    "disable-firewall",
    "remove-installer-traces",
    "remove-network-identity",
    "remove-udev-rules",
    "reset-hostname",
    "reset-cloud-init",
    "remove-device-records",
    "remove-storage-initiator-names",
    "remove-domain-membership",
    "remove-subscriptions",
    "remove-service-data",
    "remove-app-store-state",
    "remove-ssh-host-keys",
    "remove-user-ssh",
    "reset-machine-id",
    "remove-random-seed",
    "remove-histories",
    "remove-crash-dumps",
    "remove-backup-files",
    "remove-spools",
    "remove-dhcp-server-leases",
    "clean-package-caches",
    "clean-logs",
    "clean-temporary-files",
    "trim-free-space",
)
"""What every template wants; ``install-packages`` is added by a recipe, with its packages."""


def names() -> tuple[str, ...]:
    """The names of all operations, sorted."""
    return tuple(sorted(_all()))


def get(name: str) -> Operation:
    """The operation called ``name``; UsageError if there is none."""
    try:
        return _all()[name]
    except KeyError:
        raise UsageError(f"there is no operation {name!r}", f"the operations are: {', '.join(names())}") from None


def params_model(name: str) -> type[Params]:
    """The pydantic model of the parameters of ``name``; UsageError if there is no such operation."""
    return get(name).params


def call(name: str, params: Mapping[str, Any] | None = None, supplies: Supplies = NOTHING) -> OperationCall:
    """``name`` with ``params`` checked; pydantic's ValidationError if they are wrong."""
    return OperationCall(name, params_model(name).model_validate(dict(params or {})), supplies)


def code_digest(name: str) -> str:
    """SHA-256 over the code that decides what ``name`` does: its own file, and what all operations stand on."""
    package = Path(str(imagebuild.__file__)).parent
    own = Path(inspect.getfile(_module(name)))
    shared = [
        package / "fstab.py",
        *sorted((package / "guest").glob("*.py")),
        *sorted((package / "customise").glob("*.py")),
    ]
    digest = hashlib.sha256()
    for path in (own, *shared):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


@cache
def _all() -> dict[str, Operation]:
    found = (info.name for info in pkgutil.iter_modules(operations.__path__))
    return {_name(module): _operation(_name(module)) for module in found}


def _name(module: str) -> str:
    return module.replace("_", "-")


def _module(name: str) -> ModuleType:
    get(name)
    return _import(name)


def _import(name: str) -> ModuleType:
    return importlib.import_module(f"{operations.__name__}.{name.replace('-', '_')}")


def _operation(name: str) -> Operation:
    module = _import(name)
    text = inspect.cleandoc(module.__doc__ or "")
    summary, _, description = text.partition("\n\n")
    phase, params = module.PHASE, module.Params
    if not summary or not isinstance(phase, Phase) or not issubclass(params, Params):
        raise TypeError(f"operation {name} needs a docstring, a PHASE and a Params model")
    return Operation(
        name=name,
        summary=summary.rstrip("."),
        description=description.strip(),
        phase=phase,
        params=params,
        apply=module.apply,
        needs_network=getattr(module, "needs_network", None),
        carries=getattr(module, "CARRIES", ""),
        replaces=getattr(module, "REPLACES", ()),
    )
