"""Users: what a recipe may set, and what is refused."""

from __future__ import annotations

import pytest

from recipes import problems, recipe

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin@example"


def test_a_user_is_locked_and_has_a_shell_by_default() -> None:
    (user,) = recipe("users: [{name: ops}]").users
    assert (user.password, user.ssh_keys, user.sudo, user.shell, user.uid) == (None, (), False, "/bin/bash", None)


def test_every_key_of_a_user() -> None:
    user_keys = (
        f"{{name: ops, password: {{env: PW}}, ssh_keys: ['{KEY}', {{file: ops.pub}}], groups: [adm, docker],"
        " sudo: true, uid: 2001, gid: 2002, shell: /bin/sh, gecos: 'Ops, first shift'}"
    )
    (user,) = recipe(f"users: [{user_keys}]").users
    assert str(user.password) == "environment variable PW"
    assert (user.ssh_keys[0], str(user.ssh_keys[1])) == (KEY, "file ops.pub")
    assert (user.groups, user.uid, user.gid, user.shell, user.gecos) == (
        ("adm", "docker"), 2001, 2002, "/bin/sh", "Ops, first shift",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ("[{}]", "users[0].name: this key is required but missing"),
        ("[{name: Ops}]", (
            "users[0].name: expected an account name of lower-case letters, digits, '_' and '-' "
            "(at most 32 characters) such as ops, found 'Ops'"
        )),
        ("[{name: root}]", "users[0].name: root exists in every guest [use the section root: instead]"),
        ("[{name: a}, {name: a}]", "users[1].name: another user has the name 'a'"),
        ("[{name: a, uid: 7}, {name: b, uid: 7}]", "users[1].uid: another user has the uid 7"),
        ("[{name: a, gid: 7}, {name: b, gid: 7}]", "users[1].gid: another user has the gid 7"),
        ("[{name: a, uid: 0}]", "users[0].uid: expected at least 1, found 0"),
        ("[{name: a, uid: '7'}]", "users[0].uid: expected a whole number, found '7'"),
        ("[{name: a, groups: [x, x]}]", "users[0].groups[1]: 'x' is listed twice [remove one of the two]"),
        ("[{name: a, groups: [a]}]", "users[0].groups[0]: this is the account's primary group; it is already a member"),
        ("[{name: a, groups: ['x,root']}]", (
            "users[0].groups[0]: expected an account name of lower-case "
            "letters, digits, '_' and '-' (at most 32 characters) such as ops, found 'x,root'"
        )),
        ("[{name: a, gecos: 'a:b'}]", (
            "users[0].gecos: expected a comment without ':' (at most 200 "
            "characters), found 'a:b'"
        )),
        ('[{name: a, gecos: "a\\nb"}]', "users[0].gecos: expected a single line, found text with a line break"),
        ("[{name: a, shell: bash}]", "users[0].shell: expected the path of a shell such as /bin/bash, found 'bash'"),
        ("[{name: a, password: secret}]", (
            "users[0].password: this file must not contain a secret; use {env: "
            "NAME} or {file: PATH}"
        )),
        ("[{name: a, ssh_keys: [ssh-ed25519]}]", (
            "users[0].ssh_keys[0]: expected an SSH public key such as "
            "'ssh-ed25519 AAAA… name'; the base64 data is not a complete ssh-ed25519 key"
        )),
        ("[{name: a, sudo: maybe}]", "users[0].sudo: expected true or false, found 'maybe'"),
        ("[{name: a, home: /x}]", (
            "users[0].home: unknown key 'home' [known: name, password, ssh_keys, groups, "
            "sudo, uid, gid, shell, gecos]"
        )),
    ],
)  # fmt: skip
def test_refused(users: str, message: str) -> None:
    assert problems(f"users: {users}\n") == [f"small.yaml:3: {message}"]
