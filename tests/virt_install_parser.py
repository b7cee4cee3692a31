"""Runs virt-install's own parser in this process: how it interprets a command, without a
hypervisor.

The connection is libvirt's test driver with the capabilities of a host that supports everything
(virt-install's magic URI for its own tests). ``real`` runs the real command instead.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

_GUEST = """
<guest><os_type>hvm</os_type><arch name='{arch}'><wordsize>64</wordsize><emulator>/usr/bin/{emulator}</emulator>
{machines}{domains}</arch><features><acpi default='on' toggle='yes'/><apic default='on' toggle='no'/><pae/></features></guest>
"""  # noqa: E501
_MACHINES = {"x86_64": ("pc", "q35", "xenfv"), "aarch64": ("virt",)}


def capabilities() -> str:
    """Capabilities of a host with KVM, emulation and Xen, for both architectures."""
    guests = ""
    for arch, names in _MACHINES.items():
        machines = "".join(f"<machine maxCpus='4096'>{name}</machine>" for name in names)
        kinds = ("qemu", "kvm", "xen") if arch == "x86_64" else ("qemu", "kvm")
        domains = "".join(f"<domain type='{kind}'/>" for kind in kinds)
        guests += _GUEST.format(arch=arch, emulator=f"qemu-system-{arch}", machines=machines, domains=domains)
    return f"<capabilities><host><cpu><arch>x86_64</arch></cpu></host>{guests}</capabilities>"


@cache
def _program() -> ModuleType:
    sys.path.append("/usr/share/virt-manager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the distribution's code
        from virtinst import virtinstall  # type: ignore[import-not-found]

    return virtinstall  # type: ignore[no-any-return]


def connection(folder: Path, scheme: str = "qemu") -> str:
    """A URI for ``--connect``; the capabilities file is written to ``folder``."""
    path = folder / "capabilities.xml"
    path.write_text(capabilities())
    return f"__virtinst_test__test:///default,fakeuri={scheme}:///system,caps='{path}'"


@contextlib.contextmanager
def _own_main_context() -> Iterator[None]:
    """Let libosinfo wait in a separate main context.

    Another test may have started libvirt's event loop, which owns GLib's default context
    permanently.
    """
    from gi.repository import GLib  # type: ignore[import-not-found]

    context = GLib.MainContext.new()
    context.push_thread_default()
    try:
        yield
    finally:
        context.pop_thread_default()


def parsed(argv: list[str]) -> ET.Element:
    """The domain that virt-install would start for ``argv``, whose ``--connect`` is from
    :func:`connection`.
    """
    program, out, err = _program(), io.StringIO(), io.StringIO()
    words = [*argv, "--dry-run", "--print-xml", "--check", "all=off"]
    before = sys.argv
    sys.argv = words
    try:
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with streams[0], streams[1], _own_main_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program.main()
    except SystemExit as error:
        raise AssertionError(f"virt-install refused: {err.getvalue()}\n{argv}") from error
    finally:
        sys.argv = before
    text = out.getvalue()
    return ET.fromstring(text[: text.index("</domain>") + len("</domain>")])


def real(argv: list[str]) -> ET.Element:
    """The same with the real command; ``--connect`` is not changed."""
    done = subprocess.run([*argv, "--dry-run", "--print-xml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ET.fromstring(done.stdout[: done.stdout.index("</domain>") + len("</domain>")])
