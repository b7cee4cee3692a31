"""Plans the steps that build a recipe, each with its inputs and its fingerprint. Nothing is run or
changed.

    preparation ─▶ install ─▶ customise ─▶ convert

The kickstart is already rendered here, with placeholders for what is not known yet or must not be
stored: the nonce, secrets, and the digest of a payload that may still have to be built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from imagebuild import fingerprint
from imagebuild.build import checks, installers
from imagebuild.customise import registry
from imagebuild.customise.operation import Params
from imagebuild.errors import Problem, RecipeError
from imagebuild.image.conversion import compressors
from imagebuild.image.formats import described
from imagebuild.kickstart import syntax, unused_values
from imagebuild.kickstart.check import CheckReport, lint, merged, unused
from imagebuild.kickstart.render import LiveimgPayload, PackagesPayload, Payload, Rendered, Renderer, TreePayload
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.machine.domain_xml import definition
from imagebuild.printable import counted
from imagebuild.recipe import host_inputs, login, named_files, shared_identity
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import FingerprintSecrets, SampleSecrets, Secrets
from imagebuild.schema.by_identity import ByIdentity
from imagebuild.schema.rule_names import OF_RECIPES
from imagebuild.step import Checked, Dated, Preparation, Step, Tools, World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagebuild.customise import OperationCall

CONVERT_CODE = (
    "image/conversion.py",
    "image/formats.py",
    "image/layers.py",
    "image/one_pass.py",
    "image/qcow2.py",
    "image/raw.py",
    "image/stream.py",
    "image/vmdk.py",
    "image/qemu_img.py",
    "image/disk_image.py",
)
"""The code that determines the output of a conversion; a test compares it with the imports."""
_NONCE = "nonce-of-the-build"


@dataclass(frozen=True)
class Plan:
    """What a build will do."""

    recipe: Recipe
    kickstart: Rendered
    preparation: Preparation
    install: Step
    customise: Step
    convert: Step
    layers: tuple[Step, ...]
    """The possible checkpoints of customising: the disk after one operation, after two, and so on,
    in order.
    """
    installed_kickstart: Rendered
    """The kickstart that the machine gets."""
    operations: tuple[OperationCall, ...]
    """The recipe's operations, with the files of this host that they name; without secrets."""
    warnings: tuple[Problem, ...] = ()
    """The warnings of lint for the kickstart."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return (*self.before, self.install, *self.after, self.customise, self.convert)

    @property
    def before(self) -> tuple[Step, ...]:
        """The steps before the installation, in order."""
        return tuple(step for chain in self.preparation.chains for step in chain)

    @property
    def after(self) -> tuple[Step, ...]:
        """The step that makes what is added to the installed disk, if there is one."""
        addition = self.preparation.addition
        return () if addition is None else (addition.step,)


def make(recipe: Recipe, looked: Any, *, tools: Tools, secret_key: bytes, world: World | None = None) -> Plan:
    """The plan of ``recipe`` on a host with these tools.

    ``looked`` is what its installer has looked up; ``world`` determines how new packages must be.
    Raises RecipeError with all problems of the kickstart, and HostError if no source of packages is
    known.
    """
    secrets = FingerprintSecrets(secret_key)
    check = partial(checked, recipe, nonce=_NONCE, secrets=secrets, own=_OfRecipe.of(recipe, _NONCE, secrets))
    (rendered, parsed), preparation = installers.of(recipe).plan(recipe, looked, tools, check, world)
    operations = host_inputs.planned(recipe)
    machine_gets = preparation.installed(rendered)
    install = _install_step(recipe, machine_gets, preparation, world)
    opened = host_inputs.opened(recipe, operations, secrets)
    applied = {id(call): _operation(call) for call in opened}
    disk = _disk_inputs(install, preparation, tools)
    customise = _customise_step(opened, applied, disk)
    convert = _convert_step(recipe, customise, tools)
    return Plan(
        recipe,
        rendered,
        preparation,
        install,
        customise,
        convert,
        _layers(opened, applied, disk),
        machine_gets,
        operations,
        parsed.warnings,
    )


def checked(recipe: Recipe, payload: Payload, nonce: str, secrets: Secrets, own: _OfRecipe | None = None) -> Checked:
    """The recipe's kickstart, rendered and checked by pykickstart, by the installer's own check and
    by all rules.

    Raises RecipeError with the errors; the result contains the warnings.
    """
    rendered, report = linted(recipe, payload, nonce, secrets, own)
    if report.parsed is None:
        raise RecipeError(report.errors)
    return rendered, report.parsed


@dataclass(frozen=True)
class _OfRecipe:
    """What is the same for all kickstarts of a recipe: its renderer, and the findings that do not
    depend on the kickstart.
    """

    renderer: Renderer
    missing: tuple[Problem, ...]
    shared: Problem | None

    @classmethod
    def of(cls, recipe: Recipe, nonce: str, secrets: Secrets) -> _OfRecipe:
        renderer = Renderer(recipe, nonce=nonce, secrets=secrets)
        return cls(renderer, tuple(host_inputs.missing(recipe)), shared_identity.found_in(recipe))


def linted(
    recipe: Recipe, payload: Payload, nonce: str, secrets: Secrets, own: _OfRecipe | None = None
) -> tuple[Rendered, CheckReport]:
    """The recipe's rendered kickstart, and its findings; ``own`` is what all its kickstarts share, if
    it is known. Raises RecipeError if it cannot be rendered.
    """
    own = own or _OfRecipe.of(recipe, nonce, secrets)
    rendered = own.renderer.render(payload)
    installer = installers.of(recipe)
    report = lint(
        rendered,
        version=syntax.of_text(recipe, rendered.text),
        target=KickstartTarget(
            nonce,
            recipe.installer.insecure,
            _addresses(payload),
            asks=installer.ASKS,
            proves_packages=installer.PROVES_PACKAGES,
        ),
        supported=installer.supported(recipe),
        ignore={name: recipe.place(("lint", "ignore", name)) for name in recipe.lint.ignore if name not in OF_RECIPES},
    )
    report = report.joined([*unused_values.problems(recipe, rendered), *own.missing])
    report = _with_rule(report, recipe, shared_identity.NAME, own.shared)
    return rendered, _with_rule(report, recipe, login.NAME, login.found_in(recipe, rendered.text))


def _with_rule(report: CheckReport, recipe: Recipe, name: str, found: Problem | None) -> CheckReport:
    """The report with what a rule for recipes has found, unless the recipe suppresses the rule."""
    if name not in recipe.lint.ignore:
        return report.warned(found)
    mark = recipe.place(("lint", "ignore", name))
    if found is None:
        return report.warned(unused(name, mark))
    return replace(report, used=report.used | {(mark.file, mark.key, name)})


def _addresses(payload: Payload) -> frozenset[str]:
    """The addresses in a payload: the recipe's model has already checked how they are verified."""
    if isinstance(payload, PackagesPayload | LiveimgPayload):
        return frozenset()
    repositories = [*payload.repositories, *([payload.tree] if isinstance(payload, TreePayload) else [])]
    return frozenset(one for each in repositories for one in (each.url, each.metalink, each.mirrorlist) if one)


def sample(recipe: Recipe, looked: Any) -> Rendered:
    """The recipe's checked kickstart, with placeholders for what only a build knows. Needs no
    network and no secrets.
    """
    for payload in installers.of(recipe).payloads(recipe, looked):
        rendered, _ = checked(recipe, payload, _NONCE, SampleSecrets())
    return rendered


def survey(recipe: Recipe, looked: Any) -> tuple[Rendered, CheckReport]:
    """The recipe's kickstart as ``sample`` renders it, and all findings in it and in the files that
    a build would read. Raises RecipeError if it cannot be rendered.
    """
    payloads = installers.of(recipe).payloads(recipe, looked)
    secrets = SampleSecrets()
    own = _OfRecipe.of(recipe, _NONCE, secrets)
    linted_ones = [linted(recipe, one, _NONCE, secrets, own) for one in payloads]
    report = merged([report for _, report in linted_ones])
    return linted_ones[-1][0], report.joined([*named_files.missing(recipe), *checks.missing(recipe)])


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
    offers = preparation.offers
    dated = Dated(inputs) if world is None or offers is None else world.installation(offers, inputs)
    return Step("install", "installed", "virt-install, kickstart", *dated)


def _disk_inputs(install: Step, preparation: Preparation, tools: Tools) -> dict[str, str]:
    """What the operations start from, and with."""
    inputs = {"installed disk": install.fingerprint, "libguestfs": tools.libguestfs}
    if (addition := preparation.addition) is not None:
        inputs["further packages"] = addition.step.fingerprint
    return inputs


def _customise_step(operations: Sequence[OperationCall], applied: Mapping[int, str], disk: Mapping[str, str]) -> Step:
    """The step for ``operations``, which have placeholders for their secrets; ``applied`` has the
    fingerprint of each, by its id().
    """
    from imagebuild.contents.inventory import SCHEMA  # imported late: lint does not need it

    inputs = dict(disk)
    for at, call in enumerate(operations, start=1):
        inputs[f"operation {at}, {call.name}"] = applied[id(call)]
    inputs["format of the inventory"] = str(SCHEMA)
    return Step("customise", "customised", counted(len(operations), "operation"), inputs)


def _layers(
    operations: Sequence[OperationCall], applied: Mapping[int, str], disk: Mapping[str, str]
) -> tuple[Step, ...]:
    """The checkpoints: ``_customise_step`` after each operation, without an inventory. Operations that seal the guest
    come after all of them.
    """
    inputs = dict(disk)
    layers = []
    for at, call in enumerate(registry.ordered(operations)[0], start=1):
        inputs[f"operation {at}, {call.name}"] = applied[id(call)]
        layers.append(Step("customise", "layer", f"after {call.name}", dict(inputs)))
    return tuple(layers)


_plain_operations = ByIdentity[Params, tuple[str, str]]()
"""The names and fingerprints of operations without files and secrets: the images of a matrix share most of them."""


def _operation(call: OperationCall) -> str:
    """The fingerprint of one operation."""
    if call.supplies.paths or call.supplies.secrets:
        return _operation_of(call)
    found = _plain_operations.get(call.params)
    if found is None or found[1][0] != call.name:
        found = call.params, (call.name, _operation_of(call))
        _plain_operations.keep(*found)
    return found[1][1]


def _operation_of(call: OperationCall) -> str:
    content = {
        "params": json.dumps(call.params.model_dump(mode="json"), sort_keys=True),
        "code": registry.code_digest(call.name),
    }
    # The input is the content of a file of this host, not its path.
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
