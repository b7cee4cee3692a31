"""Passwords, password hashes and tokens, in the places and formats in which programs store them.

/etc/shadow and /etc/gshadow are not included: ``logins`` reports who may log in.
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
"""A value, up to the next blank or punctuation mark."""
_Q = "[\"']?"
_ACCOUNTS = ("/etc/shadow", "/etc/gshadow")
_CLOUD = r"/cloud/|/nocloud/|user-data|autoinstall|vendor-data"


def _is_elsewhere(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return path not in _ACCOUNTS


def _opens_an_account(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Whether kickstart's ``rootpw`` sets a password, rather than only locking the account."""
    try:
        words = shlex.split(match[match.lastindex or 0].decode("utf-8", "replace"), comments=True)
    except ValueError:
        return True
    return any(not word.startswith("-") and word not in ("!", "*", "!!") for word in words)


def _names_users(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return re.search(rb"^[ \t]+(list|users):", content[match.end() :], re.MULTILINE) is not None


def _no_place(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Excludes file names and numbers: these are settings whose name only looks like a secret."""
    value = match[match.lastindex or 0]
    return not value.startswith((b"/", b"~")) and not value.isdigit() and len(value) >= 4


def _is_ppp_secret(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Debian's own pap-secrets contains lines with ``""`` and ``"*"``, which let nobody in."""
    return not is_placeholder(match[match.lastindex or 0])


_WORDS = "(SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|API_?KEY|ACCESS_?KEY)"

RULES = (
    SecretRule("server password (netrc)", rf"^{B}*(machine{B}+[^ \t]+|default){B}.*password{B}+{_V}"),
    SecretRule("server password (netrc)", rf"^{B}*password{B}+{_V}", only=r"/[._]netrc$|/auth\.conf(\.d/[^/]+)?$|/\.authinfo$"),
    SecretRule("PostgreSQL password", "^[^#:]*:[^:]*:[^:]*:[^:]*:(.+)$", name=r"\.?pgpass(\.conf)?"),
    SecretRule("MySQL password", rf"^{B}*password{B}*={B}*{_Q}{_V}", only=r"\.cnf$|/mysql/|/mariadb/"),
    SecretRule("password in a URL", r"[a-z][a-z0-9+.-]{1,15}://[^/ \t:@\"'<>$({%]+:([^/ \t@\"'<>$({%]+)@[^ \t]"),
    SecretRule("npm token", rf"^{B}*(//[^ \t]*:)?_(authToken|auth|password){B}*={B}*{_V}"),
    SecretRule("package index password", rf"^{B}*password{B}*[=:]{B}*{_V}", only=r"/\.pypirc$"),
    SecretRule(
        "container registry credentials", rf'"(auth|identitytoken|registrytoken)"{B}*:{B}*"([^"]+)"',
        only=r"/config\.json$|/\.dockercfg$|/auth\.json$|/\.dockerconfigjson$",
    ),
    SecretRule("Kubernetes client token", rf"^{B}*token:{B}*{_Q}([A-Za-z0-9._-]{{6,}})", only=r"kube|/rancher/|k3s|rke2"),
    SecretRule("enrolment password", rf"^{B}*(agent-)?token:{B}*{_Q}{_V}", only=r"/rancher/"),
    SecretRule("AWS or S3 key", rf"(aws_secret_access_key|aws_session_token|secret_access_key|"
        rf"aws_secret_key)[\"']?{B}*[=:]{B}*{_Q}{_V}"),
    SecretRule("AWS or S3 key", rf"^{B}*(secret_key|gs_secret_access_key){B}*={B}*{_V}", only=r"s3cfg|boto|\.mc/|minio|rclone"),
    SecretRule("Azure key", r"(AccountKey|SharedAccessKey)=([A-Za-z0-9+/=]{20,})"),
    SecretRule("Azure token", rf'"(accessToken|refreshToken|secret|client_secret|tenantSecret)"{B}*:'
        rf'{B}*"([^"]+)"', only=r"/\.azure/"),
    SecretRule("account token", rf'"(refresh_token|client_secret|oauth_token|access_token)"{B}*:{B}*"([^"]+)"'),
    SecretRule("account token", rf"(gs_oauth2_refresh_token|oauth_token){B}*[=:]{B}*{_V}"),
    SecretRule("account token", r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}|"
        r"glpat-[A-Za-z0-9_-]{20}|xox[abprs]-[0-9A-Za-z-]{10,}"),
    SecretRule("rclone credentials", f"^(pass|password|password2|token|key|sas_url|bearer_token){B}*={B}*(.+)$", only=r"rclone\.conf$"),
    SecretRule("Vault or Terraform token", "([A-Za-z0-9._-]{8,})", name=r"\.vault-token"),
    SecretRule("Vault or Terraform token", rf'"?token"?{B}*[:=]{B}*"([^"]+)"', only=r"/credentials\.tfrc\.json$|/\.terraformrc$"),
    SecretRule("package index token", rf'^{B}*(token|:[a-z0-9_]+_api_key|:rubygems_api_key){B}*[=:]{B}*"?{_V}', only=r"/\.cargo/credentials|/\.gem/credentials$"),
    SecretRule("server password", "<(password|pass|passphrase|Pass)[^>]*>([^<]+)<", only=r"/settings(-security)?\.xml$|/sitemanager\.xml$|/recentservers\.xml$|/\.m2/"),
    SecretRule("password in a script", rf"(echo|printf){B}+[^|]*:([^ \t|\"'$]+)[\"']?{B}*\|[^|]*chpasswd"),
    SecretRule("kickstart password", f"^{B}*rootpw{B}+(.*)$", holds=_opens_an_account),
    SecretRule("kickstart password", rf"^{B}*(user|sshpw|bootloader|part|partition|volgroup|logvol|raid|"
        rf"autopart|harddrive|rhsm|realm){B}.*--(password|passphrase|one-time-password|activation-key)[= \t]{_V}"),
    SecretRule("kickstart password", rf"^{B}*sshpw{B}.*--username.*{B}{_V}$"),
    SecretRule("preseed password", rf"^{B}*[a-z0-9.+-]+{B}+[^ \t]*(password|passwd|passphrase)[^ "
        rf"\t]*{B}+(password|string){B}+(.+)$"),
    SecretRule("password stored by debconf", rf"^Value:{B}*{_V}", only=r"/debconf/passwords\.dat"),
    SecretRule("cloud-init password", rf"^[ "
        rf"\t-]*{_Q}(plain_text_passwd|hashed_passwd|passwd|password){_Q}{B}*:{B}*{_Q}{_V}", only=_CLOUD),
    SecretRule("cloud-init password", f"^{B}*chpasswd:", only=_CLOUD, holds=_names_users),
    SecretRule("password hash", r"\$(1|5|6|apr1|md5)\$(rounds=[0-9]+\$)?[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{8,}", holds=_is_elsewhere),
    SecretRule("password hash", r"\$2[abxy]\$[0-9][0-9]\$[A-Za-z0-9./]{20,}", holds=_is_elsewhere),
    SecretRule("password hash", r"\$(y|gy|7)\$[A-Za-z0-9./]+\$[A-Za-z0-9./]+\$[A-Za-z0-9./]{16,}", holds=_is_elsewhere),
    SecretRule("password hash", r"\{(S?SHA(256|384|512)?|SMD5|CRYPT|PBKDF2[^}]*)\}[A-Za-z0-9+/=$.]{12,}", holds=_is_elsewhere),
    SecretRule("password hash", r"grub\.pbkdf2\.sha512\.[0-9]+\.[0-9A-F]+"),
    SecretRule("password hash", "^[^:#]+:([A-Za-z0-9./]{13}|[^:]+:[0-9a-f]{32})$", name=r".*htpasswd.*|.*htdigest.*|\.?passwords?"),
    SecretRule("boot loader password", rf"^{B}*password{B}+(--md5{B}+|--encrypted{B}+)?([^ \t].*)$", only=r"/grub2?/|/menu\.lst$|/40_custom$|/lilo"),
    SecretRule("wireless network key", rf"^{B}*(wpa-psk|wpa-password){B}+{_Q}{_V}"),
    SecretRule("wireless network key", rf"^{B}*(psk|wpa_psk|wpa_passphrase|sae_password|PreSharedKey|"
        rf"Passphrase){B}*={B}*{_Q}{_V}"),
    SecretRule("network password", rf"^{B}*(password|psk|passphrase):{B}*{_Q}{_V}", only=r"/netplan/"),
    SecretRule("network password", r"^(password|leap-password|wep-key[0-9]|secret|pin|password-raw|"
        r"[a-z0-9-]+-password)=(.+)$", only=r"/system-connections/"),
    SecretRule("IPsec secret", rf":{B}*(PSK|XAUTH|EAP|NTLM|PIN){B}+{_Q}([^\"']+)", only=r"ipsec.*secrets|/ipsec\.d/"),
    SecretRule("IPsec secret", rf"^{B}*secret[0-9a-z-]*{B}*={B}*{_Q}{_V}", only=r"/swanctl/|strongswan"),
    SecretRule("tunnel or dial-up password", f"^{B}*(\"[^\"]*\"|[^ \t#\"]+){B}+(\"[^\"]*\"|[^ "
        f"\t]+){B}+(\"[^\"]*\"|[^ \t]+)", name="(chap|pap|srp)-secrets", holds=_is_ppp_secret),
    SecretRule("iSCSI password (CHAP)", rf"^{B}*(node\.session|"
        rf"discovery\.sendtargets)\.auth\.password(_in)?{B}*={B}*{_V}"),
    SecretRule("iSCSI password (CHAP)", rf"^{B}*(incominguser|outgoinguser){B}+[^ \t]+{B}+{_V}", only=r"/tgt/"),
    SecretRule("iSCSI password (CHAP)", rf'"(chap|mutual)_(mutual_)?password"{B}*:{B}*"([^"]+)"'),
    SecretRule("mail server password (SASL)", rf"^[^# \t][^ \t]*[ \t]+[^ \t:]+:{_V}", name=".*sasl_passw.*"),
    SecretRule("mail server password (SASL)", "^[^#: \t]+:[^:]+:(.+)$", name=r"passwd\.client"),
    SecretRule("mail server password", rf"^{B}*(password|passwd|pass){B}+{_Q}{_V}", only=r"/\.(msmtprc|fetchmailrc|mbsyncrc)$|/msmtprc$"),
    SecretRule("mail server password", rf"^{B}*(AuthPass|authpass|set{B}+(imap|smtp)_pass){B}*={B}*{_Q}{_V}"),
    SecretRule("LDAP password", rf"^{B}*(ldap_default_authtok|bindpw|rootbindpw|rootpwmodpw|olcRootPW|"
        rf"ldap_bind_pw)[ \t:=]+{_Q}{_V}"),
    SecretRule("file server password (SMB)", rf"^{B}*(password|passwd|pass){B}*={B}*(.+)$", only=r"(smb|cifs|samba)[^/]*(cred|pass|auth|secret)|\.(smb|cifs)$|/\.?(smb|cifs)credentials"),
    SecretRule("file server password (SMB)", "[ \t,](password|passwd|pass)=([^, \t]+)", only=r"^/etc/fstab$|^/etc/auto\.|/systemd/system/.*mount$"),
    SecretRule("secret in an environment variable", rf"^{B}*(export{B}+|"
        rf"-{B}+)?[A-Z0-9_]*{_WORDS}(_[A-Z0-9_]+)?={_Q}([^ \t\"'$#`]+)", only=r"^/etc/(default|sysconfig|environment|environment\.d|profile\.d)(/|$)|\.env$|/\.env[^/]*$|/\.(bashrc|"
            r"profile|bash_profile|zshrc|zshenv|envrc)$", holds=_no_place),
    SecretRule("secret in an environment variable", rf"^Environment=.*{_WORDS}(_[A-Z0-9_]+)?=([^ \t\"'$%]+)", only=r"/systemd/", holds=_no_place),
    SecretRule("package repository password", rf"^{B}*(proxy_)?password{B}*={B}*(.+)$", only=r"^/etc/(yum|dnf|zypp|apt|pacman|rhsm)"),
    SecretRule("SNMP password", rf"^{B}*createUser{B}+(-e{B}+[^ \t]+{B}+)?[^ \t]+{B}+[^ \t]+{B}+{_Q}{_V}"),
    SecretRule("RADIUS secret", rf"^{B}*secret{B}*={B}*{_Q}{_V}", only=r"/(raddb|freeradius|radiusclient[^/]*)/(.*/)?(clients|proxy|servers)[^/]*$"),
    SecretRule("time server key", rf"^{B}*[0-9]+{B}+[A-Z0-9-]+{B}+(.+)$", name=r"chrony\.keys|ntp\.keys|keys", only=r"/(chrony|ntp)[^/]*/|\.keys$"),
    SecretRule("rsync password", "^[^:# \t]+:(.+)$", name=".*rsync.*(secrets|passw).*"),
    SecretRule("proxy or server password", rf"^{B}*(user|proxy-user){B}*[= \t]{B}*{_Q}[^: \t\"]+:{_V}", name="[._]?curlrc"),
    SecretRule("proxy or server password", rf"^{B}*(http_|proxy_|ftp_)?passw(or)?d{B}*={B}*{_V}", only=r"/\.?wgetrc$"),
)  # fmt: skip

NAMES = (
    Named("SASL passwords", r"sasldb2?(\.db)?"),
    Named("LDAP password", r"(ldap|pam_ldap|libnss-ldap|libpam_ldap)\.secret"),
    Named("VNC password", "passwd", r"/\.(config/)?(tiger)?vnc/"),
    Named("MySQL password", r"\.mylogin\.cnf"),
    Named("Google Cloud credentials", r"(credentials|access_tokens)\.db", "/gcloud/"),
    Named("Subversion credentials", "[0-9a-f]{32}", r"/\.subversion/auth/svn\.(simple|ssl)"),
    Named("browser passwords", r"logins\.json|key[34]\.db|signons\.sqlite|Login Data"),
    Named("Ansible Vault password", r"\.(vault_pass|ansible_vault_pass).*"),
    Named("Erlang cookie", r"\.erlang\.cookie"),
)

_REFERRED = {
    "/etc/crypttab": (re.compile(r"^[^#\s]\S*[ \t]+\S+[ \t]+(/\S+)", re.MULTILINE), "disk encryption key"),
    "/etc/fstab": (re.compile(r"[ \t,](?:credentials|cred)=(/[^,\s]+)"), "file server password (SMB)"),
    "/etc/zabbix/*.conf": (re.compile(r"^[ \t]*TLS(?:PSK|Key)File=(/\S+)", re.MULTILINE), "Zabbix key"),
    "/etc/zabbix/*/*.conf": (re.compile(r"^[ \t]*TLS(?:PSK|Key)File=(/\S+)", re.MULTILINE), "Zabbix key"),
    "/etc/openvpn/*.conf": (
        re.compile(r"^[ \t]*auth-user-pass[ \t]+(/\S+)", re.MULTILINE),
        "tunnel or dial-up password",
    ),
    "/etc/openvpn/*/*.conf": (
        re.compile(r"^[ \t]*auth-user-pass[ \t]+(/\S+)", re.MULTILINE),
        "tunnel or dial-up password",
    ),
}
"""Files that are secrets because a configuration refers to them."""


def referred(guest: Guest) -> Iterator[Change]:
    """The secrets that configuration files refer to, if they are in the guest and not empty."""
    for pattern, (named, what) in _REFERRED.items():
        for path in guest.real_files(pattern):
            for secret in dict.fromkeys(named.findall(text_of(guest, path))):
                if secret.startswith(("/dev/", "/proc/", "/run/", "/sys/")):
                    continue
                real = guest.real_file(secret)
                if real is not None and guest.size(real):
                    yield Change(secret, f"{what}, according to {path}")
