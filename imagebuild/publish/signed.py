"""What a project's keys signed, where it is published: checked before, and in the records of places.

A record has, for each version, the signed provenance and the domain definition that it names. With the
digests of the files there, that is enough to check the version without the artifact.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.printable import one_line
from imagebuild.project.model import Project
from imagebuild.publish import definition
from imagebuild.publish.release import Release
from imagebuild.publish.state import LARGEST_PROVENANCE, Published, TemplateState
from imagebuild.store.artifact import Artifact
from imagebuild.trust import checking, envelope
from imagebuild.trust.checking import CheckOptions
from imagebuild.trust.keys import Policy, policy
from imagebuild.trust.signatures import NotTrusted, SignedFiles, signed_statement

_AGAIN = "sign its artifact with `imagebuild attest`, and publish it again"


@dataclass(frozen=True)
class Acceptance:
    """What a project accepts. ``recipes`` is template → recipe where the names differ."""

    policy: Policy
    recipes: Mapping[str, str] = field(default_factory=dict)

    def recipe(self, template: str) -> str:
        """The recipe whose images the versions of a template must be."""
        return self.recipes.get(template, template)


def acceptance(project: Project) -> Acceptance | None:
    """What a project accepts; None if it names no keys and no identities. Raises UsageError for a key that
    cannot be used.
    """
    trust = project.trust
    if trust is None or not trust.is_enforced:
        return None
    return Acceptance(policy(trust, project.folder), trust.templates)


def checked(release: Release, artifact: Artifact, accepted: Acceptance) -> Release:
    """A release whose artifact was signed, with its provenance. Raises NotTrusted; images that were read
    for the release are not read again.
    """
    if accepted.recipe(release.template) != artifact.recipe:
        raise UsageError(
            f"the template {release.template} must be of the recipe {accepted.recipe(release.template)},"
            f" and this is {artifact.recipe}",
            f"to publish it under this name, add {release.template}: {artifact.recipe} to trust.templates",
        )
    said = checking.checked(artifact, accepted.policy, CheckOptions(read=release.read)).said
    if said is None:
        return release
    provenance = envelope.packed(said.files.envelope, release.definition.encode(), said.files.bundle)
    if len(provenance) > LARGEST_PROVENANCE:
        raise UsageError(
            f"the provenance of {artifact.recipe} {artifact.version} is too large for the record of a template",
            "build the image again; if that does not help, split the recipe's long texts into files",
        )
    return replace(release, provenance=provenance)


def verified(version: Published, template: str, where: str, accepted: Acceptance) -> Published:
    """A version as it was signed: with the definition that follows from the signed one, whatever the
    record says. Raises NotTrusted. The files themselves are not read.
    """
    what = one_line(f"{where}: {template} {version.version}")

    def refused(why: str) -> NotTrusted:
        return NotTrusted(one_line(f"{what} cannot be trusted: {why}"), _AGAIN)

    if not accepted.policy.checks_provenance:
        raise refused("provenance can only be checked with an Ed25519 or ECDSA key, and trust.keys has none")
    if not version.provenance:
        raise refused("it was published without a signature")
    try:
        content, machine, bundle = envelope.unpacked(version.provenance)
    except ValueError as error:
        raise refused("its provenance in the record is damaged") from error
    files = SignedFiles(content, bundle)
    said = signed_statement(files, accepted.policy, what, datetime.now(UTC).date()).statement
    recipe = accepted.recipe(template)
    if (said.recipe, said.version) != (recipe, version.version):
        raise refused(f"what was signed is {said.recipe} {said.version}, not {recipe} {version.version}")
    known = set(said.subjects.values())
    if other := [file.name for file in version.files if file.sha256 not in known]:
        raise refused(f"{other[0]} is not one of its signed images")
    if hashlib.sha256(machine).hexdigest() != said.subjects.get(f"{recipe}.xml"):
        raise refused("the definition of its machine is not the signed one")
    try:
        original = replace(version, definition=machine.decode())
        made = definition.machine(original, [file.name for file in version.files], kvm=True)
    except (ValueError, ImageBuildError) as error:
        raise refused("the definition of its machine cannot be used") from error
    return replace(version, definition=ET.tostring(made, encoding="unicode"))


def problem(version: Published, template: str, where: str, accepted: Acceptance) -> str:
    """Why a version in a record is not what was signed; empty if it is."""
    try:
        signed = verified(version, template, where, accepted)
    except NotTrusted as error:
        return error.message.removeprefix(one_line(f"{where}: {template} {version.version} "))
    return "" if signed == version else "the definition of its machine in the record is not the signed one"


def refuse_replay(state: TemplateState, where: str) -> None:
    """Raise NotTrusted if an older version is current than was before, and nobody has gone back to it."""
    if state.is_replayed:
        raise NotTrusted(
            one_line(f"{where}: {state.template} {state.current} is current, which is older than {state.highest} was"),
            f"no rollback is recorded: find out who writes there; `imagebuild rollback {state.template} --to"
            f" {state.current}` accepts it",
        )
