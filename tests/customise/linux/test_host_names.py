"""A machine's own name in files: it is removed wherever it is used, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.linux import host_names
from imagebuild.customise.linux.host_names import Names

NAMES = Names.of({"web01.example.com"})
_WORDS = (
    "web01",
    "web01.example.com",
    "WEB01",
    "web010",
    "web01-storage",
    "db",
    "localhost",
    "web01.example.org",
    "example.com",
)
_OWN = {"web01", "web01.example.com", "WEB01"}
_ADDRESSES = ("127.0.0.1", "127.0.1.1", "10.1.2.3", "::1", "2001:db8::1")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_ADDRESSES),
            st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4),
            st.sampled_from([" ", "\t", "   "]),
        )
    )
)
def test_hosts(lines: list[tuple[str, list[str], str]]) -> None:
    text = "".join(f"{address}{blank}{blank.join(words)}\n" for address, words, blank in lines)
    after = host_names.hosts(text, NAMES)
    kept = [(address, [word for word in words if word not in _OWN]) for address, words, _ in lines]
    assert [(line.split()[0], line.split()[1:]) for line in after.splitlines()] == [one for one in kept if one[1]]
    assert host_names.hosts(after, NAMES) == after
    if not any(word in _OWN for _, words, _ in lines for word in words):
        assert after == text


@given(st.text(max_size=200) | st.text(st.sampled_from("myhostname=web01 #\n\t,:;'ARRAY"), max_size=100))
def test_where_there_is_no_name_nothing_changes(text: str) -> None:
    nobody = Names.of({"localhost"})
    assert not nobody.all
    for change in (host_names.hosts, *host_names.FILES.values()):
        assert change(text, nobody) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web01\n", "web01"),
        ("# ours\n\n web01.example.com \n", "web01.example.com"),
        ("", ""),
        ("127.0.0.1 localhost\n", ""),
        ("a\nb\n", ""),
        ("4fb1a1c2d3e4f5061728394a5b6c7d8e\n", "4fb1a1c2d3e4f5061728394a5b6c7d8e"),
        ("web 01\n", ""),
    ],
)
def test_first_name(text: str, name: str) -> None:
    assert host_names.first_name(text) == name


@given(
    st.lists(
        st.sampled_from(
            ["$myhostname", "web01.example.com", "web01", "localhost", "example.com", "localhost.$mydomain"]
        ),
        min_size=1,
    )
)
def test_destinations(words: list[str]) -> None:
    text = f"mydestination = {', '.join(words[:2])},\n    {' '.join(words[2:])}\nrelayhost = web01\n"
    after = host_names.main_cf(text, NAMES)
    kept = [word for word in words if word not in _OWN]
    if kept == words:
        assert after == text
    else:
        assert after == f"mydestination = {', '.join(kept)}\nrelayhost = web01\n"
