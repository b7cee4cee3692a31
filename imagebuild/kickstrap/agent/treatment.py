"""What kickstrap does with a command, an option or a section of a kickstart: one of three things,
with the reason.

``DONE``: it is carried out. ``NOTED``: it is read and has no effect on Debian, which is a warning.
``REFUSED``: an error. Whatever is in no table is refused too, so that an option that a later
pykickstart adds cannot go unnoticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE, NOTED, REFUSED = "done", "noted", "refused"


class CommandOutcome(NamedTuple):
    """What happens to something; ``why`` is empty if it is done, and says what to write instead if
    it is refused.
    """

    kind: str
    why: str = ""


UNKNOWN = CommandOutcome(REFUSED)


class Treatment(NamedTuple):
    """The outcome of a command or section itself, and of its ``options`` by name.

    With ``others`` that is the outcome of every option that is not in ``options``.
    """

    itself: CommandOutcome
    options: Mapping[str, CommandOutcome]
    others: CommandOutcome = UNKNOWN

    def of(self, option: str) -> CommandOutcome:
        """The outcome of an option, such as ``--size``."""
        return self.options.get(option, self.others)

    def named(self, kind: str) -> list[str]:
        """The names of the options with this outcome, sorted."""
        return sorted(name for name, outcome in self.options.items() if outcome.kind == kind)


def done(
    options: str = "", *, noted: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None
) -> Treatment:
    """A command that is carried out with these options, separated by spaces. ``noted`` and
    ``refused`` map further ones, several in one key, to the reason.
    """
    outcomes = dict.fromkeys(options.split(), CommandOutcome(DONE))
    for kind, reasons in ((NOTED, noted or {}), (REFUSED, refused or {})):
        for names, why in reasons.items():
            for name in names.split():
                if name in outcomes:
                    raise ValueError(f"{name} has two outcomes")
                outcomes[name] = CommandOutcome(kind, why)
    return Treatment(CommandOutcome(DONE), outcomes)


def noted(why: str) -> Treatment:
    """A command that has no effect on Debian, whatever its options."""
    outcome = CommandOutcome(NOTED, why)
    return Treatment(outcome, {}, outcome)


def refused(instead: str) -> Treatment:
    """A command that is an error, whatever its options; ``instead`` says what to write."""
    outcome = CommandOutcome(REFUSED, instead)
    return Treatment(outcome, {}, outcome)
