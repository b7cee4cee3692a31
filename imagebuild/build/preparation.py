"""What must be there before an installation can start, as steps of a plan: two kinds, one for each installer.

kickstrap   runtime ─▶ tree, payload      made from Debian packages
Anaconda    source                        fetched and proved
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import metadata
from typing import Protocol

from imagebuild import fingerprint
from imagebuild.anaconda import boot_options, repositories
from imagebuild.anaconda.source import Found
from imagebuild.kickstart.lint import ParsedKickstart
from imagebuild.kickstart.render import CdromPayload, RepositoryValues, TreePayload
from imagebuild.kickstrap import index
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.kickstrap.runtime import RuntimeSpec, base_sources, tree_sources
from imagebuild.recipe.model import Recipe


@dataclass(frozen=True)
class Step:
    """One step of a build. ``kind`` is the store's name for its results."""

    name: str
    kind: str
    what: str
    inputs: Mapping[str, str]

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint.of(self.inputs)


Offers = Callable[[], Mapping[str, str]]
"""Looks at where packages come from: the name of each such place, and a digest of what it has now."""


class World(Protocol):
    """Tells which state of the world counts as an input."""

    def payload(self, spec: PayloadSpec, inputs: Mapping[str, str]) -> dict[str, str]:
        """The inputs of a root archive, with that state."""

    def installation(self, offers: Offers, inputs: Mapping[str, str]) -> dict[str, str]:
        """The inputs of an installation whose packages the VM fetches, with that state."""


@dataclass(frozen=True)
class Tools:
    """Versions of the programs that decide what a step's result is."""

    mmdebstrap: str
    libguestfs: str
    qemu: str


@dataclass(frozen=True)
class KickstrapPreparation:
    """The install tree, and the root archive of a spec; without ``payload`` the VM fetches the packages itself."""

    mirror: Mirror
    runtime_spec: RuntimeSpec
    base: Step
    tree: Step
    payload_spec: PayloadSpec
    payload: Step | None = None

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The steps: those of a chain one after the other, the chains side by side."""
        return ((self.base, self.tree), *([(self.payload,)] if self.payload else []))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in their order."""
        return tuple(step for chain in self.chains for step in chain)

    def inputs(self) -> Mapping[str, str]:
        """What of it can change an installation."""
        return {
            "installer": self.tree.fingerprint,
            "payload": self.payload.fingerprint if self.payload else "in the VM",
        }

    @property
    def offers(self) -> Offers | None:
        """Looks at what the VM fetches packages from; None where all are there before it starts."""
        return partial(index.offered, self.payload_spec) if self.payload is None else None


@dataclass(frozen=True)
class SourcePreparation:
    """Anaconda's install source, looked up; the step fetches it. ``offers`` looks at what the VM fetches packages from."""

    found: Found
    command_line: str
    source: Step
    offers: Offers | None = None

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The one step."""
        return ((self.source,),)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The one step."""
        return (self.source,)

    def inputs(self) -> Mapping[str, str]:
        """What of it can change an installation: what the source is, not how it is kept."""
        return {
            "installer": fingerprint.of(self.found.inputs()),
            "installer's command line": self.command_line,
        }


Preparation = KickstrapPreparation | SourcePreparation

SOURCE_CODE = tuple(f"anaconda/{name}.py" for name in ("medium", "iso", "treeinfo", "boot_options"))
PAYLOAD_CODE = tuple(f"kickstrap/{name}.py" for name in ("payload", "bootstrap", "dpkg", "mirror"))
"""What decides what the two steps make; a test compares both with the imports of the code."""


def kickstrap(
    recipe: Recipe, mirror: Mirror, tools: Tools, kickstart: ParsedKickstart, world: World | None = None
) -> KickstrapPreparation:
    """What kickstrap needs, for the %packages of ``kickstart``."""
    suite, components = str(recipe.os.codename), recipe.installer.components
    runtime_spec = RuntimeSpec(suite=suite, mirror=mirror)
    base, tree = _runtime_steps(runtime_spec, tools)
    payload_spec = PayloadSpec(
        suite=suite,
        mirror=mirror,
        components=components,
        packages=kickstart.packages,
        excluded=kickstart.excluded,
        core=kickstart.core,
        weak_dependencies=kickstart.weak_dependencies,
    )
    payload = _payload_step(payload_spec, tools, world) if recipe.installer.payload == "host" else None
    return KickstrapPreparation(mirror, runtime_spec, base, tree, payload_spec, payload)


def source(recipe: Recipe, found: Found) -> SourcePreparation:
    """What Anaconda needs."""
    code = fingerprint.code(*SOURCE_CODE)
    line = " ".join(boot_options.kernel_arguments(recipe))
    step = Step("source", "source", found.what, {**found.inputs(), "code": code})
    return SourcePreparation(found, line, step, _repositories(recipe, found))


def _repositories(recipe: Recipe, found: Found) -> Offers | None:
    payload = boot_options.payload(recipe)
    assert isinstance(payload, TreePayload | CdromPayload)
    tree: RepositoryValues | None = payload.tree if isinstance(payload, TreePayload) else None
    if (
        tree is not None and tree.url == boot_options.FOLDER_URL
    ):  # a folder of this host, or an image that never changes
        tree = replace(tree, url=found.folder.as_uri()) if found.folder else None
    every = [*([tree] if tree else []), *payload.repositories]
    variables = {"$basearch": recipe.os.arch, "$releasever": recipe.os.version}
    # the packages of a tree may be in folders of it that its .treeinfo names, which is looked at anyway
    optional = tree if found.kind == "tree" else None
    return partial(repositories.offered, every, variables, optional) if every else None


def _runtime_steps(spec: RuntimeSpec, tools: Tools) -> tuple[Step, Step]:
    base = Step(
        "runtime",
        "runtime",
        f"installer's runtime, Debian {spec.suite}",
        {
            "suite": spec.suite,
            "mirror": _mirror(spec.mirror),
            "components": " ".join(spec.components),
            "code": fingerprint.code_of(base_sources()),
            "mmdebstrap": tools.mmdebstrap,
        },
    )
    inputs = {
        "runtime": base.fingerprint,
        "installer's code": fingerprint.code_of(tree_sources()),
        "pykickstart": metadata.version("pykickstart"),
    }
    return base, Step("tree", "tree", "install tree", inputs)


def _payload_step(spec: PayloadSpec, tools: Tools, world: World | None) -> Step:
    inputs = {
        "suite": spec.suite,
        "mirror": _mirror(spec.mirror),
        "components": " ".join(spec.components),
        "packages": " ".join(sorted(spec.packages)),
        "excluded packages": " ".join(sorted(spec.excluded)),
        "standard system": str(spec.core),
        "weak dependencies": str(spec.weak_dependencies),
        "code": fingerprint.code(*PAYLOAD_CODE),
        "mmdebstrap": tools.mmdebstrap,
    }
    if world is not None:
        inputs = world.payload(spec, inputs)
    return Step("payload", "payload", f"root archive of {len(spec.packages)} named packages", inputs)


def _mirror(mirror: Mirror) -> str:
    return f"{mirror.main or 'default'} {mirror.security or ''} {'updates' if mirror.updates else ''}".strip()
