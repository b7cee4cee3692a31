"""What is known of two clones of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.verify.identities import CloneState


@dataclass(frozen=True)
class Clones:
    """Two booted clones. ``seeds`` are the paths of random seeds in the image itself, None if they
    are not known; ``requests_seen`` is whether DHCP requests of both were captured.
    """

    first: CloneState
    second: CloneState
    seeds: Sequence[str] | None
    requests_seen: bool
