"""The content of a kickstart as plain values. Pure: converts pykickstart's handler to
``InstallPlan``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import (
    firewall,
    inclusion,
    interfaces,
    keymaps,
    needed_packages,
    ntp,
    package_files,
    package_names,
    sources,
    storage_reader,
)
from .services import ServiceChanges, named_services

if TYPE_CHECKING:
    from .disks import Storage
    from .firewall import Firewall
    from .ntp import TimeSources


class Keyboard(NamedTuple):
    layouts: tuple[str, ...] = ()
    console_keymap: str = ""
    options: tuple[str, ...] = ()


class Password(NamedTuple):
    """How an account logs in: ``text`` is a crypt(5) hash if ``crypted``, for GRUB one of PBKDF2."""

    text: str = ""
    crypted: bool = False
    lock: bool = False


class PlannedUser(NamedTuple):
    name: str
    password: Password = Password()
    uid: int | None = None
    gid: int | None = None
    groups: tuple[str, ...] = ()
    home: str = ""
    shell: str = ""
    gecos: str = ""


class UserGroup(NamedTuple):
    name: str
    gid: int | None = None


class Bootloader(NamedTuple):
    append: str = ""
    timeout: int | None = None
    install: bool = True
    password: Password = Password()


class Script(NamedTuple):
    """A %pre or %post section; ``line`` is its first line, in the included file ``file`` if that is not empty."""

    body: str
    interpreter: str = "/bin/sh"
    chroot: bool = True
    log: str = ""
    error_on_fail: bool = False
    line: int = 0
    file: str = ""


class Liveimg(NamedTuple):
    """A root archive in a file or on a block device."""

    path: str
    sha256: str = ""


class Packages(NamedTuple):
    """A set of packages to install from ``sources``, of which the first is the main one."""

    sources: tuple[sources.AptSource, ...]
    packages: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    core: bool = True
    weak_dependencies: bool = True
    left_out: tuple[str, ...] = ()


class InstallPlan(NamedTuple):
    storage: Storage
    payload: Liveimg | Packages
    bootloader: Bootloader
    hostname: str
    interfaces: tuple[interfaces.Interface, ...]
    languages: tuple[str, ...]
    keyboard: Keyboard
    timezone: str
    utc: bool
    root: Password | None
    users: tuple[PlannedUser, ...]
    groups: tuple[UserGroup, ...]
    ssh_keys: tuple[tuple[str, str], ...]
    services: ServiceChanges
    firewall: Firewall
    times: TimeSources
    selinux: str
    root_ssh: bool
    pre: tuple[Script, ...]
    pre_install: tuple[Script, ...]
    post: tuple[Script, ...]
    origins: tuple[inclusion.LineOrigin, ...] = ()
    """Of each line, if files were included."""


_SELINUX = {0: "disabled", 1: "enforcing", 2: "permissive"}
"""pykickstart.constants.SELINUX_*"""
_PRE, _POST, _PRE_INSTALL = 0, 1, 3
"""pykickstart.constants.KS_SCRIPT_*"""


def make(handler: Any, firmware: str = "bios", origins: tuple[inclusion.LineOrigin, ...] = ()) -> InstallPlan:
    """The plan of a kickstart that has passed ``supported.check``, for a guest with this ``firmware``.
    ``origins`` are those of its lines, if files were included.
    """

    def scripts(kind: int) -> tuple[Script, ...]:
        return tuple(_script(script, origins) for script in handler.scripts if script.type == kind)

    languages = [handler.lang.lang, *(handler.lang.addsupport or [])]
    return InstallPlan(
        storage=storage_reader.make(handler),
        payload=_payload(handler, firmware),
        bootloader=Bootloader(
            append=(handler.bootloader.appendLine or "").strip(),
            timeout=handler.bootloader.timeout,
            install=storage_reader.boots(handler.bootloader),
            password=Password(handler.bootloader.password or "", bool(handler.bootloader.isCrypted)),
        ),
        hostname=next((net.hostname for net in reversed(handler.network.network) if net.hostname), ""),
        interfaces=interfaces.make(handler.network.network),
        languages=tuple(dict.fromkeys(name for name in languages if name)),
        keyboard=_keyboard(handler.keyboard),
        timezone=handler.timezone.timezone or "",
        utc=bool(handler.timezone.isUtc),
        root=_password(handler.rootpw) if handler.rootpw.seen else None,
        users=tuple(_user(user) for user in handler.user.userList),
        groups=tuple(UserGroup(group.name, group.gid) for group in handler.group.groupList),
        ssh_keys=tuple((key.username, key.key.strip()) for key in handler.sshkey.sshUserList),
        services=named_services(handler.services),
        firewall=firewall.make(handler.firewall),
        times=ntp.make(handler),
        selinux=_SELINUX.get(handler.selinux.selinux, "") if handler.selinux.seen else "",
        root_ssh=bool(handler.rootpw.seen and handler.rootpw.allow_ssh),
        pre=scripts(_PRE),
        pre_install=scripts(_PRE_INSTALL),
        post=scripts(_POST),
        origins=origins,
    )


def _payload(handler: Any, firmware: str) -> Liveimg | Packages:
    if handler.liveimg.seen:
        return Liveimg(handler.liveimg.url.removeprefix("file://"), (handler.liveimg.checksum or "").lower())
    chosen = package_names.choose(handler.packages)
    repos = [repo.baseurl for repo in handler.repo.repoList if sources.is_debian(repo.baseurl)]
    # without a url an included file has it
    lines = [*([handler.url.url] if handler.url.seen else []), *repos]
    return Packages(
        sources=tuple(sources.parse(line) for line in lines),
        packages=(*chosen.packages, *needed_packages.added(handler, firmware)),
        excluded=chosen.excluded,
        core=not handler.packages.nocore,
        weak_dependencies=not handler.packages.excludeWeakdeps,
        left_out=package_files.patterns(handler.packages),
    )


def _keyboard(command: Any) -> Keyboard:
    layouts = tuple(command.x_layouts)
    keymap = command.vc_keymap
    if not layouts and (plain := command.keyboard):
        layouts = (keymaps.layout(plain),)
    return Keyboard(layouts, keymap, tuple(command.switch_options))


def _password(command: Any) -> Password:
    return Password(command.password or "", bool(command.isCrypted), bool(command.lock))


def _user(user: Any) -> PlannedUser:
    return PlannedUser(
        name=user.name,
        password=_password(user),
        uid=user.uid,
        gid=user.gid,
        groups=tuple(user.groups or ()),
        home=user.homedir or "",
        shell=user.shell or "",
        gecos=user.gecos or "",
    )


def _script(script: Any, origins: tuple[inclusion.LineOrigin, ...]) -> Script:
    origin = inclusion.place(origins, script.lineno or 0)
    return Script(
        body=script.script,
        interpreter=script.interp,
        chroot=bool(script.inChroot),
        log=script.logfile or "",
        error_on_fail=bool(script.errorOnFail),
        line=origin.line,
        file=origin.path,
    )
