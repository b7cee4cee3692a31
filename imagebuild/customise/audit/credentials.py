"""Passwords, their hashes and tokens, in the places and the words in which programs keep them.

/etc/shadow and /etc/gshadow are not among them: who may log in is for ``logins`` to say.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagebuild.customise.audit.rules import B, Named, SecretRule, is_placeholder
from imagebuild.customise.audit.text import text_of
from imagebuild.schema.customised import Change

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_V = "([^ \t\"',;]+)"
"""A value, up to the next blank or mark."""
_Q = "[\"']?"
_ACCOUNTS = ("/etc/shadow", "/etc/gshadow")
_CLOUD = r"/cloud/|/nocloud/|user-data|autoinstall|vendor-data"


def _is_elsewhere(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return path not in _ACCOUNTS


def _opens_an_account(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Whether kickstart's ``rootpw`` gives a password, and does not only lock the account."""
    try:
        words = shlex.split(match[match.lastindex or 0].decode("utf-8", "replace"), comments=True)
    except ValueError:
        return True
    return any(not word.startswith("-") and word not in ("!", "*", "!!") for word in words)


def _names_users(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return re.search(rb"^[ \t]+(list|users):", content[match.end() :], re.MULTILINE) is not None


def _no_place(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Names of files and numbers are settings of the word that looks like a secret."""
    value = match[match.lastindex or 0]
    return not value.startswith((b"/", b"~")) and not value.isdigit() and len(value) >= 4


def _is_ppp_secret(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Debian's own pap-secrets has lines with ``""`` and ``"*"``, which let nobody in."""
    return not is_placeholder(match[match.lastindex or 0])


_WORDS = "(SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|API_?KEY|ACCESS_?KEY)"

RULES = (
    SecretRule("password of a server (netrc)", rf"^{B}*(machine{B}+[^ \t]+|default){B}.*password{B}+{_V}"),
    SecretRule("password of a server (netrc)", rf"^{B}*password{B}+{_V}", only=r"/[._]netrc$|/auth\.conf(\.d/[^/]+)?$|/\.authinfo$"),
    SecretRule("password of PostgreSQL", "^[^#:]*:[^:]*:[^:]*:[^:]*:(.+)$", name=r"\.?pgpass(\.conf)?"),
    SecretRule("password of MySQL", rf"^{B}*password{B}*={B}*{_Q}{_V}", only=r"\.cnf$|/mysql/|/mariadb/"),
    SecretRule("password in a URL", r"[a-z][a-z0-9+.-]{1,15}://[^/ \t:@\"'<>$({%]+:([^/ \t@\"'<>$({%]+)@[^ \t]"),
    SecretRule("token of npm", rf"^{B}*(//[^ \t]*:)?_(authToken|auth|password){B}*={B}*{_V}"),
    SecretRule("password of a package index", rf"^{B}*password{B}*[=:]{B}*{_V}", only=r"/\.pypirc$"),
    SecretRule(
        "credentials of a container registry", rf'"(auth|identitytoken|registrytoken)"{B}*:{B}*"([^"]+)"',
        only=r"/config\.json$|/\.dockercfg$|/auth\.json$|/\.dockerconfigjson$",
    ),
    SecretRule("token of a Kubernetes client", rf"^{B}*token:{B}*{_Q}([A-Za-z0-9._-]{{6,}})", only=r"kube|/rancher/|k3s|rke2"),
    SecretRule("password of an enrolment", rf"^{B}*(agent-)?token:{B}*{_Q}{_V}", only=r"/rancher/"),
    SecretRule("key of AWS or S3", rf"(aws_secret_access_key|aws_session_token|secret_access_key|aws_secret_key)[\"']?{B}*[=:]{B}*{_Q}{_V}"),
    SecretRule("key of AWS or S3", rf"^{B}*(secret_key|gs_secret_access_key){B}*={B}*{_V}", only=r"s3cfg|boto|\.mc/|minio|rclone"),
    SecretRule("key of Azure", r"(AccountKey|SharedAccessKey)=([A-Za-z0-9+/=]{20,})"),
    SecretRule("token of Azure", rf'"(accessToken|refreshToken|secret|client_secret|tenantSecret)"{B}*:{B}*"([^"]+)"', only=r"/\.azure/"),
    SecretRule("token of an account", rf'"(refresh_token|client_secret|oauth_token|access_token)"{B}*:{B}*"([^"]+)"'),
    SecretRule("token of an account", rf"(gs_oauth2_refresh_token|oauth_token){B}*[=:]{B}*{_V}"),
    SecretRule("token of an account", r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20}|xox[abprs]-[0-9A-Za-z-]{10,}"),
    SecretRule("credentials of rclone", f"^(pass|password|password2|token|key|sas_url|bearer_token){B}*={B}*(.+)$", only=r"rclone\.conf$"),
    SecretRule("token of Vault or Terraform", "([A-Za-z0-9._-]{8,})", name=r"\.vault-token"),
    SecretRule("token of Vault or Terraform", rf'"?token"?{B}*[:=]{B}*"([^"]+)"', only=r"/credentials\.tfrc\.json$|/\.terraformrc$"),
    SecretRule("token of a package index", rf'^{B}*(token|:[a-z0-9_]+_api_key|:rubygems_api_key){B}*[=:]{B}*"?{_V}', only=r"/\.cargo/credentials|/\.gem/credentials$"),
    SecretRule("password of a server", "<(password|pass|passphrase|Pass)[^>]*>([^<]+)<", only=r"/settings(-security)?\.xml$|/sitemanager\.xml$|/recentservers\.xml$|/\.m2/"),
    SecretRule("password in a script", rf"(echo|printf){B}+[^|]*:([^ \t|\"'$]+)[\"']?{B}*\|[^|]*chpasswd"),
    SecretRule("password of a kickstart", f"^{B}*rootpw{B}+(.*)$", holds=_opens_an_account),
    SecretRule("password of a kickstart", rf"^{B}*(user|sshpw|bootloader|part|partition|volgroup|logvol|raid|autopart|harddrive|rhsm|realm){B}.*--(password|passphrase|one-time-password|activation-key)[= \t]{_V}"),
    SecretRule("password of a kickstart", rf"^{B}*sshpw{B}.*--username.*{B}{_V}$"),
    SecretRule("password of a preseed file", rf"^{B}*[a-z0-9.+-]+{B}+[^ \t]*(password|passwd|passphrase)[^ \t]*{B}+(password|string){B}+(.+)$"),
    SecretRule("password kept by debconf", rf"^Value:{B}*{_V}", only=r"/debconf/passwords\.dat"),
    SecretRule("password of cloud-init", rf"^[ \t-]*{_Q}(plain_text_passwd|hashed_passwd|passwd|password){_Q}{B}*:{B}*{_Q}{_V}", only=_CLOUD),
    SecretRule("password of cloud-init", f"^{B}*chpasswd:", only=_CLOUD, holds=_names_users),
    SecretRule("hash of a password", r"\$(1|5|6|apr1|md5)\$(rounds=[0-9]+\$)?[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{8,}", holds=_is_elsewhere),
    SecretRule("hash of a password", r"\$2[abxy]\$[0-9][0-9]\$[A-Za-z0-9./]{20,}", holds=_is_elsewhere),
    SecretRule("hash of a password", r"\$(y|gy|7)\$[A-Za-z0-9./]+\$[A-Za-z0-9./]+\$[A-Za-z0-9./]{16,}", holds=_is_elsewhere),
    SecretRule("hash of a password", r"\{(S?SHA(256|384|512)?|SMD5|CRYPT|PBKDF2[^}]*)\}[A-Za-z0-9+/=$.]{12,}", holds=_is_elsewhere),
    SecretRule("hash of a password", r"grub\.pbkdf2\.sha512\.[0-9]+\.[0-9A-F]+"),
    SecretRule("hash of a password", "^[^:#]+:([A-Za-z0-9./]{13}|[^:]+:[0-9a-f]{32})$", name=r".*htpasswd.*|.*htdigest.*|\.?passwords?"),
    SecretRule("password of a boot loader", rf"^{B}*password{B}+(--md5{B}+|--encrypted{B}+)?([^ \t].*)$", only=r"/grub2?/|/menu\.lst$|/40_custom$|/lilo"),
    SecretRule("key of a wireless network", rf"^{B}*(wpa-psk|wpa-password){B}+{_Q}{_V}"),
    SecretRule("key of a wireless network", rf"^{B}*(psk|wpa_psk|wpa_passphrase|sae_password|PreSharedKey|Passphrase){B}*={B}*{_Q}{_V}"),
    SecretRule("password of a network", rf"^{B}*(password|psk|passphrase):{B}*{_Q}{_V}", only=r"/netplan/"),
    SecretRule("password of a network", r"^(password|leap-password|wep-key[0-9]|secret|pin|password-raw|[a-z0-9-]+-password)=(.+)$", only=r"/system-connections/"),
    SecretRule("secret of IPsec", rf":{B}*(PSK|XAUTH|EAP|NTLM|PIN){B}+{_Q}([^\"']+)", only=r"ipsec.*secrets|/ipsec\.d/"),
    SecretRule("secret of IPsec", rf"^{B}*secret[0-9a-z-]*{B}*={B}*{_Q}{_V}", only=r"/swanctl/|strongswan"),
    SecretRule("password of a tunnel or a dial-up", f"^{B}*(\"[^\"]*\"|[^ \t#\"]+){B}+(\"[^\"]*\"|[^ \t]+){B}+(\"[^\"]*\"|[^ \t]+)", name="(chap|pap|srp)-secrets", holds=_is_ppp_secret),
    SecretRule("password of iSCSI (CHAP)", rf"^{B}*(node\.session|discovery\.sendtargets)\.auth\.password(_in)?{B}*={B}*{_V}"),
    SecretRule("password of iSCSI (CHAP)", rf"^{B}*(incominguser|outgoinguser){B}+[^ \t]+{B}+{_V}", only=r"/tgt/"),
    SecretRule("password of iSCSI (CHAP)", rf'"(chap|mutual)_(mutual_)?password"{B}*:{B}*"([^"]+)"'),
    SecretRule("password of a mail server (SASL)", rf"^[^# \t][^ \t]*[ \t]+[^ \t:]+:{_V}", name=".*sasl_passw.*"),
    SecretRule("password of a mail server (SASL)", "^[^#: \t]+:[^:]+:(.+)$", name=r"passwd\.client"),
    SecretRule("password of a mail server", rf"^{B}*(password|passwd|pass){B}+{_Q}{_V}", only=r"/\.(msmtprc|fetchmailrc|mbsyncrc)$|/msmtprc$"),
    SecretRule("password of a mail server", rf"^{B}*(AuthPass|authpass|set{B}+(imap|smtp)_pass){B}*={B}*{_Q}{_V}"),
    SecretRule("password of LDAP", rf"^{B}*(ldap_default_authtok|bindpw|rootbindpw|rootpwmodpw|olcRootPW|ldap_bind_pw)[ \t:=]+{_Q}{_V}"),
    SecretRule("password of a file server (SMB)", rf"^{B}*(password|passwd|pass){B}*={B}*(.+)$", only=r"(smb|cifs|samba)[^/]*(cred|pass|auth|secret)|\.(smb|cifs)$|/\.?(smb|cifs)credentials"),
    SecretRule("password of a file server (SMB)", "[ \t,](password|passwd|pass)=([^, \t]+)", only=r"^/etc/fstab$|^/etc/auto\.|/systemd/system/.*mount$"),
    SecretRule("secret in an environment", rf"^{B}*(export{B}+|-{B}+)?[A-Z0-9_]*{_WORDS}(_[A-Z0-9_]+)?={_Q}([^ \t\"'$#`]+)", only=r"^/etc/(default|sysconfig|environment|environment\.d|profile\.d)(/|$)|\.env$|/\.env[^/]*$|/\.(bashrc|profile|bash_profile|zshrc|zshenv|envrc)$", holds=_no_place),
    SecretRule("secret in an environment", rf"^Environment=.*{_WORDS}(_[A-Z0-9_]+)?=([^ \t\"'$%]+)", only=r"/systemd/", holds=_no_place),
    SecretRule("password of a package source", rf"^{B}*(proxy_)?password{B}*={B}*(.+)$", only=r"^/etc/(yum|dnf|zypp|apt|pacman|rhsm)"),
    SecretRule("password of SNMP", rf"^{B}*createUser{B}+(-e{B}+[^ \t]+{B}+)?[^ \t]+{B}+[^ \t]+{B}+{_Q}{_V}"),
    SecretRule("secret of RADIUS", rf"^{B}*secret{B}*={B}*{_Q}{_V}", only=r"/(raddb|freeradius|radiusclient[^/]*)/(.*/)?(clients|proxy|servers)[^/]*$"),
    SecretRule("key of a time server", rf"^{B}*[0-9]+{B}+[A-Z0-9-]+{B}+(.+)$", name=r"chrony\.keys|ntp\.keys|keys", only=r"/(chrony|ntp)[^/]*/|\.keys$"),
    SecretRule("password of rsync", "^[^:# \t]+:(.+)$", name=".*rsync.*(secrets|passw).*"),
    SecretRule("password of a proxy or a server", rf"^{B}*(user|proxy-user){B}*[= \t]{B}*{_Q}[^: \t\"]+:{_V}", name="[._]?curlrc"),
    SecretRule("password of a proxy or a server", rf"^{B}*(http_|proxy_|ftp_)?passw(or)?d{B}*={B}*{_V}", only=r"/\.?wgetrc$"),
)  # fmt: skip

NAMES = (
    Named("passwords of SASL", r"sasldb2?(\.db)?"),
    Named("password of LDAP", r"(ldap|pam_ldap|libnss-ldap|libpam_ldap)\.secret"),
    Named("password of VNC", "passwd", r"/\.(config/)?(tiger)?vnc/"),
    Named("password of MySQL", r"\.mylogin\.cnf"),
    Named("credentials of Google Cloud", r"(credentials|access_tokens)\.db", "/gcloud/"),
    Named("credentials of Subversion", "[0-9a-f]{32}", r"/\.subversion/auth/svn\.(simple|ssl)"),
    Named("passwords in a browser", r"logins\.json|key[34]\.db|signons\.sqlite|Login Data"),
    Named("password of Ansible's vault", r"\.(vault_pass|ansible_vault_pass).*"),
    Named("cookie of Erlang", r"\.erlang\.cookie"),
)

_REFERRED = {
    "/etc/crypttab": (re.compile(r"^[^#\s]\S*[ \t]+\S+[ \t]+(/\S+)", re.MULTILINE), "key of an encrypted disk"),
    "/etc/fstab": (re.compile(r"[ \t,](?:credentials|cred)=(/[^,\s]+)"), "password of a file server (SMB)"),
    "/etc/zabbix/*.conf": (re.compile(r"^[ \t]*TLS(?:PSK|Key)File=(/\S+)", re.MULTILINE), "key of Zabbix"),
    "/etc/zabbix/*/*.conf": (re.compile(r"^[ \t]*TLS(?:PSK|Key)File=(/\S+)", re.MULTILINE), "key of Zabbix"),
    "/etc/openvpn/*.conf": (
        re.compile(r"^[ \t]*auth-user-pass[ \t]+(/\S+)", re.MULTILINE),
        "password of a tunnel or a dial-up",
    ),
    "/etc/openvpn/*/*.conf": (
        re.compile(r"^[ \t]*auth-user-pass[ \t]+(/\S+)", re.MULTILINE),
        "password of a tunnel or a dial-up",
    ),
}
"""Files that are secrets because a configuration says so."""


def referred(guest: Guest) -> Iterator[Change]:
    """The secrets that configurations name, where they are in the guest and not empty."""
    for pattern, (named, what) in _REFERRED.items():
        for path in guest.real_files(pattern):
            for secret in dict.fromkeys(named.findall(text_of(guest, path))):
                if secret.startswith(("/dev/", "/proc/", "/run/", "/sys/")):
                    continue
                real = guest.real_file(secret)
                if real is not None and guest.size(real):
                    yield Change(secret, f"{what}, as {path} says")
