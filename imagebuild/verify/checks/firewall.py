"""The firewall is off, or on where that is expected.

A template has no firewall: the network around the guest filters. The services firewalld, ufw,
nftables and iptables are not active, and there are no rules in the kernel, in which libvirt and
Docker would leave some. Reads the rules with ``nft`` and ``iptables-save`` where they are installed.
Chains that are empty and let everything pass are no firewall.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NotCheckable, Printed

PROBES = {
    "services": (
        "for u in firewalld ufw nftables iptables ip6tables netfilter-persistent SuSEfirewall2; do "
        'echo "$u $(systemctl is-active $u.service 2>/dev/null)"; done; '
        "grep -qsi '^ENABLED=no' /etc/ufw/ufw.conf && echo 'ufw disabled'; true"
    ),
    "nft": (
        "if command -v nft >/dev/null; then echo '(nft)'; nft list ruleset 2>/dev/null && echo '(end)'; "
        "elif grep -qs '^nf_tables ' /proc/modules; then echo '(unknown)'; else echo '(none)'; fi"
    ),
    "iptables": (
        "n=0; for c in iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do "
        'command -v $c >/dev/null || continue; n=1; echo "($c)"; $c 2>/dev/null || exit 1; done; '
        "[ $n = 1 ] || { grep -qs . /proc/net/ip_tables_names /proc/net/ip6_tables_names && echo '(unknown)'; }; "
        "echo '(end)'"
    ),
}


class Params(check.Params):
    active: bool = Field(default=False, description="whether a firewall is expected to be active")


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    services = _services(printed.lines(seen, "services", "the state of the firewall services"))
    found = [f"the firewall service {name} is active" for name in services]
    nft, iptables = printed.output(seen, "nft"), printed.output(seen, "iptables")
    rules = {"nft": nft_rules(nft.lines), "iptables": iptables_rules(iptables.lines)}
    # iptables may be written for nftables, which then shows the same rules.
    tool = "nft" if rules["nft"] else "iptables"
    if rules[tool]:
        first = rules[tool][0]
        count = len(rules[tool])
        found.append(f"the kernel has {count} firewall {'rule' if count == 1 else 'rules'}, such as {first!r} ({tool})")
    if not params.active:
        yield from found
    elif not found:
        yield "no firewall is active"
    if found:
        return
    complete = nft.text.rstrip().endswith(("(end)", "(none)")) and iptables.text.rstrip().endswith("(end)")
    if not complete or "(unknown)" in nft.lines + iptables.lines:
        raise NotCheckable("the firewall rules of the kernel could not be read")


def _services(lines: list[str]) -> list[str]:
    """The names of the active services. ufw's service is also active while ufw is switched off."""
    states = [line.split() for line in lines]
    active = [words[0] for words in states if words[1:] in (["active"], ["activating"])]
    if not any(words[0] == "firewalld" for words in states):
        raise printed.unreadable("the state of the firewall services")
    return [name for name in active if name != "ufw" or ["ufw", "disabled"] not in states]


def nft_rules(lines: list[str]) -> list[str]:
    """The rules in the output of ``nft list ruleset``, and the chains that drop by default."""
    found = []
    in_chain = False
    for line in map(str.strip, lines):
        if line.startswith("chain ") and line.endswith("{"):
            in_chain = True
        elif line == "}":
            in_chain = False
        elif in_chain and re.search(r"\bpolicy drop\b", line):
            found.append("policy drop")
        elif in_chain and not re.match(r"type |policy |comment |#", line):
            found.append(line)
    return found


def iptables_rules(lines: list[str]) -> list[str]:
    """The rules in the output of iptables-save, and the chains that drop by default."""
    rules = [line for line in lines if line.startswith("-A ")]
    return rules + [line for line in lines if re.match(r":\S+ (DROP|REJECT)\b", line)]
