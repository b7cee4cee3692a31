"""Installation with kickstrap, which is built from Debian packages:

runtime ─▶ tree
payload            unless the VM fetches the packages itself
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from threading import Lock

from imagebuild import fingerprint
from imagebuild.errors import HostError
from imagebuild.files import sha256
from imagebuild.kickstart.check import Supported
from imagebuild.kickstart.plain import plain
from imagebuild.kickstart.render import LiveimgPayload, PackagesPayload, Payload, Rendered
from imagebuild.kickstrap import (
    difference,
    further,
    index,
    kept_checks,
    prepared_root,
    release_date,
    runtime,
    shared,
    steps,
)
from imagebuild.kickstrap import payload as archives
from imagebuild.kickstrap.agent import needed_packages, package_files, package_names
from imagebuild.kickstrap.agent import supported as agent
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.known_packages import MirrorPackages, cached_mirror
from imagebuild.kickstrap.mirror import Mirror, host_mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.kickstrap.runtime import RuntimeSpec
from imagebuild.kickstrap.stored_roots import StoredRoots
from imagebuild.machine.install_vm import Boot
from imagebuild.machine.virt_install import SourceDisk
from imagebuild.printable import counted
from imagebuild.progress import Progress
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.section import MIB
from imagebuild.step import (
    ROOT_ARCHIVE,
    TREE,
    AddedFiles,
    Addition,
    Check,
    Checked,
    Entries,
    Offers,
    Prepared,
    Start,
    Step,
    Tools,
    UsedSource,
    World,
)
from imagebuild.store.store import Store

ASKS = False
PROVES_PACKAGES = True
ASKS_SERVERS = False
HAS_PAYLOADS = True
PAYLOAD_URL = "file:///run/kickstrap/payload"
"""Where the installer's init provides the disk with the root archive."""
PREPARED_CODE = tuple(f"kickstrap/{name}.py" for name in ("prepared_root", "archive_attributes", "e2fsprogs"))
"""The code that writes the root file system on this host, beside the agent's; a test compares it with the
imports.
"""
_KERNEL, _INITRD, _INSTALL_IMAGE = "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img"
"""Files of an install tree."""
_PAYLOAD = "payload"
"""The root archive, next to an exported script."""


@dataclass(frozen=True)
class KickstrapPreparation:
    """The install tree, and the root archive of a spec; without ``payload`` the VM fetches the
    packages itself.
    """

    recipe: Recipe
    mirror: Mirror
    runtime_spec: RuntimeSpec
    base: Step
    tree: Step
    payload_spec: PayloadSpec
    tools: Tools
    world: World | None = None
    payload: Step | None = None
    further: Step | None = None
    """Makes what the shared disk, which is installed from ``payload``, has not."""
    common_spec: PayloadSpec | None = None
    """What ``payload`` is made of; None if that is ``payload_spec``."""
    asked: tuple[str, ...] = ()

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The runtime and the tree; in parallel the root archive."""
        return ((self.base, self.tree), *([(self.payload,)] if self.payload else []))

    @property
    def offers(self) -> Offers | None:
        """Queries the mirror, if the VM fetches the packages."""
        return partial(index.offered, self.payload_spec) if self.payload is None else None

    def inputs(self) -> Mapping[str, str]:
        """The inputs that affect an installation."""
        return {
            "installer": self.tree.fingerprint,
            "payload": self.payload.fingerprint if self.payload else "in the VM",
            **({"root file system": fingerprint.code(*PREPARED_CODE)} if self.payload else {}),
            **({"kickstart syntax": self.recipe.kickstart.syntax} if self.recipe.kickstart.syntax else {}),
            **(
                {"SSH host keys": "made by the installer"}
                if self.payload and not _without_host_keys(self.recipe)
                else {}
            ),
        }

    @property
    def addition(self) -> Addition | None:
        """The packages beyond those of a shared disk."""
        return None if self.further is None else Addition(self.further, self._add)

    def _add(self, entries: Entries) -> AddedFiles:
        assert self.further is not None
        roots = self._roots(entries)

        def fill(folder: Path, progress: Progress) -> str:
            entry = self._payload(entries, roots)
            assert entry is not None
            stored = roots()
            whole = replace(self.payload_spec, epoch=stored.state.epoch if stored else None)
            common = archives.read(entry)
            made = further.make(common, whole, stored, folder, progress)
            return counted(len(made.packages) - len(common.packages), "further package")

        folder = entries.make(self.further, fill)
        made = archives.read(folder)
        return AddedFiles(made.path, folder / difference.DESCRIPTION, made.sha256)

    def installed(self, kickstart: Rendered) -> Rendered:
        """Without comments; of an installation from a root archive, with the packages of that."""
        if self.payload is None:
            return plain(kickstart)
        names = frozenset((self.common_spec or self.payload_spec).packages)
        return plain(kickstart, partial(shared.is_installed, names))

    def make(self, entries: Entries, start: Start) -> Callable[[], Prepared]:
        """Start building the tree and the root archive."""
        roots = self._roots(entries)
        tree = start(lambda: self._tree(entries, roots))
        payload = start(lambda: self._payload(entries, roots))
        return lambda: self._prepared(tree.result(), payload.result())

    def _prepared(self, tree: Path, entry: Path | None) -> Prepared:
        sources = [
            UsedSource("installer's runtime", sha256(tree / _INSTALL_IMAGE)),
            UsedSource("installer's kernel", sha256(tree / _KERNEL)),
            UsedSource("installer's initrd", sha256(tree / _INITRD)),
        ]
        disks, room, epoch, digest = [SourceDisk(tree / _INSTALL_IMAGE, "stage2")], 0, 0, ""
        write_ahead = None
        payload: Payload
        if entry is None:
            payload = packages_payload(self.recipe, self.mirror)
        else:
            archive = archives.verified(entry)
            digest = archive.sha256
            payload = LiveimgPayload(PAYLOAD_URL, digest)
            epoch = archive.epoch
            disks.append(SourceDisk(archive.path, "payload"))
            sources.append(UsedSource(ROOT_ARCHIVE, digest, self.mirror.main))
            # a file system needs some 5 % for itself
            room = int(archive.path.stat().st_size * 1.05) + 64 * MIB
            programs, machine = tree.parent / runtime.E2FSPROGS, _machine(self.recipe)._replace(existing=())
            write_ahead = partial(prepared_root.write, programs=programs, archive=archive.path, machine=machine)
        identified = partial(runtime.identity_arguments, epoch=epoch, payload=digest)
        return Prepared(
            tree,
            tuple(disks),
            lambda _: payload,
            tuple(sources),
            room=room,
            identified=identified,
            write_ahead=write_ahead,
        )

    def _roots(self, entries: Entries) -> Callable[[], StoredRoots | None]:
        """Looks at the mirror when the first root is needed; None if its state is not known."""

        @cache
        def look() -> StoredRoots | None:
            state = release_date.look(self.payload_spec.mirror, self.payload_spec.suite)
            if state is None:
                return None
            inputs_of = partial(steps.payload_inputs, tools=self.tools)
            step_of = partial(steps.payload_step, tools=self.tools, world=self.world)
            return StoredRoots(entries, state, self.tools.mmdebstrap, step_of, inputs_of)

        def once() -> StoredRoots | None:
            with lock:
                return look()

        lock = Lock()
        return once

    def _tree(self, entries: Entries, roots: Callable[[], StoredRoots | None]) -> Path:
        if found := entries.fetch(self.tree):
            return found / "tree"

        def fill_base(folder: Path, progress: Progress) -> str:
            progress.update("waiting for the required packages", 0.0)
            stored = roots()
            root = stored.base(runtime.root_of(self.runtime_spec)) if stored else None
            made = runtime.build_base(self.runtime_spec, folder / "base", progress, root)
            return f"installer's runtime, {counted(len(made.packages), 'package')}"

        def fill_tree(folder: Path, _progress: Progress) -> str:
            runtime.build_tree(base / "base", folder / "tree")
            runtime.link_e2fsprogs(base / "base", folder / runtime.E2FSPROGS)
            return "install tree"

        base = entries.make(self.base, fill_base)
        return entries.make(self.tree, fill_tree) / "tree"

    def _payload(self, entries: Entries, roots: Callable[[], StoredRoots | None]) -> Path | None:
        if self.payload is None:
            return None

        def fill(folder: Path, progress: Progress) -> str:
            stored = roots()
            spec = self.common_spec or self.payload_spec
            dated = replace(spec, epoch=stored.state.epoch if stored else None)
            result = archives.build(dated, folder, progress, stored)
            return f"root archive, {counted(len(result.packages), 'package')}"

        return entries.make(self.payload, fill)

    def kept(self, found: Mapping[str, Path]) -> tuple[dict[str, Path], Payload]:
        """Tree and root archive."""
        files = {TREE: found["tree"] / "tree"}
        if "payload" not in found:
            return files, packages_payload(self.recipe, self.mirror)
        archive = archives.read(found["payload"])
        return {**files, _PAYLOAD: archive.path}, LiveimgPayload(PAYLOAD_URL, archive.sha256)


def look_up(recipe: Recipe, store: Store) -> Mirror:
    """The Debian mirror for packages."""
    if recipe.installer.mirror:
        return Mirror(recipe.installer.mirror)
    return cached_mirror(store)


def look_here(recipe: Recipe) -> Mirror:
    """Like ``look_up``, but apt is asked only once, which takes 0.5 s.

    It is not asked for packages that the host unpacks, whose kickstart names no mirror.
    """
    if recipe.installer.mirror:
        return Mirror(recipe.installer.mirror)
    return Mirror() if recipe.installer.payload == "host" else _mirror_of_this_host()


@cache
def _mirror_of_this_host() -> Mirror:
    return host_mirror()


def plan(
    recipe: Recipe, looked: Mirror, tools: Tools, check: Check, world: World | None
) -> tuple[Checked, KickstrapPreparation]:
    """The kickstart, and the steps for its packages."""
    kickstart = check(packages_payload(recipe, looked))
    preparation = _preparation(recipe, looked, tools, kickstart, world)
    if preparation.payload is not None:
        kickstart = check(LiveimgPayload(PAYLOAD_URL, preparation.payload.fingerprint))
    return kickstart, preparation


def payloads(recipe: Recipe, looked: Mirror) -> list[Payload]:
    """The payloads: one that is built on the host needs two kickstarts, of which the last one
    installs.
    """
    packages = packages_payload(recipe, looked)
    return [packages, LiveimgPayload(PAYLOAD_URL, "0" * 64)] if recipe.installer.payload == "host" else [packages]


def supported(recipe: Recipe) -> Supported:
    """The agent's own check, for the recipe's machine."""
    return _carried_out(_machine(recipe))


def _machine(recipe: Recipe) -> TargetMachine:
    return TargetMachine(tuple(disk.size // MIB for disk in recipe.disks), recipe.machine.firmware)


@cache
def _carried_out(machine: TargetMachine) -> Supported:
    """The same function for equal machines, because reports are cached by it."""
    return partial(agent.check, machine=machine, run=kept_checks.run)


def packages(recipe: Recipe) -> MirrorPackages:
    """The packages of the recipe's mirror."""
    return MirrorPackages(recipe.installer.mirror, str(recipe.os.codename), recipe.installer.components, recipe.os.arch)


def boot(recipe: Recipe) -> Boot:
    """Boot with BIOS, even to install for UEFI: kickstrap's kernel has no UEFI entry point."""
    keys = not _without_host_keys(recipe)
    return Boot(runtime.kernel_arguments(recipe.machine.firmware, host_keys=keys, syntax=recipe.kickstart.syntax))


def _without_host_keys(recipe: Recipe) -> bool:
    """Whether an operation removes the SSH host keys anyway: making them takes seconds if the VM is
    emulated.
    """
    return any(call.name == "remove-ssh-host-keys" for call in recipe.all_operations)


def disks(recipe: Recipe, folder: Path) -> tuple[SourceDisk, ...]:
    """The runtime, and the root archive."""
    stage2 = SourceDisk(folder / TREE / _INSTALL_IMAGE, "stage2")
    return (stage2, SourceDisk(folder / _PAYLOAD, "payload")) if recipe.installer.payload == "host" else (stage2,)


def packages_payload(recipe: Recipe, mirror: Mirror) -> PackagesPayload:
    """The payload of packages from a mirror. The VM needs an explicit one; on the host mmdebstrap
    has a default.
    """
    main = mirror.main
    if main is None and recipe.installer.payload == "in-vm":
        raise HostError(
            "no Debian mirror is known for a payload that is unpacked in the VM: this host's apt has none",
            "set installer.mirror in the recipe",
        )
    return PackagesPayload(main or "http://mirror.invalid/debian", str(recipe.os.codename), recipe.installer.components)


def _preparation(
    recipe: Recipe, mirror: Mirror, tools: Tools, checked: Checked, world: World | None
) -> KickstrapPreparation:
    """The preparation for the %packages of the kickstart ``checked``."""
    rendered, kickstart = checked
    suite, components = str(recipe.os.codename), recipe.installer.components
    runtime_spec = RuntimeSpec(suite=suite, mirror=mirror)
    base, tree = steps.runtime_steps(runtime_spec, tools)
    chosen = package_names.choose(kickstart.handler.packages)
    spec = PayloadSpec(
        suite=suite,
        mirror=mirror,
        components=components,
        packages=(*chosen.packages, *needed_packages.added(kickstart.handler, recipe.machine.firmware)),
        excluded=chosen.excluded,
        optional=chosen.optional,
        left_out=package_files.patterns(kickstart.handler.packages),
        core=kickstart.core,
        weak_dependencies=kickstart.weak_dependencies,
    )
    own = KickstrapPreparation(recipe, mirror, runtime_spec, base, tree, spec, tools, world)
    if recipe.installer.payload != "host":
        return own
    first = shared.installed_first(kickstart, rendered.text, spec, recipe.machine.firmware)
    if first:
        common_spec = replace(spec, packages=first)
        payload = steps.payload_step(common_spec, tools, world)
        added = steps.additions_step(payload, spec, len(first), tools, world)
        if world is None or not world.refused(added):
            return replace(own, payload=payload, further=added, common_spec=common_spec)
    return replace(own, payload=steps.payload_step(spec, tools, world))
