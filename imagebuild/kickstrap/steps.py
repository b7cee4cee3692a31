"""The steps of kickstrap's preparation, with their inputs."""

from __future__ import annotations

from functools import cache, partial
from importlib import metadata

from imagebuild import fingerprint
from imagebuild.kickstrap import base_root, further, index, runtime
from imagebuild.kickstrap import payload as archives
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.kickstrap.runtime import RuntimeSpec
from imagebuild.kickstrap.stored_roots import name_of
from imagebuild.printable import counted
from imagebuild.step import Archive, Dated, Step, Tools, World

PAYLOAD_CODE = (
    *(f"kickstrap/{name}.py" for name in ("payload", "chosen", "foundation", *base_root.CODE)),
    "customise/linux/dpkg.py",
)
"""The code that determines the result of the step; a test compares it with the imports."""


def runtime_steps(spec: RuntimeSpec, tools: Tools) -> tuple[Step, Step]:
    base = Step(
        "runtime",
        "runtime",
        f"installer's runtime, Debian {spec.suite}",
        {
            "suite": spec.suite,
            "mirror": name_of(spec.mirror),
            "components": " ".join(spec.components),
            "code": _base_code(),
            "mmdebstrap": tools.mmdebstrap,
        },
    )
    inputs = {
        "runtime": base.fingerprint,
        "installer's code": _tree_code(),
        "pykickstart": _pykickstart(),
    }
    return base, Step("tree", "tree", "install tree", inputs)


# Each is read once per process: a plan of many recipes needs them for each recipe.
@cache
def _base_code() -> str:
    return fingerprint.code_of(runtime.base_sources())


@cache
def _tree_code() -> str:
    return fingerprint.code_of(runtime.tree_sources())


@cache
def _pykickstart() -> str:
    return metadata.version("pykickstart")


def payload_inputs(spec: PayloadSpec, tools: Tools) -> dict[str, str]:
    return {
        "suite": spec.suite,
        "mirror": name_of(spec.mirror),
        "components": " ".join(spec.components),
        "packages": " ".join(sorted(spec.packages)),
        "excluded packages": " ".join(sorted(spec.excluded)),
        "standard system": str(spec.core),
        "weak dependencies": str(spec.weak_dependencies),
        **({"missing packages": "left out"} if spec.optional else {}),
        **({"files": " ".join(spec.left_out)} if spec.left_out else {}),
        "code": fingerprint.code(*PAYLOAD_CODE),
        "mmdebstrap": tools.mmdebstrap,
    }


def payload_step(spec: PayloadSpec, tools: Tools, world: World | None) -> Step:
    inputs = payload_inputs(spec, tools)
    dated = world.payload(archive(spec), inputs) if world is not None else Dated(inputs)
    return Step("payload", "payload", f"root archive of {counted(len(spec.packages), 'named package')}", *dated)


def archive(spec: PayloadSpec) -> Archive:
    """Determines how old the packages of a root archive are, and which are newer on the mirror."""
    return Archive(
        offers=partial(index.offered, spec),
        newer=lambda folder: index.newer(spec, archives.read(folder).packages),
        file=lambda folder: archives.read(folder).path,
    )


def additions_step(common: Step, spec: PayloadSpec, first: int, tools: Tools, world: World | None) -> Step:
    """The step for the packages of ``spec`` beyond the ``first`` ones of the root archive ``common``."""
    plain = {
        **payload_inputs(spec, tools),
        "added to": common.fingerprint,
        "code of the difference": fingerprint.code(*further.CODE),
    }
    dated = Dated(plain) if world is None else world.payload(archive(spec), plain)
    return Step("additions", "payload", counted(len(spec.packages) - first, "further package"), *dated)
