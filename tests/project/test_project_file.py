"""imagebuild.yaml: what is accepted, and every refusal with its file and line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import RecipeError
from imagebuild.project import uri
from imagebuild.project.load import load, validate
from imagebuild.project.location import Location
from imagebuild.project.model import Project
from imagebuild.recipe.yaml.reader import parse
from imagebuild.schema.document import Document

FILE = "imagebuild.yaml"


def project(text: str) -> Project:
    return validate(parse(text, FILE), Path(FILE))


def problems(text: str) -> list[str]:
    """The problems of a file without its name; the hint follows in brackets."""
    try:
        project(text)
    except RecipeError as error:
        lines = [f"{p} [{p.hint}]" if p.hint else str(p) for p in error.problems]
        return [line.removeprefix(f"{FILE}:") for line in lines]
    return []


def host(keys: str) -> str:
    """A file with one host, whose first key is in line 3."""
    return "hosts:\n  a:\n" + "".join(f"    {line}\n" for line in keys.splitlines())


def storage(keys: str) -> str:
    return host(keys).replace("hosts:", "targets:")


def test_a_host_has_defaults() -> None:
    one = project(host("uri: qemu+ssh://root@kvm1.example.org/system")).hosts["a"]
    assert (one.pool, one.path, one.labels, one.has_shell) == ("default", None, (), True)
    assert (one.insecure, one.sudo, one.identity_file, one.known_hosts_file) == (False, False, None, None)


@pytest.mark.parametrize("written", ["qemu:///session", "qemu+ssh://me@h/session", "qemu:///system"])
def test_a_pool_is_made_only_where_the_project_says(written: str) -> None:
    assert project(host(f"uri: {written}")).hosts["a"].path is None
    assert project(host(f"uri: {written}\npath: /home/me//pool/")).hosts["a"].path == "/home/me/pool"


def test_a_shell_is_where_programs_can_run() -> None:
    assert not project(host("uri: qemu+tls://h/system")).hosts["a"].has_shell
    assert not project(host("uri: qemu:///system\nshell: false")).hosts["a"].has_shell
    assert project(host("uri: qemu:///system\nsudo: true")).hosts["a"].has_shell


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("qemu:///system", uri.LibvirtUri("unix", "/system")),
        ("qemu+unix:///session", uri.LibvirtUri("unix", "/session")),
        ("qemu:///system?socket=/run/x/sock", uri.LibvirtUri("unix", "/system", parameters={"socket": "/run/x/sock"})),
        ("qemu+ssh://h/system", uri.LibvirtUri("ssh", "/system", "h")),
        ("qemu+ssh://build_1@[2001:db8::1]:2222/session",
         uri.LibvirtUri("ssh", "/session", "2001:db8::1", "build_1", 2222)),
        ("qemu+ssh://kvm_1/system?proxy=native&mode=auto",
         uri.LibvirtUri("ssh", "/system", "kvm_1", parameters={"proxy": "native", "mode": "auto"})),
        ("qemu+tls://h:16514/system?pkipath=/etc/pki/x",
         uri.LibvirtUri("tls", "/system", "h", port=16514, parameters={"pkipath": "/etc/pki/x"})),
        ("qemu+ssh://h/system?no_verify=0", uri.LibvirtUri("ssh", "/system", "h")),
    ],
)  # fmt: skip
def test_uris_that_are_accepted(written: str, expected: uri.LibvirtUri) -> None:
    one = project(host(f"uri: {written}")).hosts["a"]
    assert one.parsed == expected
    assert uri.parsed(one.uri) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("qemu+tcp://h/system", "neither encrypts nor verifies"),
        ("qemu+ssh://h/system?no_verify=1", "no_verify=1 accepts any machine"),
        ("qemu+tls://h/system?no_verify=1", "no_verify=1 accepts any machine"),
    ],
)
def test_insecure_connections_need_the_word(written: str, expected: str) -> None:
    (refused,) = problems(host(f"pool: p\nuri: {written}"))
    assert refused.startswith("4: hosts.a.uri: ")
    assert expected in refused
    assert "insecure: true" in refused
    assert problems(host(f"uri: {written}\ninsecure: true")) == []
    assert problems(host(f"uri: {written}\ninsecure: false")) != []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("qemu+libssh2://h/system", "can truncate it; use qemu+ssh"),
        ("qemu+libssh://h/system", "can truncate it; use qemu+ssh"),
        ("qemu+ext:///system?command=/bin/x", "starts a program of the URI"),
        ("qemu+udp://h/system", "the transport 'udp' is unknown"),
        ("qemu://h/system", "write which transport is meant"),
        ("qemu+unix://h/system", "without a host"),
        ("qemu+ssh:///system", "expected the name of a host after qemu+ssh://"),
        ("qemu:///embed?root=/x", "expected /system or /session after the host"),
        ("qemu+ssh://h", "expected /system or /session after the host, found ''"),
        ("qemu+tls://h/session", "by qemu+ssh only"),
        ("qemu+tcp://h/session", "by qemu+ssh only"),
        ("test:///default", "libvirt's QEMU driver"),
        ("xen+ssh://h/system", "libvirt's QEMU driver"),
        ("kvm1.example.org", "expected a libvirt URI such as"),
        ("/system", "expected a libvirt URI such as"),
        ("''", "expected a libvirt URI such as"),
        ("qemu+ssh://h/system#x", "expected a libvirt URI such as"),
        ("5", "expected a libvirt URI such as"),
        ("[]", "expected text, found an empty list"),
        ("", "expected text, found nothing"),
        ('"qemu:///system\\n"', "expected a single line"),
        ('"qemu:///system\\u2028"', "the character U+2028 is not allowed"),
        ("qemu+ssh://-oProxyCommand=x/system", "expected [user@]host[:port]"),
        ("qemu+ssh://-l@h/system", "expected [user@]host[:port]"),
        ("qemu+ssh://a b@h/system", "expected [user@]host[:port]"),
        ("qemu+ssh://h;x/system", "expected [user@]host[:port]"),
        ("qemu+ssh://h:0/system", "expected a port of 1 to 65535, found 0"),
        ("qemu+ssh://h:65536/system", "expected a port of 1 to 65535, found 65536"),
        ("qemu+ssh://h/system?keyfile=k", "identity_file"),
        ("qemu+ssh://h/system?known_hosts=k", "known_hosts_file"),
        ("qemu+ssh://h/system?command=/bin/x", "ssh is started from PATH"),
        ("qemu+ssh://h/system?sshauth=none", "identity_file"),
        ("qemu+ssh://h/system?name=qemu:///embed", "by the path of the URI"),
        ("qemu+ssh://h/system?x=1", "unknown parameter 'x' in the URI; known for this transport: socket"),
        ("qemu+ssh://h/system?socket", "unknown parameter 'socket'"),
        ("qemu+tcp://h/system?socket=/x", "known for this transport: none"),
        ("qemu+ssh://h/system?no_verify=2", "has an invalid value: '2'"),
        ("qemu+ssh://h/system?socket=x", "has an invalid value: 'x'"),
        ("qemu+ssh://h/system?netcat=-x", "has an invalid value"),
        ('"qemu+ssh://h/system?netcat=nc;reboot"', "has an invalid value"),
        ("qemu+ssh://h/system?no_verify=0&no_verify=1", "occurs twice"),
        ("qemu+ssh://h/system?proxy=native&netcat=nc", "netcat is not used with proxy=native"),
        ("qemu+ssh://h/system?&", "unknown parameter ''"),
    ],
)
def test_uris_that_are_refused(written: str, expected: str) -> None:
    (refused,) = problems(host(f"uri: {written}"))
    assert refused.startswith("3: hosts.a.uri: ")
    assert expected in refused


SECRETS = [
    "://u:hunter2@h/system",
    "://u%3Ahunter2@h/system",
    "://u:hunter2/x@h/system",
    "://u@x:hunter2@h/system",
    "://hunter2:@h/system",
    "://h/hunter2@system",
    ":u:hunter2@h",
]


@pytest.mark.parametrize("rest", SECRETS)
@pytest.mark.parametrize(
    "entry",
    [
        "hosts:\n  a: {{uri: 'qemu+ssh{}'}}\n",
        "targets:\n  a: {{url: 'sftp{}?'}}\n",
        "targets:\n  a: {{url: 's3{}'}}\n",
        "targets:\n  a: {{url: 's3://bbb/c', endpoint: 'https{}'}}\n",
    ],
    ids=["uri", "sftp", "s3", "endpoint"],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(entry: str, rest: str) -> None:
    found = problems(entry.format(rest))
    assert found
    assert "hunter2" not in "\n".join(found)
    if rest == SECRETS[0]:
        assert "password" in found[0]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("pool: p", "2: hosts.a.uri: this key is required but missing"),
        ("uri: qemu:///system\npool: a/b", "4: hosts.a.pool: expected a name of letters"),
        ("uri: qemu:///system\npool: ..", "4: hosts.a.pool: expected a name of letters"),
        (
            "uri: qemu:///system\npath: images",
            "4: hosts.a.path: expected an absolute path without '..', found 'images'",
        ),
        ("uri: qemu:///system\npath: /a/../b", "4: hosts.a.path: expected an absolute path without '..'"),
        ("uri: qemu:///system\npath: /", "4: hosts.a.path: expected an absolute path without '..'"),
        ("uri: qemu:///system\nlabels: dc1", "4: hosts.a.labels: expected a list, found 'dc1'"),
        ("uri: qemu:///system\nlabels: [a b]", "4: hosts.a.labels[0]: expected a name of letters"),
        ("uri: qemu:///system\nsudo: perhaps", "4: hosts.a.sudo: expected true or false, found 'perhaps'"),
        ("uri: qemu:///system\nidentity_file: k", "4: hosts.a.identity_file: this is for qemu+ssh only"),
        ("uri: qemu+tls://h/system\nknown_hosts_file: k", "4: hosts.a.known_hosts_file: this is for qemu+ssh only"),
        ("uri: qemu+ssh://h/system\nknown_hosts_file: /dev/null", "4: hosts.a.known_hosts_file: with /dev/null"),
        ("uri: qemu+ssh://h/system\nidentity_file: ''", "4: hosts.a.identity_file: expected the path of a file"),
        ("uri: qemu+tls://h/system\nsudo: true", "4: hosts.a.sudo: sudo needs a shell on the host"),
        ("uri: qemu+ssh://h/system\nshell: false\nsudo: true", "5: hosts.a.sudo: sudo needs a shell on the host"),
        ("uri: qemu+ssh://h/session\nsudo: true", "4: hosts.a.sudo: sudo is not for a session"),
        ("uri: qemu:///system\npol: x", "4: hosts.a.pol: unknown key 'pol' [did you mean 'pool'?]"),
    ],
)
def test_other_keys_of_a_host_that_are_refused(keys: str, expected: str) -> None:
    (refused,) = problems(host(keys))
    assert refused.startswith(expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/srv/images", Location("folder", "/srv/images")),
        ("../images", Location("folder", "../images")),
        ("~/images", Location("folder", "~/images")),
        ("file:///srv/my%20images/", Location("folder", "/srv/my images")),
        ("sftp://h/srv", Location("sftp", "/srv", "h")),
        ("sftp://me@[::1]:2222/srv/a%40b", Location("sftp", "/srv/a@b", "::1", "me", 2222)),
        ("s3://golden-images", Location("s3", "", "golden-images")),
        ("s3://golden-images/a/b/", Location("s3", "a/b", "golden-images")),
    ],
)
def test_targets_that_are_accepted(written: str, expected: Location) -> None:
    assert project(storage(f"url: {written}")).targets["a"].parsed == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("region: x", "2: targets.a.url: this key is required but missing"),
        ("url: ''", "3: targets.a.url: expected the path of a folder"),
        ("url: sftp:/srv", "3: targets.a.url: expected the path of a folder"),
        ("url: 'a b://x'", "3: targets.a.url: expected the path of a folder"),
        ("url: ftp://h/x", "3: targets.a.url: expected the path of a folder, or a URL such as"),
        ("url: https://h/x", "3: targets.a.url: nothing can be published to a web server"),
        ("url: file://h/x", "3: targets.a.url: a file URL is on this machine"),
        ("url: file:///../x", "3: targets.a.url: expected an absolute path after file:// without '..'"),
        ("url: file:///%2e%2e/x", "3: targets.a.url: expected an absolute path after file:// without '..'"),
        ("url: file:///a%0Ab", "3: targets.a.url: the path of the URL contains a character that is not allowed"),
        ("url: file:///a%FFb", "3: targets.a.url: the path of the URL contains a character that is not allowed"),
        ("url: sftp://h", "3: targets.a.url: expected an absolute path after the host"),
        ("url: sftp:///srv", "3: targets.a.url: expected [user@]host[:port]"),
        ("url: sftp://-x/srv", "3: targets.a.url: expected [user@]host[:port]"),
        ("url: sftp://h/srv?x", "3: targets.a.url: the URL of a target has no part after '?' or '#'"),
        ("url: 'sftp://h/srv#x'", "3: targets.a.url: the URL of a target has no part after '?' or '#'"),
        ("url: s3://A/b", "3: targets.a.url: expected the name of a bucket after s3://: 3 to 63 lower-case"),
        ("url: s3://a..b/b", "3: targets.a.url: expected the name of a bucket"),
        ("url: s3://bbb/../x", "3: targets.a.url: expected a prefix of letters"),
        ("url: s3://bbb/a//x", "3: targets.a.url: expected a prefix of letters"),
        ("url: s3://bbb\nendpoint: http://h", "4: targets.a.endpoint: http encrypts nothing"),
        ("url: s3://bbb\nendpoint: h:9000", "4: targets.a.endpoint: expected a URL such as"),
        ("url: s3://bbb\naccess_key: AKIA", "4: targets.a.access_key: this file must not contain a secret"),
        ("url: s3://bbb\naccess_key: {env: A}", "2: targets.a: expected both access_key and secret_key, or neither"),
        ("url: s3://bbb\nsecret_key: {}", "4: targets.a.secret_key: expected exactly one of env and file"),
        ("url: s3://bbb\nidentity_file: k", "4: targets.a.identity_file: this is for sftp:// only"),
        ("url: /srv\nregion: x", "4: targets.a.region: this is for s3:// only"),
        ("url: sftp://h/x\nknown_hosts_file: /dev/null", "4: targets.a.known_hosts_file: with /dev/null"),
        ("url: /srv\nuri: x", "4: targets.a.uri: unknown key 'uri' [did you mean 'url'?]"),
    ],
)
def test_targets_that_are_refused(keys: str, expected: str) -> None:
    (refused,) = problems(storage(keys))
    assert refused.startswith(expected)


def test_an_endpoint_without_tls_needs_the_word() -> None:
    assert problems(storage("url: s3://bbb\nendpoint: http://127.0.0.1:9000\ninsecure: true")) == []


KEYS = "its keys are hosts, targets, groups, nightly, farm, store, trust"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hots: {}\n", ["1: hots: unknown key 'hots' [did you mean 'hosts'?]"]),
        ("- a\n", [f"1: expected a mapping of keys, found a list [{KEYS}]"]),
        ("text\n", [f"1: expected a mapping of keys, found 'text' [{KEYS}]"]),
        ("hosts: [a]\n", ["1: hosts: expected a mapping of keys, found a list"]),
        ("hosts:\n  a:\n", ["2: hosts.a: expected a mapping of keys, found nothing"]),
        ("hosts:\n  a: qemu:///system\n", ["2: hosts.a: expected a mapping of keys, found 'qemu:///system'"]),
        ("hosts:\n  a: {uri: qemu:///system}\n  a: {uri: qemu:///session}\n",
         ["3: hosts.a: duplicate key 'a'; first in line 2 [remove one of the two]"]),
        ("hosts:\n  a: {uri: qemu:///system}\n  b: {uri: 'qemu+unix:///system'}\n",
         ["3: hosts.b.uri: this is the same host and pool as 'a'"]),
        ("targets:\n  a: {url: /srv}\n  b: {url: /srv}\n", ["3: targets.b.url: this is the same place as 'a'"]),
        ("targets:\n\n  all:\n    url: /srv\n",
         ["3: targets.all: the name 'all' is reserved: it means all hosts and targets"]),
        ("hosts:\n  a: {uri: qemu:///system}\ntargets:\n  a: {url: /srv}\n",
         ["4: targets.a: the name 'a' is also used in hosts"]),
        ("targets:\n  a: {url: /srv}\ngroups:\n  a: [a]\n",
         ["4: groups.a: the name 'a' is also used in targets", "4: groups.a[0]: this group contains itself: a → a"]),
        ("targets:\n  kvm1: {url: /srv}\ngroups:\n  g:\n  - kvm1\n  - kvm2\n",
         ["6: groups.g[1]: there is no host, target or group 'kvm2' [did you mean 'kvm1'?]"]),
        ("groups:\n  a: [b]\n  b: [c]\n  c:\n  - a\n", ["5: groups.c[0]: this group contains itself: a → b → c → a"]),
        ("groups:\n  g: [all]\n", ["2: groups.g[0]: there is no host, target or group 'all' [known: g]"]),
        ("groups:\n  g: a\n", ["2: groups.g: expected a list, found 'a' [write g: [a]]"]),
        ("groups:\n  g: [[a]]\n", ["2: groups.g[0]: expected text, found a list"]),
    ],
)  # fmt: skip
def test_files_and_names_that_are_refused(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize("name", ["label=x", "a/b", "a,b", "-x", ".", "a b", "x" * 64, "ä"])
def test_names_that_no_entry_can_have(name: str) -> None:
    (refused,) = problems(f"targets:\n  '{name}': {{url: /srv}}\n")
    assert refused.startswith(f"2: targets.{name}: expected a name of letters")


def test_all_problems_of_a_file_are_reported_together() -> None:
    text = (
        "hosts:\n  a:\n    uri: qemu+tcp://h/system\n    pool: a/b\n    labls: []\n  b: {uri: qemu:///embed}\n"
        "targets:\n  a: {url: s3://bbb, endpoint: http://h}\ngroups:\n  g: [c, g]\nx: 1\n"
    )
    assert [line.partition(": ")[2].partition(":")[0] for line in problems(text)] == [
        "hosts.a.uri", "hosts.a.pool", "hosts.a.labls", "hosts.b.uri", "targets.a.endpoint", "targets.a",
        "groups.g[0]", "groups.g[1]", "x",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "# only comments\n", "hosts:\ntargets:\ngroups:\n", "groups:\n  g:\n"])
def test_an_empty_file_is_an_empty_project(text: str) -> None:
    assert not project(text).entries


def test_loading_says_where_entries_are_and_what_paths_are_relative_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    absent = load(None)
    assert (absent.exists, absent.file, absent.entries) == (False, Path(FILE), {})
    (tmp_path / FILE).write_text("hosts:\n\n  a: {uri: qemu:///system}\n")
    made = load(None)
    assert (made.exists, made.folder, made.place("hosts", "a").key) == (True, tmp_path, 3)
    assert load(tmp_path / FILE).hosts == made.hosts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none.yaml", "none.yaml: there is no such file"),
        ("folder", "folder: this is a folder, not a file"),
        ("bytes.yaml", "bytes.yaml:2: this is not UTF-8 text"),
        ("two.yaml", "two.yaml:2: the file is one YAML document, and a second one begins here"),
        ("tab.yaml", "tab.yaml:2: a tab cannot indent YAML"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("bytes.yaml").write_bytes(b"hosts:\n  \xff: x\n")
    Path("two.yaml").write_text("hosts:\n---\n")
    Path("tab.yaml").write_text("hosts:\n\ta: x\n")
    with pytest.raises(RecipeError) as refused:
        load(Path(name))
    assert str(refused.value) == expected


def test_a_link_to_nowhere_is_not_an_absent_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(FILE).symlink_to("nowhere")
    with pytest.raises(RecipeError, match="there is no such file"):
        load(None)


WORD = st.sampled_from(
    ["hosts", "targets", "groups", "a", "all", "uri", "url", "insecure", "true", "qemu+ssh://", "s3://bbb", "@", ":",
     "%zz", "?no_verify=1", "{", "}", "[", "]", ",", "\n", "\n  ", "\n    ", ": ", "- ", "'", "&x", "*x", "é", "\ud800"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(WORD, max_size=25).map("".join)))
def test_hostile_files_are_problems_and_not_tracebacks(text: str) -> None:
    with suppress(RecipeError):
        project(text)


@given(st.one_of(st.text(max_size=60), st.lists(WORD, max_size=8).map("".join)))
def test_hostile_values_are_problems_and_not_tracebacks(text: str) -> None:
    data = {
        "hosts": {text: {"uri": text, "pool": text}},
        "targets": {"t": {"url": text, "endpoint": text}},
        "groups": {text: [text]},
    }
    with pytest.raises(RecipeError) as refused:
        validate(Document.of(FILE, data), Path(FILE))
    assert all(problem.line for problem in refused.value.problems)
