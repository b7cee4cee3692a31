"""Every value of a recipe arrives unchanged in the parsed kickstart, or is refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kickstarts import PACKAGES, RECIPE, checked, recipe, render_shipped
from pykickstart.parser import KickstartParser
from pykickstart.version import returnClassForVersion

from imagebuild.errors import RecipeError
from imagebuild.kickstart.environment import KickstartEnvironment
from imagebuild.recipe.load import validate
from imagebuild.recipe.secrets import SampleSecrets
from imagebuild.schema.document import Document
from imagebuild.schema.section import SecretRef

FEW = settings(max_examples=settings.default.max_examples // 3)  # pykickstart takes at least 20 ms to start
NASTY = st.text(
    st.sampled_from("ab-_.=%#'\"\\$`;&|<>(){}[]*?!~@^ \n\r\t\x0b\x0c\x85\u2028\x00é:/,+0"), min_size=1, max_size=12
)
TEMPLATE = """\
network --hostname={{ variables.value }}
part / --fstype=ext4 --size=1 --label={{ variables.value }}
bootloader --append={{ variables.value }}
rootpw --iscrypted {{ positional }}
user --name=admin --gecos={{ variables.value }}
%packages
%end
%post
echo {{ variables.value }} {{ variables.value }}
%end
"""


@cache
def handler_class() -> Any:
    return returnClassForVersion("RHEL10")


@FEW
@given(NASTY)
def test_any_value_of_a_variable(tmp_path: Path, value: str) -> None:
    (tmp_path / "t.ks.j2").write_text(TEMPLATE)
    os = {"family": "debian", "version": "13", "codename": "trixie"}
    raw = {"name": "n", "os": os, "kickstart": {"template": "t.ks.j2"}, "variables": {"value": value}}
    try:
        made = validate(Document.of("small.yaml", raw), Path("small.yaml"))
    except RecipeError as error:
        (problem,) = error.problems
        assert problem.where == "variables.value"
        return
    # argparse takes a word with a leading hyphen for an option, however it is quoted.
    positional = "x" if value.startswith("-") else value
    text = (
        KickstartEnvironment([tmp_path]).get_template("t.ks.j2").render(variables=made.variables, positional=positional)
    )
    handler = handler_class()()
    KickstartParser(handler).readKickstartFromString(text)
    assert handler.rootpw.password == positional
    assert handler.network.network[0].hostname == value
    assert handler.partition.partitions[0].label == value
    assert handler.bootloader.appendLine == value
    assert handler.user.userList[0].gecos == value
    assert len(handler.scripts) == 1
    assert (len(handler.partition.partitions), len(handler.user.userList)) == (1, 1)


@FEW
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "hostname": NASTY | st.from_regex(r"[a-z]([a-z0-9.-]{0,12}[a-z])?", fullmatch=True),
            "device": NASTY | st.just("ens3"),
            "timezone": NASTY | st.just("Europe/Berlin"),
            "keyboard": NASTY | st.just("de"),
            "package": NASTY | st.from_regex(r"[a-z][a-z0-9+.-]{1,9}", fullmatch=True),
            "argument": NASTY | st.from_regex(r"[a-z.]{1,8}=[a-z0-9,]{1,8}", fullmatch=True),
        },
    )
)
def test_any_value_of_the_recipe_itself(values: dict[str, str]) -> None:
    data = {
        "name": "n",
        "os": {"family": "debian", "version": "13", "codename": "trixie"},
        "network": {key: values[key] for key in ("hostname", "device") if key in values},
        "locale": {key: values[key] for key in ("timezone", "keyboard") if key in values},
        "packages": [values["package"]] if "package" in values else [],
        "kernel_arguments": [values["argument"]] if "argument" in values else [],
    }
    try:
        made = validate(Document.of("small.yaml", data), Path("small.yaml"))
        # The installer may support less than the language, but then it reports that.
        parsed = checked(render_shipped(made))
    except RecipeError:
        return
    handler = parsed.handler
    assert handler.network.network[0].hostname == values.get("hostname", "localhost")
    assert handler.network.network[0].device == values.get("device", "eth0")
    assert handler.timezone.timezone == values.get("timezone", "UTC")
    assert handler.keyboard.keyboard == values.get("keyboard", "us")
    assert handler.bootloader.appendLine == values.get("argument", "")
    assert set(data["packages"]) <= set(parsed.packages)
    assert len(handler.scripts) == 1
    assert handler.scripts[0].errorOnFail


class GivenSecrets(SampleSecrets):
    """Returns the test's password hash."""

    def __init__(self, value: str) -> None:
        self.value = value

    def password_hash(self, ref: SecretRef, at: object) -> str:
        return self.value


@FEW
@given(st.from_regex(r"\$[0-9a-z]{1,2}\$[A-Za-z0-9./$=,]{8,40}", fullmatch=True))
def test_any_password_hash(value: str) -> None:
    made = recipe("root: {password: {env: PW}}\n", RECIPE.replace("t.ks.j2", "debian.ks.j2"))
    handler = checked(render_shipped(made, PACKAGES, GivenSecrets(value))).handler
    assert (handler.rootpw.password, handler.rootpw.isCrypted, handler.rootpw.lock) == (value, True, False)


@pytest.mark.parametrize("value", ["x\nrootpw --plaintext y", "x\r", "x\x85lang C", "x\u2028lang C"])
def test_what_would_end_a_line_is_refused_by_the_encoder_too(value: str) -> None:
    made = recipe("root: {password: {env: PW}}\n", RECIPE.replace("t.ks.j2", "debian.ks.j2"))
    with pytest.raises(RecipeError, match="it could end the line"):
        render_shipped(made, PACKAGES, GivenSecrets(value))
