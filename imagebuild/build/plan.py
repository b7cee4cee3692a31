"""From a recipe to the steps that build it, each with its inputs and its fingerprint. Nothing is run or changed.

    preparation ─▶ install ─▶ customise ─▶ convert

The kickstart is rendered here already, with stand-ins for what is not known yet or must not be kept: the
nonce, secrets, the digest of a payload that may still have to be built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from imagebuild import customise as customisation
from imagebuild import fingerprint
from imagebuild.anaconda import boot_options
from imagebuild.anaconda.source import Found
from imagebuild.build import preparation as preparations
from imagebuild.build.preparation import Preparation, Step, Tools, World
from imagebuild.customise import registry
from imagebuild.errors import HostError, Problem, RecipeError
from imagebuild.image.conversion import compressors
from imagebuild.image.formats import described
from imagebuild.kickstart import syntax, unused_values
from imagebuild.kickstart.lint import ParsedKickstart, Report, Supported, lint, merged
from imagebuild.kickstart.render import LiveimgPayload, PackagesPayload, Payload, Rendered, TreePayload, render
from imagebuild.kickstart.rule import Target
from imagebuild.kickstrap.agent import supported
from imagebuild.kickstrap.agent.machine import Machine
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.machine.domain_xml import definition
from imagebuild.recipe import supplies
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.secrets import FingerprintSecrets, SampleSecrets, Secrets
from imagebuild.schema.section import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagebuild.customise import OperationCall

PAYLOAD_URL = "file:///run/kickstrap/payload"
"""Where the installer's init presents the disk that holds the root archive."""
CONVERT_CODE = (
    "image/conversion.py",
    "image/formats.py",
    "image/qcow2.py",
    "image/raw.py",
    "image/stream.py",
    "image/vmdk.py",
    "image/qemu_img.py",
    "image/disk_image.py",
)
"""What decides what a conversion writes; a test compares it with the imports of the code."""
_NONCE = "nonce-of-the-build"


@dataclass(frozen=True)
class Plan:
    """What a build will do. The preparation is of one of two kinds, by the recipe's installer."""

    recipe: Recipe
    kickstart: Rendered
    preparation: Preparation
    install: Step
    customise: Step
    convert: Step
    layers: tuple[Step, ...]
    """What customising may leave on its way: the disk after one operation, after two, and so on, in the order in which they are applied."""
    operations: tuple[OperationCall, ...]
    """The recipe's, with the files of this host that they name; without secrets."""
    warnings: tuple[Problem, ...] = ()
    """What lint finds in the kickstart that hinders nothing."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in their order."""
        return (*self.preparation.steps, self.install, self.customise, self.convert)


def make(
    recipe: Recipe,
    *,
    mirror: Mirror,
    tools: Tools,
    secret_key: bytes,
    found: Found | None = None,
    world: World | None = None,
) -> Plan:
    """The plan of ``recipe`` on a host with this Debian mirror and these tools.

    ``found`` is the install source of a recipe whose installer is Anaconda, ``world`` tells how new packages must be. Raises RecipeError for everything that is
    wrong in the kickstart, HostError where no mirror is known.
    """
    secrets = FingerprintSecrets(secret_key)
    if found is not None:
        kickstart, preparation = _with_anaconda(recipe, found, secrets)
    else:
        kickstart, preparation = _with_kickstrap(recipe, mirror, tools, secrets, world)
    rendered, parsed = kickstart
    operations = supplies.planned(recipe)
    install = _install_step(recipe, rendered, preparation, world)
    opened = supplies.opened(recipe, operations, secrets)
    customise = _customise_step(opened, install, tools)
    convert = _convert_step(recipe, customise, tools)
    return Plan(
        recipe,
        rendered,
        preparation,
        install,
        customise,
        convert,
        _layers(opened, install, tools),
        operations,
        parsed.warnings,
    )


Checked = tuple[Rendered, ParsedKickstart]


def _with_anaconda(recipe: Recipe, found: Found, secrets: Secrets) -> tuple[Checked, Preparation]:
    return checked(recipe, boot_options.payload(recipe), _NONCE, secrets), preparations.source(recipe, found)


def _with_kickstrap(
    recipe: Recipe, mirror: Mirror, tools: Tools, secrets: Secrets, world: World | None
) -> tuple[Checked, Preparation]:
    if recipe.installer.mirror:
        mirror = Mirror(recipe.installer.mirror)
    kickstart = checked(recipe, packages_payload(recipe, mirror), _NONCE, secrets)
    preparation = preparations.kickstrap(recipe, mirror, tools, kickstart[1], world)
    if preparation.payload is not None:
        kickstart = checked(recipe, LiveimgPayload(PAYLOAD_URL, preparation.payload.fingerprint), _NONCE, secrets)
    return kickstart, preparation


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
    return rendered, report.joined([*unused_values.problems(recipe, rendered), *supplies.missing(recipe)])


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
    for payload in _sample_payloads(recipe, mirror):
        rendered, _ = checked(recipe, payload, _NONCE, SampleSecrets())
    return rendered


def survey(recipe: Recipe, mirror: Mirror) -> Report:
    """All that is found in the recipe's kickstart, as ``sample`` renders it. Raises RecipeError when it cannot be rendered."""
    return merged([linted(recipe, one, _NONCE, SampleSecrets())[1] for one in _sample_payloads(recipe, mirror)])


def _sample_payloads(recipe: Recipe, mirror: Mirror) -> list[Payload]:
    """What the kickstart is rendered with: a payload that is made on the host takes two kickstarts, the last one installs."""
    if recipe.installer.type == "anaconda":
        return [boot_options.payload(recipe)]
    packages = packages_payload(recipe, Mirror(recipe.installer.mirror) if recipe.installer.mirror else mirror)
    return [packages, LiveimgPayload(PAYLOAD_URL, "0" * 64)] if recipe.installer.payload == "host" else [packages]


def _install_step(recipe: Recipe, kickstart: Rendered, preparation: Preparation, world: World | None) -> Step:
    inputs = {
        "kickstart": fingerprint.text(kickstart.text),
        **preparation.inputs(),
        "disk size": str(recipe.disk.size),
        "disk bus": recipe.disk.bus,
        "architecture": recipe.os.arch,
        "firmware": recipe.machine.firmware,
    }
    for at, disk in enumerate(recipe.extra_disks, start=2):
        inputs[f"disk {at}"] = f"{disk.size} {disk.bus}"
    if world is not None and preparation.offers is not None:
        inputs = world.installation(preparation.offers, inputs)
    return Step("install", "installed", "virt-install, kickstart", inputs)


def _customise_step(operations: Sequence[OperationCall], install: Step, tools: Tools) -> Step:
    """``operations`` with stand-ins for their secrets."""
    inputs = {"installed disk": install.fingerprint, "libguestfs": tools.libguestfs}
    for at, call in enumerate(operations, start=1):
        inputs[f"operation {at}, {call.name}"] = _operation(call)
    return Step("customise", "customised", f"{len(operations)} operations", inputs)


def _layers(operations: Sequence[OperationCall], install: Step, tools: Tools) -> tuple[Step, ...]:
    """As ``_customise_step``, for the first operations that are applied. What seals a guest comes after all layers."""
    inputs = {"installed disk": install.fingerprint, "libguestfs": tools.libguestfs}
    layers = []
    for at, call in enumerate(customisation.ordered(operations)[0], start=1):
        inputs[f"operation {at}, {call.name}"] = _operation(call)
        layers.append(Step("customise", "layer", f"after {call.name}", dict(inputs)))
    return tuple(layers)


def _operation(call: OperationCall) -> str:
    """The fingerprint of one operation."""
    content = {
        "params": json.dumps(call.params.model_dump(mode="json"), sort_keys=True),
        "code": registry.code_digest(call.name),
    }
    # A path of this host is no input, what is there is.
    content |= {f"file {name}": sha256 for name, (_, sha256) in call.supplies.paths.items()}
    content |= {f"secret {name}": json.dumps(words) for name, words in call.supplies.secrets.items()}
    return fingerprint.of(content)


def _convert_step(recipe: Recipe, customise: Step, tools: Tools) -> Step:
    inputs = {
        "customised disk": customise.fingerprint,
        "format": " ".join(recipe.output.format),
        "compression": recipe.output.compression,
        "code": fingerprint.code(*CONVERT_CODE),
        "compressors": compressors(),
        "domain definition": fingerprint.text(definition(recipe)),
        "qemu-img": tools.qemu,
    }
    return Step(
        "convert",
        "artifact",
        ", ".join(described(name, recipe.output.compression) for name in recipe.output.format),
        inputs,
    )
