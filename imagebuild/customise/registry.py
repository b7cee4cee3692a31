"""All operations, found by their files: ``operations/remove_udev_rules.py`` is
``remove-udev-rules``.

A file in that folder has a docstring (its documentation: a summary line, then prose), a ``PHASE``,
a ``Params`` model and ``apply(guest, params)``; ``needs_network(guest, params)`` if it ever
downloads something; ``CARRIES`` and ``REPLACES`` if it scrubs (see ``Operation``). A table that it
reads has the same name, with ``.yaml``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebuild import fingerprint
from imagebuild.customise import operations
from imagebuild.customise.host_inputs import NOTHING, Supplies
from imagebuild.customise.operation import Operation, OperationCall, Params, Phase
from imagebuild.errors import UsageError
from imagebuild.schema.findings import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUSE_RULES: tuple[str, ...] = ("disable-selinux", "disable-firewall", "disable-ssh-passwords")
"""What the shipped recipes add: settings that are a matter of taste. Other images get them only on
request."""
TEMPLATE: tuple[str, ...] = (
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
    "reset-agents",
    "remove-app-store-state",
    "remove-ssh-host-keys",
    "remove-user-ssh",
    "reset-machine-id",
    "remove-initramfs-identity",
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
"""What turns an image into a template: identities, secrets and traces of one machine are removed.
This is what scrubbing does by default."""

_LISTED = "`imagebuild operations list` lists them"


@cache
def names() -> tuple[str, ...]:
    """The names of all operations, sorted."""
    return tuple(sorted(_modules()))


def get(name: str) -> Operation:
    """The operation called ``name``; UsageError if there is none."""
    if name not in _modules():
        raise UsageError(f"there is no operation {name!r}", did_you_mean(name, names()) or _LISTED)
    return _operation(name)


def params_model(name: str) -> type[Params]:
    """The pydantic model of the parameters of ``name``; UsageError if there is no such operation."""
    return get(name).params


def call(name: str, params: Mapping[str, Any] | None = None, supplies: Supplies = NOTHING) -> OperationCall:
    """``name`` with validated ``params``; pydantic's ValidationError if they are invalid."""
    return OperationCall(name, params_model(name).model_validate(dict(params or {})), supplies)


def ordered(calls: Sequence[OperationCall]) -> tuple[list[OperationCall], list[OperationCall]]:
    """``calls`` in the order in which they are applied: those before the guest is sealed, and those
    that seal it."""
    by_phase = sorted(calls, key=lambda call: get(call.name).phase)
    before_seal = [call for call in by_phase if get(call.name).phase < Phase.SEAL]
    return before_seal, by_phase[len(before_seal) :]


def code_digest(name: str) -> str:
    """SHA-256 over the code that decides what ``name`` does: its own file, a table next to it, and
    the code that all operations share."""
    get(name)
    return fingerprint.text(f"{fingerprint.code(*_own_files(name))} {_shared_code()}")


@cache
def _own_files(name: str) -> tuple[str, ...]:
    own = f"customise/operations/{name.replace('-', '_')}"
    return tuple(file for file in (f"{own}.py", f"{own}.yaml") if (fingerprint.PACKAGE / file).is_file())


@cache
def _shared_code() -> str:
    return fingerprint.code_of(shared_sources())


def shared_sources() -> list[Path]:
    """The code that all operations share: access to the guest, and the parsing of parameters. A
    test compares it with the imports of the code."""
    package = fingerprint.PACKAGE
    own = ("accounts", "customised", "document", "fields", "findings", "parameters", "section", "ssh_keys")
    return [
        *(package / "schema" / f"{name}.py" for name in own),
        *(package / "guest").rglob("*.py"),
        *(package / "customise").glob("*.py"),
        *(package / "customise" / "network").glob("*.py"),
        *(package / "customise" / "linux").glob("*.py"),
        package / "kernel" / "lz4_legacy.py",
    ]


@cache
def _modules() -> frozenset[str]:
    """The names of all operations. None is imported for this: a recipe needs only a few of them."""
    return frozenset(info.name.replace("_", "-") for info in pkgutil.iter_modules(operations.__path__))


@cache
def _operation(name: str) -> Operation:
    module = importlib.import_module(f"{operations.__name__}.{name.replace('-', '_')}")
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
