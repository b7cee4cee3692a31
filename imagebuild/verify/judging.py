"""Runs checks on a booted clone and turns what they say into results."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from imagebuild.errors import BootFailed, EmulatorFault, GuestError, HostError
from imagebuild.verify import probe, registry
from imagebuild.verify.check import CheckCall, CheckResult, NotCheckable, NothingToCheck, Printed, RunningGuest, Turn

if TYPE_CHECKING:
    from imagebuild.verify.clones import Clones

_LIMIT = 120.0
"""Seconds for all probes together."""


class Seen(Mapping[str, Printed]):
    """The outputs of one check's probes. One that is missing did not end in the guest."""

    def __init__(self, outputs: Mapping[str, Printed]) -> None:
        self._outputs = outputs

    def __getitem__(self, name: str) -> Printed:
        if name not in self._outputs:
            raise NotCheckable(f"the command for the {name} did not end in the guest")
        return self._outputs[name]

    def __iter__(self) -> Any:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def probed(guest: RunningGuest, groups: Mapping[str, Mapping[str, str]]) -> dict[str, Seen]:
    """The outputs of several groups of probes, which run as one script."""
    mark = f"imagebuild-{secrets.token_hex(8)}"
    commands = {f"{group}/{name}": command for group, named in groups.items() for name, command in named.items()}
    printed = guest.run(probe.script(commands, mark), timeout=_LIMIT)
    outputs = probe.outputs(commands, mark, printed.text + "\n")
    return {
        group: Seen({name: outputs[f"{group}/{name}"] for name in named if f"{group}/{name}" in outputs})
        for group, named in groups.items()
    }


def probes_of(calls: Sequence[CheckCall]) -> dict[str, Mapping[str, str]]:
    """The probes of the checks that have any, by check."""
    return {call.name: registry.get(call.name).probes for call in calls if registry.get(call.name).probes}


def judged(call: CheckCall, seen: Mapping[str, Printed]) -> CheckResult:
    """The result of a check that has probes."""
    judge = registry.get(call.name).judge
    assert judge is not None
    return result(call.name, partial(judge, seen, call.params))


def acted(calls: Sequence[CheckCall], turn: Turn, guest: RunningGuest) -> list[CheckResult]:
    """The results of the acting checks of one turn."""
    found = []
    for call in calls:
        check = registry.get(call.name)
        if check.act is not None and check.turn == turn:
            found.append(result(call.name, partial(check.act, guest, call.params)))
    return found


def compared(calls: Sequence[CheckCall], clones: Callable[[], Clones]) -> list[CheckResult]:
    """The results of the checks that look at two clones; ``clones`` may raise NotCheckable."""
    looking = ((call, registry.get(call.name).compare) for call in calls)
    return [
        result(call.name, lambda compare=compare, params=call.params: compare(clones(), params))  # type: ignore[misc]
        for call, compare in looking
        if compare
    ]


def result(name: str, ask: Callable[[], Iterable[str]]) -> CheckResult:
    """What a check says, with its duration."""
    begin, version = time.monotonic(), registry.get(name).version
    problems: tuple[str, ...] = ()
    try:
        problems = tuple(ask())
        status, reason = "failed" if problems else "passed", ""
    except NothingToCheck as error:
        status, reason = "not applicable", str(error)
    except NotCheckable as error:
        status, reason = "not checkable", str(error)
    except EmulatorFault as error:
        status, reason, problems = "not checkable", f"{error.message}, which is the emulator's fault", ()
    except (GuestError, HostError, BootFailed) as error:
        status, reason, problems = "failed", "", (error.message,)
    except TimeoutError:
        status, reason, problems = "failed", "", ("the guest did not answer in time",)
    seconds = round(time.monotonic() - begin, 1)
    return CheckResult(name, status, problems, reason, seconds, version)  # type: ignore[arg-type]


def settled(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results without problems that only follow from the failure of another check."""
    failed = {one.name for one in results if one.status == "failed"}
    return [_settled(one, failed) if one.status == "failed" else one for one in results]


def _settled(one: CheckResult, failed: Collection[str]) -> CheckResult:
    for cause, pattern in registry.get(one.name).follows.items():
        if cause not in failed:
            continue
        own = tuple(problem for problem in one.problems if not re.fullmatch(pattern, problem))
        if not own:
            reason = f"{'; '.join(one.problems)}: follows from {cause}"
            return replace(one, status="not checkable", problems=(), reason=reason)
        one = replace(one, problems=own)
    return one
