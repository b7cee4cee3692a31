"""Hints for what pip cannot install, and how the command line reports a missing binding."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from imagebuild import doctor
from imagebuild.cli import main
from imagebuild.host import system_packages
from imagebuild.host.system_packages import BINDINGS, install_binding, install_program

ROOT = Path(__file__).parents[2]
SETUP = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is an installed package, not a checkout."""
    monkeypatch.setattr(system_packages, "_CHECKOUT", Path("/nowhere"))


def environment(folder: Path, *, system: bool) -> str:
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = {str(system).lower()}\n")
    return str(folder)


def test_a_checkout_has_make_setup() -> None:
    assert install_binding("guestfs", prefix="/usr", base="/usr") == "run `make setup`"
    assert install_program("virt-install") == "run `make setup`"


@pytest.mark.usefixtures("installed")
def test_an_environment_that_does_not_see_the_system_is_named(tmp_path: Path) -> None:
    hint = install_binding("guestfs", prefix=environment(tmp_path, system=False), base="/usr")
    assert "apt-get install python3-guestfs" in hint
    assert f"{tmp_path}/pyvenv.cfg" in hint
    assert "pipx install --force --system-site-packages" in hint


@pytest.mark.usefixtures("installed")
def test_an_environment_that_sees_the_system_lacks_only_the_package(tmp_path: Path) -> None:
    hint = install_binding("libvirt", prefix=environment(tmp_path, system=True), base="/usr")
    assert hint == "run `apt-get install python3-libvirt`"
    assert install_binding("nbd", prefix="/usr", base="/usr") == "run `apt-get install python3-libnbd`"
    assert install_program("virt-install") == "run `apt-get install virtinst`"


@pytest.mark.usefixtures("installed")
def test_a_python_of_its_own_cannot_have_the_bindings() -> None:
    hint = install_binding("guestfs", prefix="/home/x/env", base="/opt/python3.14")
    assert "/usr/bin/python3 instead of /opt/python3.14/bin/python3" in hint


def test_setup_installs_the_same_packages() -> None:
    # As a line of a table, or as a case's only one.
    for packages in (*BINDINGS.values(), *system_packages._PROGRAMS.values()):
        assert [name for name in packages if not re.search(rf"^\W*(\w+\) echo \")?{name}\|", SETUP, re.MULTILINE)] == []
    assert set(doctor._PROGRAMS) <= set(system_packages._PROGRAMS)
    assert set(doctor._MODULES) <= set(BINDINGS)


def test_a_missing_binding_is_no_traceback() -> None:
    code = (
        "import sys; sys.modules['libvirt'] = None; sys.argv = ['imagebuild', 'hosts'];"
        "import imagebuild.cli.hosts as hosts\n"
        "from imagebuild.cli.main import main\n"
        "def fails(*_, **__):\n    import libvirt_qemu\n"
        "sys.modules['libvirt_qemu'] = None\n"
        "hosts.hosts.callback = fails\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("imagebuild: this Python cannot import libvirt, the binding of its library\n")
    assert "hint: " in done.stderr


def test_another_missing_module_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError, match="zebra"):
        main._missing_binding(ModuleNotFoundError("No module named 'zebra'", name="zebra"))
