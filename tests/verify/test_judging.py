"""What checks say becomes results, whatever happens."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from imagebuild.errors import BootFailed, EmulatorFault, GuestError, HostError
from imagebuild.verify import judging, probe, registry
from imagebuild.verify.check import CheckResult, NotCheckable, NothingToCheck, Printed
from imagebuild.verify.clones import Clones
from imagebuild.verify.identities import CloneState
from imagebuild.verify.judging import Seen, acted, compared, judged, probed, probes_of, result


class ShellGuest:
    """Runs scripts in a shell of this host."""

    def __init__(self, cut: int | None = None) -> None:
        self.cut = cut
        self.scripts: list[str] = []

    def run(self, script: str, *, timeout: float = 60.0) -> Printed:
        self.scripts.append(script)
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=timeout)
        return Printed(done.stdout[: self.cut].removesuffix("\n"), done.returncode)


GROUPS = {
    "a": {"one": "echo 1", "two": "echo 2; echo 3 >&2; exit 4"},
    "b": {"one": "printf 'no line end'", "nothing": "true", "quoted": "echo \"it's\" 'so'", "input": "cat"},
}


def test_all_probes_are_one_script() -> None:
    guest: Any = ShellGuest()
    seen = probed(guest, GROUPS)
    assert len(guest.scripts) == 1
    assert {name: dict(outputs) for name, outputs in seen.items()} == {
        "a": {"one": Printed("1", 0), "two": Printed("2\n3", 4)},
        "b": {
            "one": Printed("no line end", 0),
            "nothing": Printed("", 0),
            "quoted": Printed("it's so", 0),
            "input": Printed("", 0),
        },
    }
    assert len(seen["a"]) == 2


def test_outputs_of_a_terminal_and_of_liars() -> None:
    probes = {"a": "", "b": ""}
    text = "m begin 0\r\nx end 0 0\r\nm begin 1\r\n\r\nm end 0 3\r\nm begin 1\nb\n\nm end 1 0\n"
    assert probe.outputs(probes, "m", text) == {"a": Printed("x end 0 0\nm begin 1", 3), "b": Printed("b", 0)}
    assert probe.outputs(probes, "m.", "mx begin 0\n\nmx end 0 0\n") == {}


def test_the_output_of_a_probe_that_does_not_end_is_missing() -> None:
    whole: Any = ShellGuest()
    probed(whole, GROUPS)
    length = len(ShellGuest().run(whole.scripts[0]).text)
    for cut in range(0, length, 7):
        guest: Any = ShellGuest(cut)
        seen = probed(guest, {"a": GROUPS["a"]})
        for name in seen["a"]:
            assert seen["a"][name].text == {"one": "1", "two": "2\n3"}[name]


def test_a_number_that_no_probe_has_is_no_output() -> None:
    for number, status in (("7", "0"), ("9" * 5000, "0"), ("0", "9" * 5000)):
        assert probe.outputs({"a": ""}, "m", f"m begin {number}\n\nm end {number} {status}\n") == {}


def test_a_missing_output_is_not_checkable() -> None:
    seen = Seen({"a": Printed("x", 0)})
    assert seen["a"].text == "x"
    assert list(seen) == ["a"]
    with pytest.raises(NotCheckable, match="the command for the state did not end in the guest"):
        seen["state"]


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.get(name).judge is not None])
def test_without_any_output_no_check_passes(name: str) -> None:
    params = {"huge-pages": {"transparent": "never"}, "hostname": {"name": "localhost"}}.get(name)
    found = judged(registry.call(name, params), Seen({}))
    assert (found.status, found.problems) == ("not checkable", ())
    assert found.reason


def raising(error: Exception) -> Callable[[], Iterator[str]]:
    def ask() -> Iterator[str]:
        yield "a problem that was found before"
        raise error

    return ask


SAID: list[tuple[Callable[[], Any], str, tuple[str, ...], str]] = [
    (list, "passed", (), ""),
    (lambda: iter(["one", "two"]), "failed", ("one", "two"), ""),
    (raising(NothingToCheck("no swap")), "not applicable", (), "no swap"),
    (raising(NotCheckable("unreadable")), "not checkable", (), "unreadable"),
    (raising(GuestError("the shell is gone")), "failed", ("the shell is gone",), ""),
    (raising(HostError("libvirt is gone")), "failed", ("libvirt is gone",), ""),
    (raising(BootFailed("panic", console=("x",))), "failed", ("panic",), ""),
    (raising(EmulatorFault("panic")), "not checkable", (), "panic, which is the emulator's fault"),
    (raising(TimeoutError()), "failed", ("the guest did not answer in time",), ""),
]


@pytest.mark.parametrize(("ask", "status", "problems", "reason"), SAID)
def test_results(ask: Callable[[], Any], status: str, problems: tuple[str, ...], reason: str) -> None:
    found = result("swap-off", ask)
    assert (found.name, found.status, found.problems, found.reason) == ("swap-off", status, problems, reason)
    assert found.version == registry.get("swap-off").version
    assert re.fullmatch("[0-9a-f]{12}", found.version)
    assert found.seconds >= 0


class SlowGuest:
    """A guest that reboots and shuts down too slowly, and whose devices never answer."""

    emulated = False
    seconds_to_login = 20.0
    ssh_port = None
    seed = None
    console = ""
    vcpus = (1, 2)
    memory = (1 << 30, 2 << 30)

    def run(self, script: str, *, timeout: float = 60.0) -> Printed:
        if script.startswith("cat /proc/sys/kernel/random/boot_id"):
            return Printed("3f8e2a64-9d1c-4b7a-8e05-d6c21f9a7b43", 0)
        raise TimeoutError

    def late(self, *_: Any, **__: Any) -> Any:
        raise TimeoutError

    set_vcpus = set_memory = reboot = shut_down = upload = late


def test_checks_that_time_out_have_failed() -> None:
    calls = [registry.call(name) for name in ("cpu-hot-add", "memory-balloon", "reboot", "shutdown")]
    calls.append(registry.call("script", {"text": "true"}))
    guest: Any = SlowGuest()
    running = acted(calls, "running", guest)
    assert [(one.name, one.status) for one in running] == [
        ("cpu-hot-add", "failed"),
        ("memory-balloon", "failed"),
        ("script", "failed"),
    ]
    (reboot,) = acted(calls, "reboot", guest)
    assert reboot.problems == ("the guest was not usable 300 s after it was asked to reboot",)
    (shutdown,) = acted(calls, "shutdown", guest)
    assert shutdown.problems == ("the guest was not off 60 s after it was asked to shut down",)


def test_checks_have_their_turn() -> None:
    calls = [registry.call(name) for name in registry.names() if name not in ("script", "testinfra")]
    guest: Any = SlowGuest()
    turns = {turn: {one.name for one in acted(calls, turn, guest)} for turn in ("running", "reboot", "shutdown")}  # type: ignore[arg-type]
    assert turns["reboot"] == {"reboot"}
    assert turns["shutdown"] == {"shutdown"}
    assert "time-to-login" in turns["running"]
    probes = set(probes_of(calls))
    assert not probes & set().union(*turns.values())
    assert probes | set().union(*turns.values()) == {call.name for call in calls} - {"clones-share-nothing"}


def clones(**more: Any) -> Clones:
    state = CloneState({"/etc/machine-id": "a"}, {}, "localhost")
    return Clones(**{"first": state, "second": state, "seeds": (), "requests_seen": True, **more})


def test_clones_are_compared() -> None:
    calls = [registry.call("clones-share-nothing"), registry.call("swap-off")]
    (found,) = compared(calls, clones)
    assert (found.name, found.status) == ("clones-share-nothing", "failed")
    assert found.problems == ("/etc/machine-id: both clones have the same machine id",)
    ignoring = [registry.call("clones-share-nothing", {"ignore": ["/etc/machine-id"]})]
    assert compared(ignoring, clones)[0].status == "passed"


def test_clones_whose_identities_cannot_be_read() -> None:
    def unreadable() -> Clones:
        raise NotCheckable("the identities of the clones could not be read")

    (found,) = compared([registry.call("clones-share-nothing")], unreadable)
    assert (found.status, found.reason) == ("not checkable", "the identities of the clones could not be read")


def test_clones_without_requests_are_not_checkable() -> None:
    other = CloneState({"/etc/machine-id": "b"}, {}, "localhost")
    (found,) = compared(
        [registry.call("clones-share-nothing")], lambda: clones(second=other, seeds=None, requests_seen=False)
    )
    assert found.status == "not checkable"
    (found,) = compared([registry.call("clones-share-nothing")], lambda: clones(second=other, seeds=["/var/seed"]))
    assert found.problems == ("/var/seed: the image contains a random seed, with which every clone starts",)


def test_a_mark_cannot_be_guessed() -> None:
    guests: list[Any] = [ShellGuest(), ShellGuest()]
    for guest in guests:
        probed(guest, {"a": {"x": "true"}})
    marks = {re.findall(judging.__name__.split(".")[0] + "-[0-9a-f]{16}", guest.scripts[0])[0] for guest in guests}
    assert len(marks) == 2


def test_what_only_follows_from_another_failure_is_not_checkable() -> None:
    def of(name: str, *problems: str) -> CheckResult:
        return CheckResult(name, "failed" if problems else "passed", problems)

    lost = of("network-interface", "eth0 does not exist: the guest has lan0")
    units = of("failed-units", "networking.service has failed")
    several = of("failed-units", "networking.service has failed", "web.service has failed")
    ssh = of("ssh-answers", "the SSH server sends no banner")
    assert judging.settled([units, ssh, of("network-interface")]) == [units, ssh, of("network-interface")]
    found = {one.name: one for one in judging.settled([lost, units, ssh])}
    assert found["network-interface"] == lost
    assert found["failed-units"].status == found["ssh-answers"].status == "not checkable"
    assert found["failed-units"].reason == "networking.service has failed: follows from network-interface"
    assert judging.settled([lost, several])[1] == of("failed-units", "web.service has failed")
