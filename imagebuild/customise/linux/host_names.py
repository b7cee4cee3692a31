"""A machine's own name in the files of programs that could ask the kernel for it: it is removed, so
that they do.

The default of each program is the current hostname (``gethostname``), according to its manual:
postconf(5) ``myhostname``, smb.conf(5) ``netbios name``, snmpd.conf(5) ``sysName``, cupsd.conf(5)
``ServerName``, ssmtp.conf(5), collectd.conf(5), rsyslog's ``LocalHostName``, sssd-ipa(5)
``ipa_hostname`` and sssd-ad(5) ``ad_hostname``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from imagebuild.customise.network import ini, shell_words
from imagebuild.customise.network.yaml_text import NotYamlError, YamlText, get

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

NO_NAMES = {"", "localhost", "localhost.localdomain", "localhost4", "localhost6", "(none)", "none"}
"""Values used when a machine has no name."""
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")


def first_name(text: str) -> str:
    """The name in a file such as /etc/hostname (hostname(5): one line, apart from comments); empty
    if the text is something else."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines[0] if len(lines) == 1 and _NAME.fullmatch(lines[0]) else ""


@dataclass(frozen=True)
class Names:
    """The names of a machine; ``all`` is in lower case, with and without the domain."""

    all: Set[str]

    def __contains__(self, word: object) -> bool:
        return str(word).lower().rstrip(".") in self.all

    def is_own(self, word: str) -> bool:
        """Whether a word that can only be the machine's own name is one of these, with any domain."""
        return word in self or word.lower().partition(".")[0] in self.all

    @classmethod
    def of(cls, found: Set[str]) -> Names:
        names = {name.lower().rstrip(".") for name in found} - NO_NAMES
        return cls(names | ({name.partition(".")[0] for name in names} - NO_NAMES))


def hosts(text: str, names: Names) -> str:
    """/etc/hosts (hosts(5)) without the names, whatever their address; a line without any names
    left is removed."""
    return "".join(_line_of_hosts(line, names) for line in re.findall(r"[^\n]*\n|[^\n]+", text))


def _line_of_hosts(line: str, names: Names) -> str:
    content, hash_, comment = line.partition("#")
    words = content.split()
    if not words and hash_:
        written = comment.split()
        return (
            "" if len(written) > 1 and _is_address(written[0]) and any(word in names for word in written[1:]) else line
        )
    if len(words) < 2 or not any(word in names for word in words[1:]):
        return line
    if all(word in names for word in words[1:]):
        return ""
    kept = content.rstrip()
    for word in dict.fromkeys(word for word in words[1:] if word in names):
        kept = re.sub(rf"(?<=[ \t]){re.escape(word)}(?:[ \t]+|$)", "", kept)
    ending = "\n" if line.endswith("\n") else ""
    return f"{kept.rstrip()}{f' #{comment.rstrip()}' if hash_ else ''}{ending}"


def _is_address(word: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]+(%\w+)?", word) is not None


def main_cf(text: str, names: Names) -> str:
    """Postfix's main.cf without parameters whose value is one of the names, and without the names
    in lists of destinations.

    A line that begins with a blank continues the previous one (postconf(5)).
    """
    parts = re.findall(r"(?:[^\n]*\n|[^\n]+)(?:[ \t]+[^\n]*(?:\n|\Z)|[ \t]*#[^\n]*(?:\n|\Z)(?=[ \t]))*", text)
    own = {found[1] for part in parts if (found := re.match(r"[ \t]*myhostname[ \t]*=[ \t]*(\S+)", part))}
    names = Names(names.all | {name.lower() for name in own if names.is_own(name)})
    return "".join(_parameter(part, names) for part in parts)


def _parameter(part: str, names: Names) -> str:
    head = re.match(r"[ \t]*([A-Za-z_]\w*)[ \t]*=", part)
    if head is None:
        return part
    value = part[head.end() :]
    if head[1] in ("myhostname", "myorigin", "smtp_helo_name", "lmtp_lhlo_name"):
        return "" if names.is_own(value.strip()) else part
    if head[1] not in ("mydestination", "inet_interfaces", "proxy_interfaces", "masquerade_domains"):
        return part
    value = re.sub(r"^[ \t]*#.*", "", value, flags=re.MULTILINE)
    words = [word for word in re.split(r"[,\s]+", value) if word]
    kept = [word for word in words if word.startswith("$") or word not in names]
    return part if kept == words else f"{head[1]} = {', '.join(kept)}\n"


def mdadm_conf(text: str, names: Names) -> str:
    """mdadm.conf(5): an array that is found by its UUID does not need ``name=web01:0``; the arrays
    of a named home host count as local on every machine."""
    lines = re.findall(r"(?:[^\n]*\n|[^\n]+)(?:[ \t]+[^\n]*(?:\n|\Z))*", text)
    return "".join(_line_of_mdadm(line, names) for line in lines)


def _line_of_mdadm(line: str, names: Names) -> str:
    words = line.split()
    if not words or words[0].startswith("#"):
        return line
    keyword = words[0].lower()
    if len(keyword) >= 3 and "homehost".startswith(keyword):
        return (
            re.sub(r"(\S+)$", "<ignore>", line.rstrip()) + "\n" if len(words) == 2 and names.is_own(words[1]) else line
        )
    by_uuid = any(word.lower().startswith("uuid=") for word in words)
    if not (len(keyword) >= 3 and "array".startswith(keyword) and by_uuid):
        return line
    pattern = r"""[ \t]+name=(["']?)(?P<host>[^\s:"']+):[^\s"']*\1(?=\s|\Z)"""
    return re.sub(pattern, lambda found: "" if names.is_own(found["host"]) else found[0], line, flags=re.IGNORECASE)


def shell_lists(text: str, names: Names, keys: Set[str]) -> str:
    """A file of shell assignments with the names removed from its lists; exim4's lists accept ``:``
    and ``;`` between words."""

    def change(name: str, value: str) -> tuple[str, str]:
        parts = re.split(r"([:;,\s]+)", value)
        if name not in keys or not any(part in names for part in parts[::2]):
            return name, value
        return name, next(iter(re.findall(r"[:;,]", value)), ":").join(
            part for part in parts[::2] if part and part not in names
        )

    return shell_words.edit(text, change)


def settings(text: str, names: Names, keys: Set[str], *, separator: str) -> str:
    """A file of lines ``key value`` (``separator`` is a blank) or ``key = value``, without the keys
    whose value is one of the names."""
    between = r"[ \t]+" if separator == " " else r"[ \t]*=[ \t]*"
    pattern = re.compile(
        rf"""^[ \t]*(?P<key>[\w .$-]*?[\w$]){between}(?P<quote>["']?)(?P<value>[^\s"';#]+)(?P=quote)"""
        r"[ \t]*;?[ \t\r]*(?:#.*)?$"
    )

    def goes(line: str) -> bool:
        found = pattern.match(line.rstrip("\n"))
        return found is not None and found["key"].lower() in keys and names.is_own(found["value"])

    return "".join(line for line in re.findall(r"[^\n]*\n|[^\n]+", text) if not goes(line))


def whole_lines(text: str, names: Names) -> str:
    """A list of hosts, one per line, without the names."""
    return "".join(
        line for line in re.findall(r"[^\n]*\n|[^\n]+", text) if line.strip() not in names or not line.strip()
    )


def keyfile(text: str) -> str:
    """A NetworkManager connection that sends the current hostname to DHCP servers."""
    return ini.render(ini.without(ini.parse(text), lambda line: line.key in ("dhcp-hostname", "dhcp-fqdn")))


def networkd(text: str) -> str:
    """A .network file that does the same."""
    lines = ini.parse(text, systemd=True)
    return ini.render(ini.without(lines, lambda line: line.key == "Hostname" and line.section.startswith("DHCP")))


def _of_settings(*keys: str, separator: str = "=") -> Callable[[str, Names], str]:
    return lambda text, names: settings(text, names, {key.lower() for key in keys}, separator=separator)


def cloud_cfg(text: str, names: Names) -> str:
    """A cloud-init configuration that does not assign the name to clones; unchanged if it is not
    YAML."""
    try:
        edited = YamlText(text)
        for root in edited.documents:
            for key in ("hostname", "fqdn"):
                value = get(root, key)
                if (
                    isinstance(root, yaml.MappingNode)
                    and isinstance(value, yaml.ScalarNode)
                    and names.is_own(value.value)
                ):
                    edited.remove(root, key)
        return edited.result()
    except NotYamlError:
        return text


FILES: Mapping[str, Callable[[str, Names], str]] = {
    "/etc/cloud/cloud.cfg": cloud_cfg,
    "/etc/cloud/cloud.cfg.d/*.cfg": cloud_cfg,
    "/etc/postfix/main.cf": main_cf,
    "/etc/mdadm.conf": mdadm_conf,
    "/etc/mdadm/mdadm.conf": mdadm_conf,
    "/etc/mdadm.conf.d/*.conf": mdadm_conf,
    "/etc/mdadm/mdadm.conf.d/*.conf": mdadm_conf,
    "/etc/exim4/update-exim4.conf.conf": lambda text, names: shell_lists(
        text, names, {"dc_other_hostnames", "dc_readhost", "dc_visiblename", "dc_mailname_in_oh"}
    ),
    "/etc/samba/smb.conf": _of_settings("netbios name", "netbios aliases"),
    "/etc/snmp/snmpd.conf": _of_settings("sysname", "psysname", separator=" "),
    "/etc/snmp/snmpd.conf.d/*.conf": _of_settings("sysname", "psysname", separator=" "),
    "/etc/cups/cupsd.conf": _of_settings("ServerName", separator=" "),
    "/etc/ssmtp/ssmtp.conf": _of_settings("hostname"),
    "/etc/collectd.conf": _of_settings("Hostname", separator=" "),
    "/etc/collectd/collectd.conf": _of_settings("Hostname", separator=" "),
    "/etc/munin/munin-node.conf": _of_settings("host_name", separator=" "),
    "/etc/rsyslog.conf": _of_settings("$LocalHostName", separator=" "),
    "/etc/rsyslog.d/*.conf": _of_settings("$LocalHostName", separator=" "),
    "/etc/sssd/sssd.conf": _of_settings("ipa_hostname", "ad_hostname"),
    "/etc/sssd/conf.d/*.conf": _of_settings("ipa_hostname", "ad_hostname"),
    "/etc/puppet/puppet.conf": _of_settings("certname"),
    "/etc/puppetlabs/puppet/puppet.conf": _of_settings("certname"),
    "/etc/avahi/avahi-daemon.conf": _of_settings("host-name"),
    "/etc/mail/local-host-names": whole_lines,
    "/etc/nullmailer/me": whole_lines,
    "/etc/nullmailer/helohost": whole_lines,
    "/etc/nullmailer/defaulthost": whole_lines,
}
"""Which changes are made in which files."""
