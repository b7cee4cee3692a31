"""``--key`` of the commands that check signatures: which keys are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.project.load import load
from imagebuild.trust.keys import Policy, of_files, policy


def accepted(keys: Sequence[Path], config: Path | None) -> Policy:
    """The keys in these files; without files, those of the project. Raises UsageError if there are none."""
    if keys:
        return of_files(keys)
    project = load(config)
    if project.trust is None or not project.trust.is_enforced:
        raise UsageError(
            "there is no key to check the signature with",
            f"give a public key with --key, or name keys in the section trust of {project.file}",
        )
    return policy(project.trust, project.folder)
