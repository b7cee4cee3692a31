"""Parses dpkg's database of installed packages."""

from __future__ import annotations


def parse_status(text: str) -> dict[str, str]:
    """Installed packages and their versions from the text of ``/var/lib/dpkg/status``, sorted by
    name.
    """
    packages: dict[str, str] = {}
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = fields["Version"]
    return dict(sorted(packages.items()))
