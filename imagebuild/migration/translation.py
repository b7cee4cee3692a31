"""The options of virt-customize as operations (virt-customize(1), "Customization options")."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from imagebuild.customise import registry
from imagebuild.migration import passwords, sysprep
from imagebuild.migration.command_lines import GivenCommand, GivenOption
from imagebuild.migration.translated import Call, Part, Remark
from imagebuild.migration.words import equivalents
from imagebuild.schema.findings import findings

_UNNEEDED = {
    "no-logfile": "no log is written into the guest",
    "selinux-relabel": "relabel-selinux runs automatically where it is needed",
    "password-crypto": "set-password always uses SHA-512",
}
_CONTENT = ("run-command", "firstboot-command", "write", "append-line", "edit")
"""The options whose values may contain a secret anywhere."""


def parts(command: GivenCommand) -> list[Part]:
    """What becomes of each option, in their order."""
    translator = _Translator(command)
    made = [part for option in command.options for part in translator.of(option)]
    if command.tool == "virt-sysprep":
        named = {part.name for part in made if isinstance(part, Call)}
        made += [one for one in sysprep.parts(command) if isinstance(one, Remark) or one.name not in named]
    return list(_joined(_checked(part) for part in made))


class _Translator:
    def __init__(self, command: GivenCommand) -> None:
        flags = [one.name for one in command.options]
        self._network = "network" in flags or (command.tool == "virt-customize" and "no-network" not in flags)
        self._names: dict[str, int] = {}

    def of(self, option: GivenOption) -> Iterator[Part]:
        """The parts for one option."""
        if not option.known:
            name = option.name.partition("=")[0] if option.name.startswith("-") else "a word without an option"
            yield Remark(f"{name}: this is not an option of virt-customize", missing=True)
            return
        if option.name in _UNNEEDED:
            yield Remark(f"--{option.name}: not needed, {_UNNEEDED[option.name]}")
        elif option.name in _CONTENT and passwords.has_secret(option.value):
            yield _secret(option)
        elif (translate := _OPTIONS.get(option.name)) is not None:
            made = list(translate(self, option))
            yield from [_draft(option, part) for part in made] if option.open else made
        elif option.name not in (*sysprep.OPTIONS, *_OF_THE_PROGRAM):
            known = equivalents("virt-customize").get(option.name)
            yield Remark(f"--{option.name}: no equivalent" + (f"; see {known}" if known else ""), missing=True)

    def _name(self, name: str) -> dict[str, str]:
        """The parameter ``name`` of a script for the first boot, which must be unique."""
        self._names[name] = self._names.get(name, 0) + 1
        number = self._names[name]
        return {} if number == 1 else {"name": f"{name}-{number}"}

    def firstboot(self, option: GivenOption) -> Iterator[Part]:
        named = self._name("setup")
        note = "scripts for the first boot run in no particular order" if named else ""
        yield Call("run-at-first-boot", {**named, "file": option.value}, note)

    def firstboot_command(self, option: GivenOption) -> Iterator[Part]:
        yield Call("run-at-first-boot", {"text": f"#!/bin/sh\n{option.value}\n"})

    def firstboot_install(self, option: GivenOption) -> Iterator[Part]:
        params = {**self._name("packages"), "packages": _listed(option.value)}
        yield Call("install-packages-at-first-boot", params)

    def run(self, option: GivenOption) -> Iterator[Part]:
        yield Call("run-script", {"file": option.value, **self._networked()})

    def run_command(self, option: GivenOption) -> Iterator[Part]:
        yield Call("run-command", {"command": option.value, **self._networked()})

    def _networked(self) -> dict[str, bool]:
        return {"network": True} if self._network else {}


Translate = Callable[[_Translator, GivenOption], Iterable[Part]]


def _simple(name: str, key: str, make: Callable[[str], Any] = str) -> Translate:
    """An option whose whole value is one parameter."""
    return lambda _, option: [Call(name, {key: make(option.value)})]


def _pair(name: str, first: str, second: str) -> Translate:
    """An option of the form ``FIRST:SECOND``."""

    def translate(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
        one, _, two = option.value.partition(":")
        yield Call(name, {first: one, second: _placed(one, two) if second == "to" else two})

    return translate


def _placed(source: str, target: str) -> str:
    """The path of a copy, whose target may be a folder with a slash at its end."""
    return posixpath.join(target, posixpath.basename(source.rstrip("/"))) if target.endswith("/") else target


def _listed(value: str) -> list[str]:
    return [one.strip() for one in value.split(",") if one.strip()]


def _append_line(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    path, _, line = option.value.partition(":")
    yield Call("append-to-file", {"path": path, "text": line or "\n"})


def _chmod(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    mode, _, path = option.value.partition(":")
    note = ""
    if mode.isdigit() and not mode.startswith("0"):
        note = f"virt-customize reads {mode} as a decimal number, octal {int(mode):04o}; here it is octal"
    yield Call("set-permissions", {"path": path, "mode": mode.zfill(4)}, note)


def _chown(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    found = re.fullmatch(r"([^:.]+)[:.]([^:]+):(/.*)", option.value)
    if found:
        yield Call("set-permissions", {"path": found[3], "owner": f"{found[1]}:{found[2]}"})
    else:
        yield Remark(f"--chown {option.value}: expected UID:GID:PATH", missing=True)


def _copied(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    source, _, target = option.value.rpartition(":")
    path = _placed(source, target if option.name == "upload" else f"{target.rstrip('/')}/")
    yield Call("copy-in", {"source": source, "path": path})


def _edit(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    path, _, expression = option.value.partition(":")
    draft = Call("run-command", {"command": ["perl", "-pi", "-e", expression, path.strip()]})
    text = "a Perl expression has no equivalent: edit-line and set-key change a line; if the guest has Perl:"
    yield Remark(f"--edit {path.strip()}: {text}", missing=True, draft=draft)


def _link(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    target, *links = option.value.split(":")
    yield from (Call("create-link", {"path": link, "target": target}) for link in links)


def _password(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    user, _, selector = option.value.partition(":") if option.name == "password" else ("root", "", option.value)
    yield from passwords.of_selector(f"--{option.name}", user, selector)


def _scrub(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    note = "trim-free-space zeroes what this leaves on the disk"
    yield Call("remove-files", {"paths": [option.value], "must_exist": True}, note)


def _ssh_inject(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    user, _, selector = option.value.partition(":")
    kind, _, value = selector.partition(":")
    if kind == "string" and (file := re.fullmatch(r"\$\(cat ([^()$`]+)\)", value.strip())):
        kind, value = "file", file[1].strip()
    if kind == "string":
        yield Call("add-ssh-keys", {"user": user, "keys": [value.strip()]})
    elif kind == "file":
        yield Call("add-ssh-keys", {"user": user, "keys": [{"file": value}]})
    else:
        note = "virt-customize takes the caller's own key: check the name of the file"
        yield Call("add-ssh-keys", {"user": user, "keys": [{"file": "~/.ssh/id_ed25519.pub"}]}, note)


def _touch(_translator: _Translator, option: GivenOption) -> Iterator[Part]:
    if option.value == "/.autorelabel":
        yield Remark(f"--touch /.autorelabel: not needed, {_UNNEEDED['selinux-relabel']}")
    else:
        yield Call("write-file", {"path": option.value, "text": ""}, "a file that exists already becomes empty")


_OPTIONS: dict[str, Translate] = {
    "append-line": _append_line,
    "chmod": _chmod,
    "chown": _chown,
    "copy": _pair("copy-file", "path", "to"),
    "copy-in": _copied,
    "delete": _simple("remove-files", "paths", lambda value: [value]),
    "edit": _edit,
    "firstboot": _Translator.firstboot,
    "firstboot-command": _Translator.firstboot_command,
    "firstboot-install": _Translator.firstboot_install,
    "hostname": _simple("reset-hostname", "hostname"),
    "install": _simple("install-packages", "packages", _listed),
    "link": _link,
    "mkdir": _simple("create-folder", "path"),
    "move": _pair("move-file", "path", "to"),
    "password": _password,
    "root-password": _password,
    "run": _Translator.run,
    "run-command": _Translator.run_command,
    "scrub": _scrub,
    "sm-remove": lambda *_: [Call("remove-subscriptions", {})],
    "sm-unregister": lambda *_: [Call("remove-subscriptions", {}, "the vendor is not notified")],
    "ssh-inject": _ssh_inject,
    "timezone": _simple("set-timezone", "timezone"),
    "touch": _touch,
    "truncate": _simple("empty-files", "paths", lambda value: [value]),
    "truncate-recursive": _simple("empty-files", "paths", lambda value: [value]),
    "uninstall": _simple("remove-packages", "packages", _listed),
    "update": lambda *_: [Call("update-packages", {})],
    "upload": _copied,
    "write": _pair("write-file", "path", "text"),
}
_OF_THE_PROGRAM = (
    "add", "attach-format", "color", "colors", "colour", "colours", "connect", "debug-gc", "domain", "dry-run",
    "dryrun", "dump-pod", "dump-pod-options", "echo-keys", "format", "help", "key", "keys-from-stdin",
    "list-operations", "memsize", "mount-options", "network", "no-network", "no-selinux-relabel", "quiet", "smp",
    "trace", "verbose", "version", "wrap",
)  # fmt: skip
"""The options about the program itself, the disk or the appliance; they are left out silently."""


def _secret(option: GivenOption) -> Part:
    if option.name == "run-command" and (call := passwords.of_command(option.value)) is not None:
        return call
    text = "its value seems to contain a secret and was not copied; set-password takes a password by reference"
    return Remark(f"--{option.name}: {text}, copy-in takes a file", missing=True)


def _draft(option: GivenOption, part: Part) -> Part:
    """A part of an option whose value the shell would have completed."""
    if isinstance(part, Remark) or option.open not in str(part.params):
        return part
    text = f"--{option.name}: the shell replaces {option.open}, whose value is not known here:"
    return Remark(text, missing=True, draft=part)


def _checked(part: Part) -> Part:
    """A call whose parameters the operation refuses becomes a remark that says why."""
    if isinstance(part, Remark):
        return part
    try:
        registry.call(part.name, part.params)
    except ValidationError as error:
        wrong = next(findings(error, registry.params_model(part.name)))
        where = ".".join(str(step) for step in wrong.route)
        text = f"{part.name} does not accept this: {where + ': ' if where else ''}{wrong.message}"
        return Remark(text, missing=True, draft=part)
    return part


def _joined(made: Iterable[Part]) -> Iterator[Part]:
    """The parts, with the commands for the first boot in one script: several scripts have no order."""
    last: Part | None = None
    for part in made:
        if last is not None and _is_unnamed_script(last) and _is_unnamed_script(part):
            assert isinstance(last, Call)
            assert isinstance(part, Call)
            last = Call(last.name, {"text": last.params["text"] + part.params["text"].partition("\n")[2]}, last.note)
        else:
            if last is not None:
                yield last
            last = part
    if last is not None:
        yield last


def _is_unnamed_script(part: Part) -> bool:
    return isinstance(part, Call) and part.name == "run-at-first-boot" and part.params.keys() == {"text"}
