"""Puts the results of a recipe's steps into the remote store, and fetches them, without building."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from imagebuild.build import fetched_artifact
from imagebuild.build.engine import Outlook, make_plan
from imagebuild.build.plan import Plan
from imagebuild.build.remote_results import WITH_SECRETS, has_address_with_user
from imagebuild.build.step_cache import Settings
from imagebuild.progress import Reporter
from imagebuild.recipe import host_inputs
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.remote.opening import RemoteSettings, open_remote
from imagebuild.remote.remote_store import RemoteStore
from imagebuild.step import Step
from imagebuild.store.artifact import ArtifactFolder

Transfer = Literal["pushed", "pulled", "there", "missing", "withheld"]


@dataclass(frozen=True)
class SharedResult:
    """What became of the result of a step: ``size`` is the bytes on the way; ``there`` means that there was
    nothing to do, ``missing`` that the sender does not have it, ``withheld`` that it contains secrets.
    """

    recipe: str
    step: str
    kind: str
    fingerprint: str
    state: Transfer
    size: int = 0


def push(recipe: Recipe, settings: Settings, remote: RemoteStore, reporter: Reporter) -> Iterator[SharedResult]:
    """Push all results of the recipe's plan that are here, its latest artifact among them. Raises HostError."""
    plan = make_plan(recipe, settings.store)
    secret = host_inputs.has_secrets(recipe)
    for step in _steps(plan):
        if (secret and step.kind in WITH_SECRETS) or has_address_with_user(step):
            yield _result(plan, step, "withheld")
        elif step is plan.convert:
            yield _push_artifact(plan, settings, remote, reporter)
        elif settings.store.find(step.kind, step.fingerprint) is not None:
            yield _push(plan, step, settings, remote, reporter)
        elif step.kind != "layer":  # most operations leave no checkpoint
            yield _result(plan, step, "missing")


def _push(plan: Plan, step: Step, settings: Settings, remote: RemoteStore, reporter: Reporter) -> SharedResult:
    if remote.has(step.kind, step.fingerprint):
        return _result(plan, step, "there")
    before = remote.sent.total
    with reporter.step(plan.recipe.name, step.name) as progress, ExitStack() as held:
        # what is damaged here must not become the damage of all
        if settings.store.take(step.kind, step.fingerprint, held) is None:
            return _result(plan, step, "missing")
        remote.push(step.kind, step.fingerprint, settings.store, progress)
        progress.summary("pushed")
    return _result(plan, step, "pushed", remote.sent.total - before)


def _push_artifact(plan: Plan, settings: Settings, remote: RemoteStore, reporter: Reporter) -> SharedResult:
    step = plan.convert
    latest = ArtifactFolder(settings.output, plan.recipe.name).latest()
    if latest is None or latest.manifest().fingerprint != step.fingerprint:
        return _result(plan, step, "missing")
    if remote.has(step.kind, step.fingerprint):
        return _result(plan, step, "there")
    before = remote.sent.total
    with reporter.step(plan.recipe.name, step.name) as progress:
        remote.put(step.kind, step.fingerprint, latest.folder, fetched_artifact.facts(latest), progress)
        progress.summary("pushed")
    return _result(plan, step, "pushed", remote.sent.total - before)


def there(outlook: Outlook, settings: RemoteSettings) -> frozenset[str]:
    """The names of the steps to run whose results the remote store has. Raises HostError."""
    wanted = [step for step in outlook.plan.steps if step.name in outlook.to_run]
    if host_inputs.has_secrets(outlook.plan.recipe):
        wanted = [step for step in wanted if step.kind not in WITH_SECRETS]
    with open_remote(settings) as remote:
        return frozenset(step.name for step in wanted if remote.has(step.kind, step.fingerprint))


def pull(
    recipe: Recipe, settings: Settings, remote: RemoteStore, reporter: Reporter, *, everything: bool = False
) -> Iterator[SharedResult]:
    """Fetch what a build of the recipe would go on from: the furthest result; or all results of its plan that
    the remote store has. The image itself is fetched by a build only. Raises HostError and RefusedEntry.
    """
    plan = make_plan(recipe, settings.store)
    for steps in [_steps(plan)[:-1]] if everything else _alternatives(plan):
        done = [_pull(plan, step, settings, remote, reporter) for step in steps]
        found = [one for one in done if one.state != "missing"]
        if found or steps[0] in plan.before:
            yield from (one for one in done if one.kind != "layer" or one in found)
            return


def _alternatives(plan: Plan) -> Iterator[Sequence[Step]]:
    """The results that a build can go on from, the furthest first."""
    yield [plan.customise]
    yield from ([one] for one in reversed(plan.layers))
    yield [plan.install, *plan.after]
    yield plan.before


def _pull(plan: Plan, step: Step, settings: Settings, remote: RemoteStore, reporter: Reporter) -> SharedResult:
    if settings.store.find(step.kind, step.fingerprint) is not None:
        return _result(plan, step, "there")
    before = remote.received.total
    if not remote.has(step.kind, step.fingerprint):
        return _result(plan, step, "missing")
    with reporter.step(plan.recipe.name, step.name) as progress:
        pulled = remote.pull(step.kind, step.fingerprint, settings.store, progress)
        progress.summary("from the remote store" if pulled else "not there any more", "remote")
    return _result(plan, step, "pulled" if pulled else "missing", remote.received.total - before)


def _steps(plan: Plan) -> tuple[Step, ...]:
    return (*plan.before, plan.install, *plan.after, *plan.layers, plan.customise, plan.convert)


def _result(plan: Plan, step: Step, state: Transfer, size: int = 0) -> SharedResult:
    return SharedResult(plan.recipe.name, step.name, step.kind, step.fingerprint, state, size)
