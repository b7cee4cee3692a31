"""From a recipe to the steps that build it, each with its inputs and its fingerprint. Nothing is run or changed.

    runtime ─┐
             ├─▶ install ─▶ customise ─▶ convert
    payload ─┘

The kickstart is rendered here already, with stand-ins for what is not known yet or must not be kept: the
nonce, secrets, the digest of a payload that may still have to be built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib import metadata

from imagebuild import fingerprint
from imagebuild.customise import registry
from imagebuild.domain.definition import definition
from imagebuild.errors import HostError, Problem, RecipeError, UsageError
from imagebuild.install import anaconda
from imagebuild.kickstart import heeded, syntax
from imagebuild.kickstart.lint import ParsedKickstart, Report, Supported, lint
from imagebuild.kickstart.render import LiveimgPayload, PackagesPayload, Payload, Rendered, TreePayload, render
from imagebuild.kickstart.rule import Target
from imagebuild.kickstrap.agent import supported
from imagebuild.kickstrap.agent.machine import Machine
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.kickstrap.runtime import RuntimeSpec, base_sources, tree_sources
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.secrets import FingerprintSecrets, SampleSecrets, Secrets
from imagebuild.recipe.section import MIB

PAYLOAD_URL = "file:///run/kickstrap/payload"
"""Where the installer's init presents the disk that holds the root archive."""
_NONCE = "nonce-of-the-build"


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


@dataclass(frozen=True)
class Plan:
    """What a build will do. ``payload`` and its spec are None where the VM fetches the packages itself."""

    recipe: Recipe
    kickstart: Rendered
    mirror: Mirror
    runtime_spec: RuntimeSpec
    payload_spec: PayloadSpec | None
    base: Step
    tree: Step
    payload: Step | None
    install: Step
    customise: Step
    convert: Step
    warnings: tuple[Problem, ...] = ()
    """What lint finds in the kickstart that hinders nothing."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in their order."""
        every = (self.base, self.tree, self.payload, self.install, self.customise, self.convert)
        return tuple(step for step in every if step is not None)


@dataclass(frozen=True)
class Tools:
    """Versions of the programs that decide what a step's result is."""

    mmdebstrap: str
    libguestfs: str
    qemu: str


def make(recipe: Recipe, *, mirror: Mirror, tools: Tools, secret_key: bytes) -> Plan:
    """The plan of ``recipe`` on a host with this Debian mirror and these tools.

    Raises RecipeError for everything that is wrong in the kickstart, HostError where no mirror is known.
    """
    if recipe.installer.type != "kickstrap":
        raise UsageError(f"there is no plan yet for the installer {recipe.installer.type}")
    if recipe.installer.mirror:
        mirror = Mirror(recipe.installer.mirror)
    suite, components = str(recipe.os.codename), recipe.installer.components
    secrets = FingerprintSecrets(secret_key)
    wanted = checked(recipe, packages_payload(recipe, mirror), _NONCE, secrets)
    runtime_spec = RuntimeSpec(suite=suite, mirror=mirror)
    base, tree = _runtime_steps(runtime_spec, tools)
    payload_spec, payload = None, None
    kickstart, parsed = wanted
    if recipe.installer.payload == "host":
        payload_spec = PayloadSpec(
            suite=suite,
            mirror=mirror,
            components=components,
            packages=parsed.packages,
            excluded=parsed.excluded,
            core=parsed.core,
            weak_dependencies=parsed.weak_dependencies,
        )
        payload = _payload_step(payload_spec, tools)
        kickstart, parsed = checked(recipe, LiveimgPayload(PAYLOAD_URL, payload.fingerprint), _NONCE, secrets)
    install = _install_step(recipe, kickstart, tree, payload)
    customise = _customise_step(recipe, install, tools)
    return Plan(
        recipe, kickstart, mirror, runtime_spec, payload_spec, base, tree, payload, install, customise,
        _convert_step(recipe, customise, tools), parsed.warnings,
    )  # fmt: skip


def packages_payload(recipe: Recipe, mirror: Mirror) -> PackagesPayload:
    """The payload of packages from a mirror. In the VM one must be named; on the host mmdebstrap has a default."""
    main = mirror.main
    if main is None and recipe.installer.payload == "in-vm":
        raise HostError(
            "no Debian mirror is known for a payload that is unpacked in the VM: this host's apt names none",
            "name one with installer.mirror in the recipe",
        )
    return PackagesPayload(main or "http://mirror.invalid/debian", str(recipe.os.codename), recipe.installer.components)


def checked(recipe: Recipe, payload: Payload, nonce: str, secrets: Secrets) -> tuple[Rendered, ParsedKickstart]:
    """The recipe's kickstart, rendered and found good by pykickstart, by the installer's own list and by all rules.

    Raises RecipeError with the errors; warnings are in the result.
    """
    rendered, report = linted(recipe, payload, nonce, secrets)
    if report.parsed is None:
        raise RecipeError(report.errors)
    return rendered, report.parsed


def linted(recipe: Recipe, payload: Payload, nonce: str, secrets: Secrets) -> tuple[Rendered, Report]:
    """The recipe's kickstart, rendered, and what is found in it. Raises RecipeError when it cannot be rendered."""
    rendered = render(recipe, payload=payload, nonce=nonce, secrets=secrets)
    kickstrap = recipe.installer.type == "kickstrap"
    report = lint(
        rendered,
        version=syntax.of(recipe).name,
        target=Target(recipe.installer.type, nonce, recipe.installer.insecure, _addresses(payload)),
        supported=_carried_out(_machine(recipe)) if kickstrap else None,
        ignore={name: recipe.place(("lint", "ignore", name)) for name in recipe.lint.ignore},
    )
    return rendered, report.joined(heeded.problems(recipe, rendered))


def _addresses(payload: Payload) -> frozenset[str]:
    """The addresses that a payload brings: the recipe's model has held them against what proves them."""
    if isinstance(payload, PackagesPayload | LiveimgPayload):
        return frozenset()
    repositories = [*payload.repositories, *([payload.tree] if isinstance(payload, TreePayload) else [])]
    return frozenset(one for each in repositories for one in (each.url, each.metalink, each.mirrorlist) if one)


@cache
def _carried_out(machine: Machine) -> Supported:
    """kickstrap's own check, for a machine; the same one for machines that are alike."""
    return partial(supported.check, machine=machine)


def _machine(recipe: Recipe) -> Machine:
    """What kickstrap's layout of the disks depends on."""
    return Machine(tuple(disk.size // MIB for disk in recipe.disks), recipe.machine.firmware)


def sample(recipe: Recipe, mirror: Mirror) -> Rendered:
    """The recipe's kickstart, checked, with stand-ins for whatever only a build knows. Needs no network and no secret."""
    wanted = anaconda.payload(recipe) if recipe.installer.type == "anaconda" else packages_payload(recipe, mirror)
    rendered, _ = checked(recipe, wanted, _NONCE, SampleSecrets())
    if recipe.installer.type == "kickstrap" and recipe.installer.payload == "host":
        rendered, _ = checked(recipe, LiveimgPayload(PAYLOAD_URL, "0" * 64), _NONCE, SampleSecrets())
    return rendered


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


def _payload_step(spec: PayloadSpec, tools: Tools) -> Step:
    inputs = {
        "suite": spec.suite,
        "mirror": _mirror(spec.mirror),
        "components": " ".join(spec.components),
        "packages": " ".join(sorted(spec.packages)),
        "excluded packages": " ".join(sorted(spec.excluded)),
        "standard system": str(spec.core),
        "weak dependencies": str(spec.weak_dependencies),
        "code": fingerprint.code("kickstrap/payload.py", "kickstrap/bootstrap.py", "kickstrap/mirror.py"),
        "mmdebstrap": tools.mmdebstrap,
    }
    return Step("payload", "payload", f"root archive of {len(spec.packages)} named packages", inputs)


def _install_step(recipe: Recipe, kickstart: Rendered, tree: Step, payload: Step | None) -> Step:
    inputs = {
        "kickstart": fingerprint.text(kickstart.text),
        "installer": tree.fingerprint,
        "payload": payload.fingerprint if payload else "in the VM",
        "disk size": str(recipe.disk.size),
        "disk bus": recipe.disk.bus,
        "architecture": recipe.os.arch,
        "firmware": recipe.machine.firmware,
    }
    for at, disk in enumerate(recipe.extra_disks, start=2):
        inputs[f"disk {at}"] = f"{disk.size} {disk.bus}"
    return Step("install", "installed", "virt-install, kickstart", inputs)


def _customise_step(recipe: Recipe, install: Step, tools: Tools) -> Step:

    inputs = {"installed disk": install.fingerprint, "libguestfs": tools.libguestfs}
    for at, call in enumerate(recipe.operations):
        key = f"operation {at + 1}, {call.name}"
        inputs[key] = fingerprint.of(
            {
                "params": json.dumps(call.params.model_dump(mode="json"), sort_keys=True),
                "code": registry.code_digest(call.name),
            }
        )
    return Step("customise", "customised", f"{len(recipe.operations)} operations", inputs)


def _convert_step(recipe: Recipe, customise: Step, tools: Tools) -> Step:
    inputs = {
        "customised disk": customise.fingerprint,
        "format": recipe.output.format,
        "compression": recipe.output.compression,
        "domain definition": fingerprint.text(definition(recipe)),
        "qemu-img": tools.qemu,
    }
    return Step("convert", "artifact", f"{recipe.output.format} ({recipe.output.compression})", inputs)


def _mirror(mirror: Mirror) -> str:
    return f"{mirror.main or 'default'} {mirror.security or ''} {'updates' if mirror.updates else ''}".strip()
