"""``imagebuild verify-signature``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from imagebuild.cli.image_argument import ImageName
from imagebuild.cli.options import json_option, log_to_stderr, output_option, verbose_option
from imagebuild.cli.output import echo_data, echo_lines
from imagebuild.cli.project_options import config_option
from imagebuild.cli.target import named, target
from imagebuild.cli.trust_options import accepted
from imagebuild.cli.trust_records import SignatureChecked, SigningIdentityFound, SigningKeyFound
from imagebuild.errors import UsageError
from imagebuild.events import data
from imagebuild.shelf import downloaded
from imagebuild.store import beside, version_order
from imagebuild.store.artifact import MANIFEST, SIGNED, Artifact
from imagebuild.trust import checking, explained, memory
from imagebuild.trust.bundle import VerifiedBundle
from imagebuild.trust.checking import Checked, CheckOptions
from imagebuild.trust.signatures import NotTrusted

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    name="verify-signature",
    epilog="""\b
Exit codes: 0 it is what was signed, 1 it is not, 2 invalid usage, 3 a program is missing.
\b
Examples:
  imagebuild verify-signature debian-13
  imagebuild verify-signature ./downloaded --key images.pub
  imagebuild verify-signature ./downloaded --key images.pub --image /var/lib/libvirt/images/debian-13.qcow2
  imagebuild verify-signature ./downloaded --key images.pub --remember ~/.images-seen.json
  imagebuild verify-signature web--2026-11-29.1--7d6f945e2e308278.qcow2 --key images.pub
  imagebuild verify-signature debian-13 --json | jq -r '.dependencies[].digest'""",
)
@click.argument("image", type=ImageName(), metavar="IMAGE")
@click.option(
    "--key", "keys", type=_FILE, multiple=True, metavar="FILE",
    help="Accept signatures by the public key in FILE; repeatable. [default: those of trust.keys in imagebuild.yaml]",
)  # fmt: skip
@click.option(
    "--image", "copy", type=_FILE, metavar="FILE",
    help="Check this copy of an image. The images in the folder may then be missing.",
)  # fmt: skip
@click.option("--newer-than", metavar="VERSION", default="", help="Refuse a version that is older than this one.")
@click.option(
    "--remember", type=_FILE, metavar="FILE",
    help="Refuse a version that is older than the newest one in FILE; write this one there if it is newer.",
)  # fmt: skip
@output_option
@config_option
@json_option
@verbose_option
def verify_signature(
    image: str,
    keys: tuple[Path, ...],
    copy: Path | None,
    newer_than: str,
    remember: Path | None,
    output: Path,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Check that IMAGE is what was signed: who signed it, and whether every byte is the same.

    IMAGE is a recipe (its latest artifact) or the folder of an artifact, which may be from anywhere; or
    an image of a shelf, with the other files of its version beside it under the names they have there.
    Works offline, and changes nothing. All signed files that are there are read. Without --key, the
    identities of `trust.sigstore` in imagebuild.yaml are accepted, too.
    """
    if verbose:
        log_to_stderr()
    if newer_than and version_order.key(newer_than) is None:
        raise UsageError(f"--newer-than {newer_than}: expected a version such as 2026-11-29.1")
    policy = accepted(keys, config)
    with ExitStack() as stack:
        if copy is None and downloaded.is_shelved(Path(image)):
            copy = Path(image)
            artifact = stack.enter_context(downloaded.artifact(copy))
        else:
            artifact = _artifact(image, output)
        seen = memory.seen(remember).get(artifact.recipe, "") if remember is not None else ""
        least = version_order.newest([seen, newer_than])
        found = checking.checked(artifact, policy, CheckOptions(image=copy, newer_than=least))
    if as_json:
        echo_data(data(_record(found)))
    else:
        echo_lines(f"{heading + ':' if heading else '':<16} {text}" for heading, text in explained.lines(found))
    if remember is not None:
        memory.remember(remember, artifact.recipe, artifact.version)


def _artifact(name: str, output: Path) -> Artifact:
    path = Path(name)
    if path.is_dir():  # anybody's: what is wrong with it is a result of the check
        try:
            manifest = beside.manifest(path.resolve())
        except beside.ManifestError as error:
            raise NotTrusted(f"{path} cannot be trusted: its manifest cannot be used: {error}") from error
        if manifest is not None and "/" not in manifest.recipe:
            return Artifact(path.resolve(), manifest.recipe, manifest.version)
        if any((path / one).exists() for one in SIGNED):
            raise NotTrusted(f"{path} cannot be trusted: there is no {MANIFEST}")
    found = target(named(name, output), output, finished=True)
    if not isinstance(found, Artifact):
        raise UsageError(
            f"{name} is an image file without a manifest beside it",
            "give the folder with its manifest.json, SHA256SUMS and provenance.intoto.json, and this file as --image",
        )
    return found


def _record(found: Checked) -> SignatureChecked:
    said = found.statement
    bundle = None if found.said is None else found.said.bundle
    return SignatureChecked(
        recipe=found.recipe,
        version=found.version,
        keys=tuple(SigningKeyFound(one.name, one.keyid) for one in found.signed),
        identities=() if bundle is None else (_identity(bundle),),
        problem="" if found.said is None else found.said.problem,
        sums=found.sums,
        digests=dict(found.digests),
        files=found.files,
        absent=found.absent,
        uncovered=found.uncovered,
        builder=said.builder if said else "",
        started=said.started if said else "",
        finished=said.finished if said else "",
        dependencies=said.dependencies if said else (),
    )


def _identity(found: VerifiedBundle) -> SigningIdentityFound:
    time = "" if found.time is None else found.time.isoformat()
    return SigningIdentityFound(found.identity.identity, found.identity.issuer, time)
