"""A password or passphrase is in plain text.

Copies of the kickstart remain: in the guest, where the installer stores it
(`/root/anaconda-ks.cfg`, `/root/original-ks.cfg`), in logs, in version control. Whoever reads one
has the password of every clone. Without `--iscrypted` a password counts as plain text, and so does
a word behind `--iscrypted` that is no hash. The rule looks at what pykickstart makes of a line, so
abbreviated options count too: at passwords, passphrases, activation keys, Wi-Fi keys, at addresses
with a user and a password, and at passwords that scripts set. In a recipe, write `root: {password:
{env: NAME}}`, which is hashed before it is written to the kickstart. Otherwise lock the account
(`rootpw --lock`) and use SSH keys, or write the output of `openssl passwd -6`, with `--iscrypted`.
A disk passphrase has no hashed form: in a recipe, write `encryption: {passphrase: {file: PATH}}`, and
in the template `--passphrase={{ encryption.passphrase }}`. All clones of a template share it, and the key
of the disk too, until they change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imagebuild.errors import Severity
from imagebuild.kickstart.credentials import in_address, in_script, is_hash, is_placeholder
from imagebuild.kickstart.divide import SCRIPTS
from imagebuild.kickstart.parsed import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.log import is_hidden
from imagebuild.schema.by_identity import by_identity

SEVERITY: Severity = "error"
_ACCOUNTS = ("rootpw", "user", "sshpw", "bootloader")
"""Commands that take a hash with --iscrypted."""
_SECRETS = (
    "--activation-key",
    "--hw-passphrase",
    "--one-time-password",
    "--passphrase",
    "--password",
    "--reverse-password",
    "--wepkey",
    "--wpakey",
)
"""Options of any command whose value is a secret."""
_HASH = "write a hash, with --iscrypted"
_REMOVE = "remove it"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every command and script with a secret; the message does not contain it."""
    for command in kickstart.commands:
        yield from _of_account(command, target) if command.name in _ACCOUNTS else _options(command, target)
        if "@" in kickstart.text:
            yield from _addresses(command)
    for section in kickstart.sections:
        if section.name in SCRIPTS:
            yield from (Said(line, message, hint) for line, message, hint in in_script(section.body))


def _of_account(command: Command, target: KickstartTarget) -> Iterator[Said]:
    password = _password(command)
    if not password:
        return
    if command.has("--plaintext") or not command.has("--iscrypted", "--md5pass"):
        yield Said(command.line, f"{command.name} holds a password in plain text", _HASH)
    elif target.of_recipe and is_placeholder(password):
        return
    elif not is_hash(password) and not command.has("--lock"):  # a locked account has some word in its place
        message = (
            f"{command.name} --iscrypted has a word that is no hash: nobody can log in with it, and it may be secret"
        )
        yield Said(command.line, message, "write the output of `openssl passwd -6`, or lock the account with --lock")


def _password(command: Command) -> str:
    if command.name == "sshpw" and command.has("--sshkey"):
        return ""
    value = command.option("--password", "--md5pass") or command.given.values.get("password")
    if not value and command.name == "bootloader":
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _options(command: Command, target: KickstartTarget) -> Iterator[Said]:
    for option in _secrets(command):
        value = command.option(option)
        # while it is planned a recipe's kickstart has placeholders; then the secrets that it refers to
        if value and not (target.of_recipe and (is_placeholder(str(value)) or is_hidden(str(value)))):
            yield Said(command.line, f"{command.name} {option} is a secret in plain text", _REMOVE)
    if command.name in ("vnc", "rdp", "realm", "authconfig", "auth"):
        yield from _free_words(command)


@by_identity  # kickstarts of a project share most commands
def _secrets(command: Command) -> tuple[str, ...]:
    return tuple(option for option in _SECRETS if command.option(option))


def _free_words(command: Command) -> Iterator[Said]:
    """Options that pykickstart hands on as they are, to another program."""
    for word in command.words[1:]:
        option, _, value = word.partition("=")
        if len(option) > 2 and "--one-time-password".startswith(option) and not command.has("--one-time-password"):
            yield Said(command.line, f"{command.name} --one-time-password is a secret in plain text", _REMOVE)
        elif option == "--winbindjoin" and "%" in value:
            yield Said(command.line, f"{command.name} {option} holds a password in plain text", _REMOVE)


def _addresses(command: Command) -> Iterator[Said]:
    """Addresses with a user and a password, in any option and any word."""
    found = set()
    names = {action.dest: option for option, action in command.given.known.items()}
    for name, value in command.given.values.items():
        if any(in_address(text, proxy="proxy" in name) for text in _texts(value)):
            found.add(names.get(name, ""))
    if not found and any(in_address(word) for word in command.words[1:]):
        found.add("")
    for option in sorted(found):
        where = f"{command.name} {option}".rstrip()
        yield Said(command.line, f"{where}: the address holds a password in plain text", "remove it from the address")


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, str)]
