"""The public interface for programs: what ``imagebuild.__all__`` names, and docs/library.md explains.

The functions do what the commands of the same verb do, without printing and without exit codes:
results are returned, errors are ImageBuildError. Everything else in this package may change in any
version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagebuild import scrub as scrubbing
from imagebuild.build import engine
from imagebuild.build.engine import Outlook
from imagebuild.build.step_cache import Settings
from imagebuild.customise import OperationCall, registry
from imagebuild.errors import HostError, ImageBuildError, Problem, RecipeError, UsageError
from imagebuild.events import AuditFinding
from imagebuild.host import accelerator
from imagebuild.progress import SILENT_REPORTER, Progress, Reporter
from imagebuild.recipe import host_inputs
from imagebuild.recipe.load import load_all
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.customised import CustomiseResult
from imagebuild.schema.document import Mark
from imagebuild.scrub import audit_report
from imagebuild.store.artifact import Artifact
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store, default_root

__all__ = [
    "Artifact",
    "AuditFinding",
    "CustomiseResult",
    "HostError",
    "ImageBuildError",
    "OperationCall",
    "Outlook",
    "Problem",
    "Progress",
    "Recipe",
    "RecipeError",
    "Reporter",
    "Settings",
    "UsageError",
    "audit_image",
    "build_image",
    "load_recipes",
    "operation",
    "plan_image",
    "scrub_image",
    "settings",
]


def load_recipes(
    recipe: str | Path, *, variables: Mapping[str, str] | None = None, images: Collection[str] = ()
) -> tuple[Recipe, ...]:
    """The recipes of the images that ``recipe`` yields, checked; with ``images``, only of those.

    A ``Path``, or text with a ``/`` or ending in ``.yaml``, is a file; other text is the name of a
    recipe in the folder ``recipes`` or of a shipped one. Raises RecipeError with all problems, and
    UsageError if there is no such recipe.
    """
    return tuple(load_all(recipe, given=variables, only=images))


def settings(
    *,
    store: Path | None = None,
    output: Path = Path("artifacts"),
    refresh: bool = False,
    if_changed: bool = False,
    max_age: int | None = None,
    verify: bool | None = None,
) -> Settings:
    """Settings for ``plan_image`` and ``build_image``, as the options of ``imagebuild build``.

    ``store`` is the folder of the results of steps (default: that of the command), ``output`` that
    of artifacts; ``max_age`` is in seconds. ``verify`` None does what the recipe says. Raises
    HostError if there can be no store.
    """
    return Settings(Store(store or default_root()), output, refresh, if_changed, max_age, verify)


def plan_image(recipe: Recipe, how: Settings | None = None) -> Outlook:
    """What ``build_image`` would do now; changes nothing. Raises ImageBuildError."""
    return engine.planned(recipe, how or settings())


def build_image(recipe: Recipe, how: Settings | None = None, reporter: Reporter = SILENT_REPORTER) -> Artifact:
    """Build the image, or return the existing one if nothing has changed.

    ``reporter`` receives the progress, from more than one thread. Raises ImageBuildError; its
    ``evidence`` is the folder with the logs of the failure. KeyboardInterrupt ends the build, its
    machine and its programs in order.
    """
    how = how or settings()
    engine.clear_dead_runs(how.store)
    return engine.build(recipe, how, reporter)


def operation(name: str, **params: Any) -> OperationCall:
    """An operation for ``scrub_image``; docs/operations.md lists them with their parameters.

    Files of this host and secrets that it names are read now. Raises UsageError for an unknown
    name, RecipeError for a file or secret that cannot be read, and pydantic's ValidationError (a
    ValueError) for a wrong parameter.
    """
    call, mark = registry.call(name, params), Mark(f"operation {name}", 0, 0)
    return host_inputs.with_secrets(host_inputs.with_paths(call, lambda _: mark), lambda _: mark, RealSecrets())


def scrub_image(
    *images: Path,
    operations: Sequence[OperationCall] | None = None,
    output: Path | None = None,
    dry_run: bool = False,
    network: bool = False,
    store: Path | None = None,
) -> CustomiseResult:
    """Turn the guest on ``images``, its disks in their order, into a template.

    ``operations`` default to the set of ``imagebuild scrub``. With ``output`` the result is written
    there, and the only image stays as it is; with ``dry_run`` nothing is changed, and each change in
    the result has its diff. Whatever happens, each image is either unchanged or completely replaced.
    Raises ImageBuildError.
    """
    if dry_run and output is not None:
        raise UsageError("a dry run has no output", "give dry_run or output")
    kept = Store(store or default_root())
    calls = [registry.call(name) for name in registry.TEMPLATE] if operations is None else operations
    with kept.runs.workdir(new_run("look"), shared=False) as scratch:
        return scrubbing.scrub(
            scrubbing.recognised(images),
            calls,
            accel=accelerator.verdict(kept.probe_cache).accelerator,
            way="dry-run" if dry_run else "swap",
            output=output,
            scratch=scratch,
            network=network,
        )


def audit_image(*images: Path, ignore: Collection[str] = (), store: Path | None = None) -> tuple[AuditFinding, ...]:
    """The identities and secrets that the guest on ``images`` still contains; nothing is changed.

    ``ignore`` names operations, or kinds of search, whose findings are left out. A finding of the
    kind ``note`` is worth a look and no error. Raises ImageBuildError.
    """
    kept = Store(store or default_root())
    with kept.runs.workdir(new_run("look"), shared=False) as scratch:
        result = scrubbing.audit(
            scrubbing.recognised(images), accel=accelerator.verdict(kept.probe_cache).accelerator, scratch=scratch
        )
    return audit_report.report(result, ignore)
