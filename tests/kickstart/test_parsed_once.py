"""A kickstart is parsed once, and what is shared between kickstarts does not leak from one to another."""

from __future__ import annotations

import pytest

from imagebuild.kickstart.parse import parse
from imagebuild.kickstrap.agent import supported

VERSION = supported.KICKSTART_VERSION
_BASE = "clearpart --all\npart / --size=1024 --grow\n"


@pytest.mark.parametrize(
    "text",
    [
        _BASE,
        f"cdrom\n{_BASE}logging --host=a\n",
        f"{_BASE}%post --erroronfail --interpreter=/bin/sh\n%not a section\necho\n%end\n",
        f"{_BASE}%packages --nocore --multilib # comment\nhtop\n%end\n%addon com_redhat_kdump\n%end\n",
        f"{_BASE}%include /tmp/other.ks\n'part' /srv --size=1 --onpart=sda1\n",
    ],
)
def test_what_was_parsed_is_checked_as_if_the_installer_had_read_it(text: str) -> None:
    parsed = parse(text, VERSION)
    assert not parsed.wrong
    read = supported.check(parsed.handler, text)
    assert read
    assert supported.check(parsed.handler, text, scanned=parsed.scanned) == read


def test_a_command_that_a_text_does_not_have_stays_unused() -> None:
    without = parse(_BASE, VERSION).handler
    assert not without.autopart.seen
    assert parse("clearpart --all\nautopart --type=plain\nuser --name=ops\n", VERSION).handler.autopart.seen
    assert not without.autopart.seen
    assert without.user.userList == []
    assert without.method.url is None
