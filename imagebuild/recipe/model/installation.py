"""The installer, its source, and the kickstart that controls it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from imagebuild.recipe.model.guest import Os
from imagebuild.recipe.model.machine import Vm
from imagebuild.recipe.model.source import Repository, Source
from imagebuild.schema import fields as f
from imagebuild.schema.document import Route
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section

_KICKSTRAP = ("payload", "mirror", "components")
_ANACONDA = ("source", "repositories", "insecure")


class InstallerSettings(Section):
    """The installer of the system."""

    type: Literal["kickstrap", "anaconda"] = Field(
        "kickstrap",
        description="`kickstrap` is built in and installs Debian systems; `anaconda` is the default of the family"
        " `redhat`.",
    )
    payload: Literal["host", "in-vm"] = Field(
        "host", description="Where packages are unpacked: on the host into a root archive (fast, cached) or in the VM."
    )
    mirror: f.Url | None = Field(None, description="Package mirror. Default: the one that the host's apt uses.")
    components: Annotated[tuple[f.Component, ...], Field(min_length=1)] = Field(
        ("main",), description="Components of the archive."
    )
    source: Source | None = Field(None, description="Anaconda: its install source.")
    repositories: tuple[Repository, ...] = Field((), description="Anaconda: additional package repositories.")
    insecure: bool = Field(
        default=False,
        description="Anaconda: accept a source that cannot be verified. Never use this for an image that others trust.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = list(self._findings())
        if wrong:
            raise Refused(wrong)
        return self

    def _findings(self) -> Iterator[Finding]:
        for key in _KICKSTRAP if self.type == "anaconda" else _ANACONDA:
            if getattr(self, key) != type(self).model_fields[key].default:
                yield Finding((key,), f"this key is not allowed with installer.type: {self.type}", at_key=True)
        if self.type != "anaconda":
            return
        if self.source is None:
            yield Finding(
                (),
                "the key 'source' is missing: it says where Anaconda comes from",
                "see docs/sources.md for the kinds",
            )
        elif self.source.kind == "kernel" and not self.repositories:
            hint = "set the URL of the distribution's tree as the first item of installer.repositories"
            yield Finding(("source", "kernel"), "a kernel and its initrd contain no packages", hint)
        if self.insecure:
            return
        if self.source is not None:
            yield from _below(("source",), self.source.unverified())
        for at, repository in enumerate(self.repositories):
            yield from _below(("repositories", at), repository.unverified())


def _below(route: Route, found: Iterable[Finding]) -> Iterator[Finding]:
    return (replace(finding, route=(*route, *finding.route)) for finding in found)


class KickstartSettings(Section):
    """The kickstart template and its syntax."""

    template: f.TemplateName = Field(
        "debian.ks.j2",
        description="A Jinja2 template, searched for in the project's `kickstart/`, then among the shipped templates.",
    )
    syntax: f.Syntax | None = Field(
        None, description="pykickstart's name of the syntax, `RHEL9`. Default: selected by distribution and version."
    )


def installer_findings(installer: InstallerSettings, kickstart: KickstartSettings, os: Os, vm: Vm) -> list[Finding]:
    """Settings that the installer does not support for this guest or in this VM."""
    wrong = []
    family = {"kickstrap": "debian", "anaconda": "redhat"}[installer.type]
    if os.family != family:
        message = f"{installer.type} installs the family {family}, but this is {os.family}"
        wrong.append(Finding(("installer", "type"), message))
    if installer.type == "kickstrap" and os.arch != "x86_64":
        wrong.append(Finding(("os", "arch"), f"kickstrap installs x86_64 only, found {os.arch}"))
    if (
        installer.source is not None
        and installer.source.is_served
        and "user" not in {card.type for card in vm.networks}
    ):
        message = "the VM can reach what this host serves only through a card of type user"
        wrong.append(Finding(("vm", "networks"), message, "add a card of type user, or use a URL or an ISO"))
    return wrong
