"""The recipe: a description of an image.

Every key of the YAML file is a field here; the field's description is the text of the manual.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from imagebuild.customise import registry
from imagebuild.customise.operation import OperationCall
from imagebuild.recipe.model import cloud_init
from imagebuild.recipe.model.cloud_init import CLOUD_INIT, CloudInit, cloud_init_findings
from imagebuild.recipe.model.disks import Encryption
from imagebuild.recipe.model.guest import Locale, Network, Os
from imagebuild.recipe.model.installation import InstallerSettings, KickstartSettings, installer_findings
from imagebuild.recipe.model.lint import Lint
from imagebuild.recipe.model.machine import Disk, ExtraDisk, Machine, Vm
from imagebuild.recipe.model.machine_findings import machine_findings
from imagebuild.recipe.model.operations import Operation
from imagebuild.recipe.model.output import Output
from imagebuild.recipe.model.tuning import Services, Tuning, tuning_findings
from imagebuild.recipe.model.verify import VERIFY, Verify
from imagebuild.schema import fields as f
from imagebuild.schema.accounts import Root, User, user_findings
from imagebuild.schema.document import Document, Mark, Route
from imagebuild.schema.findings import Finding, Refused, twice
from imagebuild.schema.section import Section, without_none, without_nothing

_DEBIAN_NAME = "such a name has lower-case letters, digits, '+', '-' and '.'"

Made = TypeVar("Made", bound=Section)


def _shared(section: Callable[..., Made], **values: object) -> Callable[[], Made]:
    """A section's defaults, which are validated once: recipes share what nobody can change."""

    @cache
    def default() -> Made:
        return section(**values)

    return default


class Recipe(Section):
    """A checked recipe. ``source`` is its file; ``place`` says where a value is written."""

    name: f.Name = Field(description="Name of the image; also used as a file and folder name.")
    description: f.Text = Field("", description="Description of the image, in one line.")
    variables: Annotated[dict[f.VariableName, f.Variable], BeforeValidator(without_none)] = Field(
        default_factory=dict,
        description="User-defined values: text refers to them as `${NAME}`, a template as `variables.NAME`.",
    )
    os: Os = Field(description="The operating system.")
    disk: Annotated[Disk, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Disk), description="The system disk."
    )
    extra_disks: Annotated[tuple[ExtraDisk, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Additional disks, installed together with the first."
    )
    encryption: Annotated[Encryption, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Encryption), description="Encrypted disks."
    )
    machine: Annotated[Machine, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Machine), description="The machine that the guest runs on."
    )
    vm: Annotated[Vm, BeforeValidator(without_none)] = Field(default_factory=_shared(Vm), description="The install VM.")
    installer: Annotated[InstallerSettings, BeforeValidator(without_none)] = Field(
        default_factory=_shared(InstallerSettings), description="The installer and its source."
    )
    kickstart: Annotated[KickstartSettings, BeforeValidator(without_none)] = Field(
        default_factory=_shared(KickstartSettings), description="The kickstart template."
    )
    locale: Annotated[Locale, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Locale), description="Locale."
    )
    network: Annotated[Network, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Network), description="Network."
    )
    root: Annotated[Root, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Root), description="The root account."
    )
    users: Annotated[tuple[User, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Accounts other than root."
    )
    services: Annotated[Services, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Services), description="Services that start with the guest."
    )
    tuning: Annotated[Tuning, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Tuning), description="Settings of the guest for running in a virtual machine."
    )
    kernel_arguments: Annotated[tuple[f.KernelArgument, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Arguments of the installed kernel, one per item, in addition to those that `tuning` adds."
    )
    packages: Annotated[tuple[f.PackageName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Packages in addition to those of the template."
    )
    operations: Annotated[tuple[Operation, ...], BeforeValidator(without_nothing)] = Field(
        (),
        description="Operations applied to the installed disk offline: each is a name, or a name with its parameters.",
    )
    cloud_init: Annotated[CloudInit, BeforeValidator(CLOUD_INIT)] = Field(
        default_factory=_shared(CloudInit, enabled=False),
        description="cloud-init, which gives each clone its values: `true`, or the keys that follow.",
    )
    verify: Annotated[Verify, BeforeValidator(VERIFY)] = Field(
        default_factory=_shared(Verify, enabled=False),
        description="Verification of the finished image in booted clones: `true`, or the keys that follow.",
    )
    output: Annotated[Output, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Output), description="The finished image."
    )
    lint: Annotated[Lint, BeforeValidator(without_none)] = Field(
        default_factory=_shared(Lint), description="The rules for kickstarts."
    )

    BESIDE: ClassVar = ("extends", "matrix")
    """Keys of a file that its composed recipe no longer has."""

    _document: Document = PrivateAttr(default_factory=lambda: Document("recipe", None))
    _source: Path | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _installer_of_the_family(cls, data: Any) -> Any:
        """Set the default installer of the family, unless the recipe sets one."""
        if not isinstance(data, dict) or not isinstance(data.get("os"), dict) or data["os"].get("family") != "redhat":
            return data
        installer = {} if data.get("installer") is None else data["installer"]
        if not isinstance(installer, dict) or "type" in installer:
            return data
        return {**data, "installer": {"type": "anaconda", **installer}}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = [*self._package_findings(), *self._repeated(), *machine_findings(self), *user_findings(self.users)]
        wrong += tuning_findings(self.tuning, self.services, self.os, self.kernel_arguments)
        wrong += installer_findings(self.installer, self.kickstart, self.os, self.vm)
        wrong += cloud_init_findings(self)
        if self.verify.enabled and self.encryption.passphrase is not None:
            message = "a clone of an image with encrypted disks waits for the passphrase, so it cannot be verified"
            wrong.append(Finding(("verify",), message, "remove verify, or the encryption"))
        if wrong:
            raise Refused(wrong)
        return self

    def _package_findings(self) -> list[Finding]:
        if self.os.family != "debian":
            return []
        return [
            Finding(("packages", i), f"{name!r} is not a Debian package name", _DEBIAN_NAME)
            for i, name in enumerate(self.packages)
            if not f.DEBIAN_PACKAGE.fullmatch(name)
        ]

    def _repeated(self) -> list[Finding]:
        return [*twice(self.packages, ("packages",)), *twice(self.kernel_arguments, ("kernel_arguments",))]

    @property
    def all_kernel_arguments(self) -> tuple[str, ...]:
        """Those of ``tuning``, then the recipe's own.

        Of several consoles, the last one becomes /dev/console.
        """
        return tuple(dict.fromkeys((*self.tuning.kernel_arguments(self.os), *self.kernel_arguments)))

    @property
    def all_packages(self) -> tuple[str, ...]:
        """The recipe's own packages and those that its other settings need."""
        tuned = ("tuned",) if self.tuning.tuned_profile else ()
        sudo = ("sudo",) if any(user.sudo for user in self.users) else ()
        return tuple(dict.fromkeys((*self.packages, *tuned, *sudo, *cloud_init.packages(self))))

    @property
    def all_operations(self) -> tuple[OperationCall, ...]:
        """The recipe's own operations, then those that its other settings need."""
        return (*self.operations, *(registry.call(name, params) for name, params in cloud_init.operations(self)))

    @property
    def enabled_services(self) -> tuple[str, ...]:
        """The recipe's own services and those that its other settings need."""
        tuned = ("tuned",) if self.tuning.tuned_profile else ()
        return tuple(dict.fromkeys((*self.services.enabled, *tuned)))

    @property
    def disks(self) -> tuple[Disk | ExtraDisk, ...]:
        """All disks, the system disk first."""
        return self.disk, *self.extra_disks

    @property
    def source(self) -> Path:
        """The file that the recipe was read from."""
        return self._source or Path("recipe.yaml")

    @property
    def document(self) -> Document:
        """The composed recipe, with the place of each value."""
        return self._document

    def place(self, route: Route) -> Mark:
        """Where the value at ``route``, such as ("root", "password"), is written."""
        return self._document.mark(route)

    def attach(self, document: Document, source: Path) -> Self:
        """Store where the recipe came from; called by the loader."""
        self._document = document
        self._source = source
        return self
