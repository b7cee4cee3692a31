"""A step's fingerprint covers all code that the step runs, as its imports show.

Otherwise a change of that code would reuse a stale result.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild import fingerprint
from imagebuild.anaconda import installer as anaconda
from imagebuild.build import plan
from imagebuild.customise import registry
from imagebuild.kickstrap import further, installer, runtime, stored_roots
from imagebuild.kickstrap import steps as kickstrap_steps
from tests.test_layers import PACKAGE, SOURCES, imports, name_of

FILES = {name_of(path): path for path in SOURCES}
# They determine how a result is produced, supervised and reported, but not the result itself.
NEUTRAL = {
    "errors", "log", "printable", "progress", "files", "fingerprint", "host.hints", "host.process",
    "host.accelerator", "host.memory", "host.probe_cache",
    "host.ownership", "schema.light_pykickstart", "schema.similar", "image.references",
    "image.disk_image", "image.qemu_img",
}  # fmt: skip
# Fetching and verifying a download does not change it.
PROOFS = {"anaconda.checksums", "host.gpgv", "anaconda.source"}


def closure(*roots: str) -> set[str]:
    """The modules that are imported with ``roots``, without those that are imported only for types."""
    seen: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        if name in FILES and name not in seen:
            seen.add(name)
            left += imports(FILES[name], running_only=True)
    return {name.removeprefix("imagebuild.") for name in seen}


def covered(*places: str | Path) -> set[str]:
    """The modules at these places, files or folders of the package."""
    found: set[str] = set()
    for place in places:
        path = PACKAGE / place
        found |= {name_of(one) for one in (path.rglob("*.py") if path.is_dir() else [path])}
    return {name.removeprefix("imagebuild.") for name in found}


def code(names: set[str]) -> set[str]:
    """``names`` without packages that only contain other modules."""
    return {name for name in names if name != "imagebuild" and FILES[f"imagebuild.{name}"].read_text().count("\n") > 1}


@pytest.mark.parametrize(
    ("roots", "places", "neutral"),
    [
        (["kickstrap.runtime"], runtime.base_sources(), NEUTRAL),
        (["kickstrap.payload"], kickstrap_steps.PAYLOAD_CODE, NEUTRAL),
        (["kickstrap.further"], (*kickstrap_steps.PAYLOAD_CODE, *further.CODE), NEUTRAL),
        # the agent's code is that of the install tree, whose fingerprint is an input of an installation too
        (["kickstrap.prepared_root"], (*installer.PREPARED_CODE, "kickstrap/agent"), NEUTRAL),
        (["kickstrap.base_root", "kickstrap.agent.without_sync"], stored_roots.BASE_CODE, NEUTRAL),
        (["image.conversion"], plan.CONVERT_CODE, NEUTRAL - {"image.disk_image", "image.qemu_img"}),
    ],
    ids=["runtime", "payload", "further", "prepared", "base", "convert"],
)
def test_a_step_covers_what_it_runs(roots: list[str], places: tuple[str | Path, ...], neutral: set[str]) -> None:
    assert code(closure(*(f"imagebuild.{root}" for root in roots))) - covered(*places) - neutral == set()


@pytest.mark.seconds
def test_a_source_covers_its_part_of_the_installers() -> None:
    ran = {name for name in code(closure("imagebuild.anaconda.medium")) if name.startswith("anaconda.")}
    assert ran - covered(*anaconda.SOURCE_CODE) - PROOFS == set()


@pytest.mark.parametrize("name", registry.names())
def test_an_operation_covers_what_it_runs(name: str) -> None:
    module = f"customise.operations.{name.replace('-', '_')}"
    # What an audit looks for does not affect an operation. Nor does the process around it, which reports and
    # supervises, or the code that makes the appliance start faster.
    beside = {
        "customise.runner",
        "customise.process",
        "customise.sockets",
        "host.stall",
        "kernel",
        "kernel.cpio",
        "kernel.vmlinux",
    }
    ran = {one for one in code(closure(f"imagebuild.{module}")) if not one.startswith("customise.audit")}
    assert ran - {module} - covered(*registry.shared_sources()) - NEUTRAL - beside == set()


def test_every_place_exists() -> None:
    for place in (*anaconda.SOURCE_CODE, *kickstrap_steps.PAYLOAD_CODE, *stored_roots.BASE_CODE, *plan.CONVERT_CODE):
        assert (fingerprint.PACKAGE / place).exists(), place
    assert all(path.is_file() for path in (*registry.shared_sources(), *runtime.base_sources()))
