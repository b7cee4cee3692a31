"""Where the programs and modules come from that pip cannot install: the distribution's packages.

The bindings of libguestfs, libvirt and libnbd must match the system's libraries. The distribution
builds them for its own Python, and an environment sees them only if it was made with access to the
system's packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

BINDINGS = {
    "guestfs": ("python3-guestfs", "python3-libguestfs"),
    "libvirt": ("python3-libvirt", "python3-libvirt"),
    "nbd": ("python3-libnbd", "python3-libnbd"),
}
"""Module → its package on Debian and Ubuntu, and on Fedora and the RHEL family."""
_PROGRAMS = {
    "virt-install": ("virtinst", "virt-install"),
    "qemu-img": ("qemu-utils", "qemu-img"),
    "mmdebstrap": ("mmdebstrap", "mmdebstrap"),
    "mksquashfs": ("squashfs-tools", "squashfs-tools"),
    "openssl": ("openssl", "openssl"),
    "gpgv": ("gpgv", "gnupg2"),
    "xorriso": ("xorriso", "xorriso"),
    "virtlogd": ("libvirt-daemon", "libvirt-daemon-kvm"),
    "newuidmap": ("uidmap", "shadow-utils"),
    "a kernel": ("linux-image-cloud-amd64", "kernel-core"),
}
_CHECKOUT = Path(__file__).parents[2]
_DISTRIBUTIONS_PYTHON = "/usr"


def install_program(name: str) -> str:
    """What to run so that a program is there, or "a kernel" that libguestfs can boot."""
    return _install(_PROGRAMS[name])


def install_binding(module: str, *, prefix: str = sys.prefix, base: str = sys.base_prefix) -> str:
    """What to do so that this Python can import a binding. ``prefix`` is that of the environment,
    ``base`` that of its Python.
    """
    packages = BINDINGS[module]
    if base != _DISTRIBUTIONS_PYTHON:
        return (
            f"{_install(packages)}; the module is for the distribution's own Python, so install imagebuild with"
            f" /usr/bin/python3 instead of {base}/bin/python3"
        )
    if prefix != base and not _sees_the_system(Path(prefix)):
        return (
            f"{_install(packages)}, and let this environment see the system's packages: `pipx install --force"
            f" --system-site-packages imagebuild`, or `include-system-site-packages = true` in {prefix}/pyvenv.cfg"
        )
    return _install(packages)


def is_checkout() -> bool:
    """Whether this is a checkout, in which `make setup` installs what is missing."""
    return (_CHECKOUT / "scripts" / "setup.sh").is_file()


def _install(packages: tuple[str, str]) -> str:
    if is_checkout():
        return "run `make setup`"
    debian, fedora = packages
    if Path("/usr/bin/dpkg").exists():
        return f"run `apt-get install {debian}`"
    return f"run `dnf install {fedora}`" if Path("/usr/bin/dnf").exists() else f"install {debian} ({fedora})"


def _sees_the_system(prefix: Path) -> bool:
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True  # no virtual environment
    settings = dict(line.partition("=")[::2] for line in lines)
    return any(name.strip() == "include-system-site-packages" and "true" in value for name, value in settings.items())
