"""ifcfg files: what a shell reads from them afterwards, compared with what it read before."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.network import ifcfg, shell_words

ADDRESS = "52:54:00:AA:BB:08"
UUID = "0b0b0b0b-1111-4222-8333-444444444444"
_IDENTITY = {
    "HWADDR": ADDRESS, "MACADDR": ADDRESS, "LLADDR": ADDRESS.lower(), "UUID": UUID, "DHCP_CLIENT_ID": f"01:{ADDRESS}",
    "DHCPV6_DUID": "00:04:11", "HWADDR_BLACKLIST": f"{ADDRESS} {ADDRESS}",
}  # fmt: skip
_OTHERS = {
    "DEVICE": "ens3", "BOOTPROTO": "dhcp", "NAME": "System ens3 # 1", "IPADDR": "192.0.2.7",
    "BONDING_OPTS": "mode=1 miimon=100;x",
    "EMPTY": "", "DHCP_IAID": "mac", "MTU": "9000", "QUOTES": "it's \"so\"", "LINES": "a\nUUID=no\nb",
}  # fmt: skip


@st.composite
def _word(draw: st.DrawFn, value: str) -> str:
    plain = shell_words.quoted(value)
    double = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`") + '"'
    return draw(st.sampled_from([plain, plain, double, *([f"'{value}'"] if "'" not in value else [])]))


@st.composite
def _files(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from([*_IDENTITY, *_OTHERS]), unique=True, max_size=8))
    statements = [f"{name}={draw(_word((_IDENTITY | _OTHERS)[name]))}" for name in names]
    text = ""
    for one in statements:
        text += draw(st.sampled_from(["", "", " ", "\t", "export "])) + one
        text += draw(
            st.sampled_from(
                ["\n", "\n", "; ", " # a comment\n", f" # {ADDRESS}\n", "\n\n# another\n", " && ", "\n#UUID=x\n"]
            )
        )
    return text + draw(st.sampled_from(["", "true\n", "ONBOOT=yes\n"]))


def _read_by_a_shell(text: str) -> dict[str, str]:
    names = [*_IDENTITY, *_OTHERS, "ONBOOT"]
    script = f"{text}{'true' if text.rstrip().endswith('&&') else ''}\n" + "".join(
        f'printf "%s\\0" "${{{name}-unset}}"\n' for name in names
    )
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={})
    return dict(zip(names, done.stdout.split("\0"), strict=False))


@given(_files())
def test_a_shell_reads_everything_else_as_before(text: str) -> None:
    (edited,) = ifcfg.without_identity({"ifcfg-ens3": text}, {}).texts.values()
    before, after = _read_by_a_shell(text), _read_by_a_shell(edited)
    device = "ens3" if before["HWADDR"] != "unset" and before["DEVICE"] == "unset" else before["DEVICE"]
    assert after == {name: "unset" if name in _IDENTITY else value for name, value in before.items()} | {
        "DEVICE": device
    }
    assert ADDRESS not in edited
    assert ifcfg.without_identity({"ifcfg-ens3": edited}, {}).texts["ifcfg-ens3"] == edited


@given(st.text(max_size=100) | st.text(st.sampled_from("A='\"\\$#;&\n \t()B"), max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert shell_words.edit(text, lambda name, value: (name, value)) == text
    shell_words.edit(text, lambda name, value: None)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a", "a"), ("'a b'", "a b"), ('"a\\"b"', 'a"b'), ("$'a\\'b'", "a'b"), ("a\\ b", "a b"), ("'a'\"b\"c", "abc"),
        ("'", ""), ("\\", ""),
        ('"$HOME"', "$HOME"),
    ],
)  # fmt: skip
def test_words(word: str, value: str) -> None:
    assert shell_words.unquoted(word) == value


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_quoted_is_what_a_shell_reads(value: str) -> None:
    assert shell_words.unquoted(shell_words.quoted(value)) == value
