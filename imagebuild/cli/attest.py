"""``imagebuild attest``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from imagebuild.cli.image_argument import ImageName
from imagebuild.cli.options import json_option, log_to_stderr, output_option, verbose_option
from imagebuild.cli.output import echo, echo_data, echo_lines
from imagebuild.cli.project_options import config_option
from imagebuild.cli.target import BUILD_FIRST, named, target
from imagebuild.cli.trust_records import ArtifactSigned, KeyCreated
from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.events import data
from imagebuild.project.load import load
from imagebuild.store.artifact import Artifact
from imagebuild.trust import attesting, signers
from imagebuild.trust.keyless import KeylessSigner


@click.command(
    epilog="""\b
Exit codes: 0 signed, 1 an artifact was changed or a key does not sign, 2 invalid usage,
3 the key or the agent cannot be used, there is no identity, or sigstore cannot be reached.
\b
Examples:
  imagebuild attest --new-key secrets/images.pem
  imagebuild attest debian-13
  imagebuild attest artifacts/debian-13/2026-11-2*
  imagebuild attest debian-13 --sigstore
  imagebuild attest debian-13 --json | jq -r .provenance"""
)
@click.argument("images", nargs=-1, type=ImageName(), metavar="[IMAGE]...")
@click.option(
    "--new-key", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Create a key pair: the private key in FILE, the public one in what is printed. Signs nothing.",
)  # fmt: skip
@click.option(
    "--sigstore", is_flag=True,
    help="Sign with sigstore, too, by the identity of this CI job; only so if there is no `trust.sign`. Always with"
    " `trust.sigstore.sign`.",
)  # fmt: skip
@click.option(
    "--identity-token-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Use the identity token in FILE, for the audience sigstore; needs --sigstore.",
)  # fmt: skip
@output_option
@config_option
@json_option
@verbose_option
def attest(
    images: tuple[str, ...],
    new_key: Path | None,
    sigstore: bool,
    identity_token_file: Path | None,
    output: Path,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Sign the provenance of artifacts, with the key of `trust.sign` in imagebuild.yaml.

    IMAGE is a recipe (its latest artifact) or the folder of an artifact. provenance.intoto.json in its
    folder says what was built, by whom and from what, with the digest of every file; SHA256SUMS is
    signed, too, if `trust.sums` says so. All files are read before. What the same key has signed
    already stays as it is, and signatures by other accepted keys stay, too.

    --sigstore writes provenance.sigstore.json with the same statement. It needs the network; the
    identity and the digest of the statement become public in the log of sigstore's public instance.
    """
    if verbose:
        log_to_stderr()
    if new_key is not None:
        if images or sigstore:
            raise UsageError(
                "--new-key signs nothing, so it takes no IMAGE and no --sigstore",
                "run the command again without --new-key",
            )
        _create(new_key, as_json=as_json)
        return
    if not images:
        raise UsageError("give an IMAGE to sign", "or --new-key FILE, if there is no key yet")
    project = load(config)
    if project.trust is None:
        raise UsageError(
            f"{project.file} has no section trust, so there is no key to sign with",
            "`imagebuild attest --new-key FILE` makes a key, and prints what to write there",
        )
    wanted = sigstore or project.trust.sigstore.sign
    keyless = KeylessSigner(project.trust.sigstore, project.folder, identity_token_file) if wanted else None
    if identity_token_file is not None and keyless is None:
        raise UsageError("--identity-token-file needs --sigstore")
    errors: list[ImageBuildError] = []
    for found in [_artifact(name, output) for name in images]:
        try:
            done = attesting.attested(found, project.trust, project.folder, keyless)
        except ImageBuildError as error:
            if len(images) == 1:
                raise
            errors.append(error)
            echo(f"{found.recipe} {found.version}: {error.message}", err=True)
            continue
        if as_json:
            echo_data(data(_record(found, done)))
        else:
            how = f"signed: {', '.join(done.written)}" if done.written else "was signed already"
            echo(f"{found.recipe} {found.version} {how}")
    if errors:
        raise errors[0] if len(errors) == 1 else ImageBuildError(f"{len(errors)} of {len(images)} were not signed")


def _artifact(name: str, output: Path) -> Artifact:
    found = target(named(name, output), output, finished=True)
    if not isinstance(found, Artifact):
        raise UsageError(f"{name} is an image file without a manifest, so it is not known what it was built from",
                         BUILD_FIRST)  # fmt: skip
    return found


def _record(artifact: Artifact, done: attesting.Attested) -> ArtifactSigned:
    return ArtifactSigned(
        recipe=artifact.recipe,
        version=artifact.version,
        provenance=str(done.provenance),
        keyid=done.keyid,
        written=done.written,
    )


def _create(path: Path, *, as_json: bool) -> None:
    made = signers.new_key(path)
    if as_json:
        echo_data(data(KeyCreated(file=str(path), public=made.openssh, keyid=made.keyid)))
        return
    echo_lines(
        [
            f"The private key is in {path}. Keep it secret and out of the repository, and make a backup of it.",
            "Write this to imagebuild.yaml (the path of the private key is relative to that file):",
            "",
            "trust:",
            "  sign:",
            f"    key: {{file: {json.dumps(str(path))}}}",
            "  keys:",
            f"    - name: {re.sub('[^A-Za-z0-9._-]+', '-', path.stem).strip('.-_') or 'key'}",
            f"      key: {made.openssh}",
        ]
    )
