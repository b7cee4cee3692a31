"""Which packages apt chooses for a list of names, over a base root: asked without installing anything."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from imagebuild.host.process import run
from imagebuild.kickstrap import bootstrap
from imagebuild.kickstrap.base_root import STATUS, BaseRoot

_INSTALLED = re.compile(r"^Inst (\S+?)(?::\S+)? (?:\[[^\]]*\] )?\((\S+) ")
_REMOVED = re.compile(r"^(?:Remv|Purg) (\S+?)(?::\S+)? ")
# As in the file that mmdebstrap writes for apt: this host's own configuration of apt must not count, and no
# package but those that are marked so is essential.
_CONFIGURATION = """\
Apt::Architecture "{arch}";
Apt::Architectures "{arch}";
Dir "{root}";
Dir::State::Status "{root}/var/lib/dpkg/status";
pkgCacheGen::ForceEssential ",";
APT::Install-Recommends "{recommends}";
Acquire::Languages "none";
"""


def packages(base: BaseRoot, names: Sequence[str], *, recommends: bool, arch: str) -> dict[str, str]:
    """The packages with versions of a root that is made of ``base`` and these names; ``NAME-`` excludes.

    Raises CommandFailed if apt finds no solution.
    """
    with tempfile.TemporaryDirectory(prefix="imagebuild-apt-") as scratch:
        root = Path(scratch)
        run(["tar", "--extract", "--file", base.path, "--directory", root, "--no-same-owner",
             STATUS, bootstrap.LISTS, "./etc/apt"], timeout=300)  # fmt: skip
        for folder in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        configuration = root / "apt.conf"
        words = {"root": root, "arch": arch, "recommends": str(recommends).lower()}
        configuration.write_text(_CONFIGURATION.format(**words))
        argv = ["apt-get", "--simulate", "--yes", "install", *names]
        answer = run(argv, timeout=300, env={"APT_CONFIG": str(configuration)})
    return parsed(base.packages, answer.stdout.splitlines())


def parsed(there: dict[str, str], lines: Iterable[str]) -> dict[str, str]:
    """What is installed after the actions that ``apt-get --simulate`` prints, sorted by name; ``there``
    was before.
    """
    found = dict(there)
    for line in lines:
        if match := _INSTALLED.match(line):
            found[match[1]] = match[2]
        elif match := _REMOVED.match(line):
            found.pop(match[1], None)
    return dict(sorted(found.items()))
