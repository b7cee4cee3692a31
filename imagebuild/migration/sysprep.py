"""The operations of a run of virt-sysprep (virt-sysprep(1), "Operations")."""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.customise import manual, registry
from imagebuild.migration.command_lines import GivenCommand
from imagebuild.migration.translated import Call, Part, Remark

OPTIONS = ("enable", "keep-user-accounts", "operation", "operations", "remove-user-accounts", "script", "scriptdir")
"""The options that ``parts`` translates."""
_NOT_BY_DEFAULT = frozenset(
    ("ca-certificates", "firewall-rules", "flag-reconfiguration", "fs-uuids", "kerberos-data", "user-account")
)
"""What virt-sysprep 1.48 --list-operations shows without an asterisk."""
_WITH_OPTIONS = frozenset(("customize", "script"))
"""Operations that do only what other options ask for."""


def parts(command: GivenCommand) -> Iterator[Part]:
    """The operations that replace those of the command."""
    enabled, unknown, defaults = _enabled(command)
    for name in unknown:
        yield Remark(f"{name}: this is not an operation of virt-sysprep 1.48", missing=True)
    ours = {name: set(registry.get(name).replaces) - _WITH_OPTIONS for name in registry.names()}
    wanted = [name for name in ours if ours[name] & enabled]
    if defaults:
        # Everything that makes a template, without what was left out on purpose.
        left_out = frozenset(manual.SYSPREP) - enabled
        wanted += [name for name in registry.TEMPLATE if not (ours[name] and ours[name] <= left_out)]
        yield Remark("virt-sysprep's default operations: the default set of imagebuild removes more")
    order = {name: at for at, name in enumerate(registry.TEMPLATE)}
    users = {key: _values(command, option) for key, option in _ACCOUNTS.items()}
    for name in sorted(set(wanted), key=lambda name: (order.get(name, -1), name)):
        given = {key: value for key, value in users.items() if value} if name == "remove-accounts" else {}
        yield Call(name, given)
    for script in _values(command, "script"):
        yield Call("run-script", {"file": script}, "the script runs in the guest; virt-sysprep runs it on the host")


_ACCOUNTS = {"users": "remove-user-accounts", "keep": "keep-user-accounts"}


def _values(command: GivenCommand, *options: str) -> list[str]:
    return [
        value.strip()
        for option in command.options
        if option.name in options
        for value in option.value.split(",")
        if value.strip()
    ]


def _enabled(command: GivenCommand) -> tuple[frozenset[str], list[str], bool]:
    """The operations that are enabled, unknown names, and whether the default ones are wanted."""
    every = frozenset(manual.SYSPREP)
    enabled: frozenset[str] = frozenset()
    unknown: list[str] = []
    chosen = _values(command, "enable", "operation", "operations")
    for word in chosen or ["defaults"]:
        name = word.removeprefix("-")
        meant = {"defaults": every - _NOT_BY_DEFAULT, "all": every}.get(name, frozenset((name,)))
        if not meant <= every:
            unknown.append(name)
        elif word.startswith("-"):
            enabled -= meant
        else:
            enabled |= meant
    return enabled, unknown, not chosen or bool({"defaults", "all"} & set(chosen))
