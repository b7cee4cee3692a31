"""Every text field of a recipe that a kickstart can contain: it arrives unchanged in the parsed
kickstart, or is refused.

The fields come from the model; a new one fails here until it has a sample value.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kickstarts import LIVEIMG, render_shipped
from pydantic import BaseModel

from imagebuild.errors import RecipeError
from imagebuild.kickstart.parse import Kickstart, parse
from imagebuild.kickstart.render import CdromPayload
from imagebuild.recipe.load import validate
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.document import Document
from imagebuild.schema.findings import models
from imagebuild.schema.section import SecretRef

SECTIONS = (
    "name",
    "description",
    "os",
    "locale",
    "network",
    "root",
    "users",
    "services",
    "tuning",
    "kernel_arguments",
    "packages",
)
FIELDS = {
    "locale.language": "de_DE.UTF-8", "locale.keyboard": "de", "locale.timezone": "Europe/Paris",
    "network.hostname": "web1.example.org", "network.device": "ens3", "network.address": "192.0.2.10",
    "network.netmask": "255.255.255.0", "network.gateway": "192.0.2.1", "network.nameservers": "192.0.2.53",
    "root.ssh_keys": "", "users.ssh_keys": "", "users.name": "admin", "users.groups": "ops", "users.shell": "/bin/dash",
    "users.gecos": "A Person", "services.enabled": "chrony", "services.disabled": "cron",
    "tuning.tuned_profile": "virtual-guest",
    "kernel_arguments": "quiet", "packages": "tree", "name": "web", "description": "one line",
}  # fmt: skip
"""A valid value for each; SSH keys have separate tests."""
NOT_IN_KICKSTARTS = {"os.version", "os.codename", "os.osinfo"}
"""They decide what is written, and appear only in comments and addresses, if at all."""
TRIED = sorted(field for field, value in FIELDS.items() if value)
NASTY = st.text(
    st.sampled_from("ab-_.=%#'\"\\$`;&|<>(){}[]*?!~@^ \n\r\t\x0b\x0c\x85\u2028\x00é:/,+0"), min_size=1, max_size=12
)


def texts(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The fields of a model that contain text, or lists of text."""
    for name, field in model.model_fields.items():
        if not prefix and name not in SECTIONS:
            continue
        inner = [one for one in models(field.annotation) if one is not SecretRef]
        if inner:
            yield from texts(inner[0], f"{prefix}{name}.")
        elif _holds_text(field.annotation):
            yield prefix + name


def _holds_text(annotation: Any) -> bool:
    return annotation in (str, IPv4Address) or any(_holds_text(one) for one in get_args(annotation))


def test_every_text_of_the_model_is_tried() -> None:
    assert set(texts(Recipe)) == set(FIELDS) | NOT_IN_KICKSTARTS


def data(family: str, field: str, value: str) -> dict[str, Any]:
    """A recipe with everything that a kickstart can contain, and ``value`` in one of its fields."""
    rocky = {"family": "redhat", "distribution": "rocky", "version": "9"}
    made: dict[str, Any] = {
        "name": "web",
        "os": {"family": "debian", "version": "13", "codename": "trixie"} if family == "debian" else rocky,
        "installer": {} if family == "debian" else {"source": {"iso": "a.iso", "sha256": "0" * 64}},
        "kickstart": {"template": f"{family}.ks.j2"},
        "network": {"bootproto": "static", "address": "192.0.2.10", "netmask": "255.255.255.0"},
        "users": [{"name": "admin", "sudo": True}],
    }
    *sections, key = field.split(".")
    place = made
    for section in sections:
        place = place.setdefault(section, {})
        place = place[0] if isinstance(place, list) else place
    lists = (
        "network.nameservers",
        "users.groups",
        "services.enabled",
        "services.disabled",
        "kernel_arguments",
        "packages",
    )
    place[key] = [value] if field in lists else value
    return made


def kickstart(family: str, field: str, value: str) -> Kickstart | None:
    """The shipped template rendered with that value; None if it is refused."""
    try:
        recipe = validate(Document.of("small.yaml", data(family, field, value)), Path("small.yaml"))
        text = render_shipped(recipe, LIVEIMG if family == "debian" else CdromPayload()).text
    except RecipeError:
        return None
    return parse(text, "RHEL10" if family == "debian" else "RHEL9")


def words(parsed: Kickstart) -> set[str]:
    """All words of commands, package lists and scripts, and the parts of words after = and between
    commas.
    """
    found = [word for command in parsed.commands for word in command.words]
    for section in parsed.sections:
        for _, line in section.body:
            found += shlex.split(line, comments=True) if _is_whole(line) else [line]
    parts = {*found, *(word.partition("=")[2] for word in found)}
    return {
        *parts,
        *(item for part in parts for item in re.split(r"[, ]", part)),
        *(part.split(",")[0].partition("/")[0] for part in parts),
        *(Path(part).name.removesuffix(".nmconnection") for part in parts if part.startswith("/")),
    }


def _is_whole(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def shape(parsed: Kickstart) -> list[tuple[str, int]]:
    """What a value must not change: the commands, and the sections with their numbers of lines."""
    commands = [(command.name, 0) for command in parsed.commands]
    return commands + [(section.name, len(section.body)) for section in parsed.sections]


@pytest.mark.parametrize("family", ["debian", "redhat"])
@pytest.mark.parametrize("field", TRIED)
@settings(max_examples=max(8, settings.default.max_examples // 3))
@given(drawn=st.data())
def test_a_value_arrives_unchanged_or_is_refused(family: str, field: str, drawn: st.DataObject) -> None:
    good = FIELDS[field]
    plain = kickstart(family, field, good)
    assert plain is not None
    assert not plain.wrong
    value = drawn.draw(NASTY | st.just(good) | NASTY.map(lambda text: good + text))
    parsed = kickstart(family, field, value)
    if parsed is None:
        return
    assert not parsed.wrong
    assert shape(parsed) == shape(plain)
    if field not in ("name", "description"):  # they appear in comments, if at all
        assert value in words(parsed)
