"""Private keys and credentials are recognised by their content, wherever they are; examples and
public parts are not reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.audit import credentials, private_keys, rules
from imagebuild.customise.runner import audit_guest
from tests.operations.memory import MemoryDisk, Node, with_folders

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ"
KEY = "aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvMTI="
RSA = bytes.fromhex("300d06092a864886f70d0101010500")
DATA = bytes.fromhex("06092a864886f70d010701")
SYSTEM = {
    "/etc/os-release": b"ID=debian\n",
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
    "/etc/shadow": b"root:$6$abcdefgh$0123456789abcdefABCDEF:1:::::\n",
}


def pem(kind: str) -> str:
    return f"-----BEGIN {kind}-----\n{BODY}\n-----END {kind}-----\n"


def found(path: str, content: str | bytes, kind: str) -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    nodes = {name: Node("file", 0o600, text) for name, text in (SYSTEM | {path: data}).items()}
    result = audit_guest(MemoryDisk(with_folders(nodes)), lambda detail, fraction: None)
    return [
        change.what for one in result.operations if one.name == kind for change in one.changes if change.path == path
    ]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        *((f"/srv/app/{at}", pem(kind)) for at, kind in enumerate((
            "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY",
            "OPENSSH PRIVATE KEY",
            "PGP PRIVATE KEY BLOCK", "NEBULA X25519 PRIVATE KEY", "OpenVPN Static key V1",
        ))),
        ("/etc/cloud.yaml", "write_files:\n  - content: |\n      -----BEGIN PRIVATE KEY-----\n      MIIE\n"),
        ("/root/account.json", '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE\\n"}'),
        ("/var/x.pem", "-----BEGIN RSA PRIVATE KEY-----\r\nMIIE\r\n"),
        ("/var/x.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\n"),
        ("/var/x.age", "# created\nAGE-SECRET-KEY-1QQPQZ0ZRD0QQPQZ0ZRD0QQPQZ0ZRD\n"),
        ("/etc/wireguard/wg0.conf", f"[Interface]\nPrivateKey = {KEY}\n"),
        ("/etc/systemd/network/wg0.netdev", f"[WireGuard]\nPrivateKey={KEY}\n"),
        ("/etc/wireguard/privatekey", f"{KEY}\n"),
        ("/opt/vpn/key", KEY),
        ("/root/.minisign/minisign.key", "untrusted comment: minisign encrypted secret key\nRWRTY0Iy\n"),
        ("/etc/bind/rndc.key", 'key "rndc-key" {\n\talgorithm hmac-sha256;\n\tsecret "q1w2e3r4t5y6u7i8=";\n};\n'),
        ("/var/lib/bind/Kexample.private", "Private-key-format: v1.3\n"),
        ("/root/.gnupg/private-keys-v1.d/A.key", b"(21:protected-private-key(3:rsa\0"),
        ("/root/.gnupg/private-keys-v1.d/B.key", "Created: 20260101T000000\nKey: (private-key (ecc\n"),
        ("/etc/ceph/ceph.client.keyring", "[client.x]\n\tkey = AQBSdFhcGZFUDRAAcKhG9Cl2HPiDMMRv4DC43A==\n"),
        ("/home/ann/.kube/config", "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTg==\n"),
        ("/etc/letsencrypt/private_key.json", '{"n": "x", "e": "AQAB", "d": "secret", "kty": "RSA"}'),
        ("/srv/app/keystore.jks", b"\xfe\xed\xfe\xed\0\0\0\2"),
        ("/srv/app/keystore.jceks", b"\xce\xce\xce\xce\0\0\0\2"),
        ("/srv/app/host.keytab", b"\5\2\0\0\0"),
        ("/srv/app/bundle", b"\x30\x82\x0a\x0d\x02\x01\x03\x30\x82\x09\x93" + DATA + b"\xa0"),
        ("/srv/app/key.der", b"\x30\x82\x04\xbd\x02\x01\x00" + RSA + b"\x04\x82"),
        ("/etc/dropbear/dropbear_rsa_host_key", b"\0\0\0\7ssh-rsa"),
        ("/etc/dropbear/initramfs/dropbear_ed25519_host_key", b"x"),
        ("/root/.local/share/keyrings/login.keyring", b"GnomeKeyring\n"),
        ("/var/lib/tor/x/hs_ed25519_secret_key", b"== ed25519v1-secret: type0 ==\0\0\0"),
    ],
)  # fmt: skip
def test_a_private_key_is_found(path: str, content: str | bytes) -> None:
    assert len(found(path, content, "private-keys")) == 1


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/ssl/certs/a.pem", pem("CERTIFICATE")),
        ("/etc/ssl/public.pem", pem("PUBLIC KEY")),
        ("/usr/local/bin/check", "grep -q -- '-----BEGIN PRIVATE KEY-----' \"$1\"\n"),
        ("/opt/app/README", 'The file starts with "-----BEGIN PRIVATE KEY-----".\n'),
        ("/etc/wireguard/publickey", KEY),
        ("/srv/two", f"{KEY}\n{KEY}\n"),
        ("/opt/venv/lib/python3.12/site-packages/x/tests/key.pem", pem("RSA PRIVATE KEY")),
        ("/usr/share/doc/x/key.pem", pem("RSA PRIVATE KEY")),
        ("/etc/NetworkManager/system-connections/x", "[802-1x]\nprivate-key=/etc/pki/key.pem\n"),
        ("/srv/jwk.json", '{"kty": "RSA", "n": "x", "e": "AQAB"}'),
        ("/srv/cert.der", b"\x30\x82\x03\x00\x30\x82\x02\x00\xa0\x03\x02\x01\x02" + RSA),
        ("/srv/empty.ppk", ""),
        ("/srv/text", b"text \xfe\xed\xfe\xed"),
    ],
)
def test_what_is_not_a_private_key_is_not_reported(path: str, content: str | bytes) -> None:
    assert found(path, content, "private-keys") == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/root/.netrc", "machine example.com login ann password s3cret\n"),
        ("/root/.netrc", "machine example.com\n  login ann\n  password s3cret\n"),
        ("/etc/apt/auth.conf.d/x.conf", "machine example.com login ann password s3cret\n"),
        ("/root/.pgpass", "localhost:5432:*:ann:s3cret\n"),
        ("/root/.my.cnf", "[client]\npassword = s3cret\n"),
        ("/etc/mysql/debian.cnf", "[client]\npassword = s3cret\n"),
        ("/root/.git-credentials", "https://ann:s3cret@example.com\n"),
        ("/etc/environment", "https_proxy=http://ann:s3cret@proxy.example.com:3128\n"),
        ("/root/.npmrc", "//registry.example.com/:_authToken=abcdef\n"),
        ("/root/.pypirc", "[pypi]\nusername: ann\npassword: s3cret\n"),
        ("/root/.docker/config.json", '{"auths": {"example.com": {"auth": "YW5uOnMzY3JldA=="}}}'),
        ("/root/.kube/config", "users:\n- user:\n    token: abcdef.0123456789\n"),
        ("/u01/app/oracle/.aws/credentials", "aws_secret_access_key=x\n"),
        ("/etc/boto.cfg", "[Credentials]\naws_secret_access_key = abc\n"),
        ("/etc/default/app", "AWS_SECRET_ACCESS_KEY=abcdef\n"),
        ("/root/.azure/msal_token_cache.json", '{"secret": "x1"}'),
        ("/root/.config/gcloud/application_default_credentials.json", '{"refresh_token": "1//x"}'),
        ("/root/.config/gh/hosts.yml", "github.com:\n  oauth_token: gho_x\n"),
        ("/root/.config/rclone/rclone.conf", "[x]\npass = abc\n"),
        ("/root/.s3cfg", "secret_key = abc\n"),
        ("/root/.vault-token", "hvs.CAESIJ0123456789"),
        ("/root/.terraform.d/credentials.tfrc.json", '{"credentials": {"app": {"token": "x.y"}}}'),
        ("/root/.cargo/credentials.toml", '[registry]\ntoken = "abc"\n'),
        ("/root/.m2/settings.xml", "<server><password>s3cret</password></server>\n"),
        ("/root/setup.sh", "echo 'root:s3cret' | chpasswd\n"),
        ("/root/setup.sh", "echo ann:s3cret | sudo chpasswd -e\n"),
        ("/root/old-ks.cfg", "rootpw --plaintext s3cret\n"),
        ("/root/old-ks.cfg", "user --name=ann --password=s3cret\n"),
        ("/root/preseed.cfg", "d-i passwd/root-password password r00tme\n"),
        ("/var/cache/debconf/passwords.dat", "Name: mysql-server/root_password\nTemplate: x\nValue: s3cret\n"),
        ("/etc/cloud/cloud.cfg.d/99.cfg", "#cloud-config\nusers:\n  - plain_text_passwd: s3cret\n"),
        ("/etc/cloud/cloud.cfg.d/99.cfg", "#cloud-config\nchpasswd:\n  list: |\n    root:s3cret\n"),
        ("/srv/users", "ann:$6$rounds=5000$abcdefgh$0123456789abcdefABCDEF\n"),
        ("/srv/users", "ann:$2y$05$0123456789abcdefABCDEFGHIJ0123456789\n"),
        ("/srv/users", "ann:$y$j9T$abcdefgh$0123456789abcdefABCDEF0123456789\n"),
        ("/etc/nginx/htpasswd", "ann:$apr1$abcdefgh$0123456789abcdef\n"),
        ("/etc/nginx/htpasswd", "ann:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n"),
        ("/etc/nginx/htpasswd", "ann:abCDefGHijKL.\n"),
        ("/etc/grub.d/40_custom", "password_pbkdf2 ann grub.pbkdf2.sha512.10000.ABCDEF.012345\n"),
        ("/etc/wpa_supplicant/wlan0.conf", 'network={\n  ssid="x"\n  psk="s3cret"\n}\n'),
        ("/etc/network/interfaces", "iface wlan0 inet dhcp\n  wpa-psk s3cret12\n"),
        ("/etc/NetworkManager/system-connections/x", "[wifi-security]\npsk=s3cret\n"),
        ("/etc/NetworkManager/system-connections/x", "[802-1x]\npassword=s3cret\n"),
        (
            "/etc/netplan/60-wlan.yaml",
            'network:\n  wifis:\n    wlan0:\n      access-points:\n        "x":\n          password: "s3cret"\n',
        ),
        ("/var/lib/iwd/x.psk", "[Security]\nPassphrase=s3cret12\n"),
        ("/etc/ipsec.secrets", '192.0.2.1 192.0.2.2 : PSK "s3cret"\n'),
        ("/etc/swanctl/conf.d/x.conf", "secrets {\n  ike-1 {\n    secret = s3cret\n  }\n}\n"),
        ("/etc/ppp/chap-secrets", '"ann" * "s3cret" *\n'),
        ("/etc/iscsi/iscsid.conf", "node.session.auth.username = u\nnode.session.auth.password = s3cret\n"),
        ("/etc/target/saveconfig.json", '{"chap_password": "s3cret"}'),
        ("/etc/sasldb2", b"\0x"),
        ("/etc/postfix/sasl_passwd", "[smtp.example.com]:587 ann:s3cret\n"),
        ("/etc/exim4/passwd.client", "smtp.example.com:ann:s3cret\n"),
        ("/root/.msmtprc", "account x\npassword s3cret\n"),
        ("/etc/sssd/sssd.conf", "ldap_default_authtok = s3cret\n"),
        ("/etc/sudo-ldap.conf", "bindpw s3cret\n"),
        ("/etc/ldap.secret", "s3cret\n"),
        ("/root/.smbcredentials", "username=ann\npassword=s3cret\n"),
        ("/etc/fstab", "//nas/x /mnt/x cifs username=ann,password=s3cret 0 0\n"),
        ("/opt/app/.env", "DB_PASSWORD=s3cret\n"),
        ("/etc/systemd/system/x.service", '[Service]\nEnvironment="API_TOKEN=abcdef"\n'),
        ("/etc/yum.repos.d/x.repo", "[x]\npassword=s3cret\n"),
        ("/var/lib/snmp/snmpd.conf", 'createUser ann SHA "s3cret12"\n'),
        ("/etc/freeradius/3.0/clients.conf", "client x {\n  secret = s3cret\n}\n"),
        ("/etc/rsyncd.secrets", "ann:s3cret\n"),
        ("/root/.curlrc", 'user = "ann:s3cret"\n'),
        ("/root/.vnc/passwd", b"\1\2\3"),
        ("/home/ann/.erlang.cookie", "ABCDEF"),
        ("/root/x", "ghp_0123456789abcdefghijABCDEFGHIJ012345\n"),
        ("/etc/chrony.keys", "1 SHA1 HEX:00112233445566778899\n"),
    ],
)
def test_credentials_are_found(path: str, content: str | bytes) -> None:
    assert found(path, content, "credentials") != []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/shadow", "root:$6$abcdefgh$0123456789abcdefABCDEF:1:::::\n"),
        ("/etc/nsswitch.conf", "passwd:         files systemd\n"),
        ("/etc/cloud/cloud.cfg", "system_info:\n  default_user:\n    lock_passwd: True\n"),
        ("/etc/cloud/cloud.cfg", "chpasswd:\n  expire: false\n"),
        ("/etc/mysql/debian.cnf", "[client]\npassword =\n"),
        ("/etc/ppp/pap-secrets", '*\thostname\t""\t*\nguest\thostname\t"*"\t-\n'),
        ("/etc/ipsec.secrets", "# : PSK \"x\"\n: RSA host.pem\n"),
        ("/etc/iscsi/iscsid.conf", "#node.session.auth.password = password\n"),
        ("/etc/wgetrc", "#http_proxy = http://user:pass@proxy/\n"),
        ("/etc/app.conf", "url = http://$USER:$PASS@example.com/\nother = http://<user>:<password>@example.com/\n"),
        ("/etc/yum.repos.d/x.repo", "[x]\nbaseurl=https://example.com/\n#password=x\n"),
        ("/root/old-ks.cfg", "rootpw --lock\nuser --name=ann --lock\n"),
        ("/etc/default/app", "ASK_PASSWORD=yes\nTOKEN_FILE=/run/token\nTOKEN=\n"),
        ("/var/cache/debconf/passwords.dat", "Name: mysql-server/root_password\nTemplate: x\nOwners: x\n"),
        ("/etc/snmp/snmpd.conf", "rocommunity public default -V systemonly\n"),
        ("/etc/freeradius/3.0/clients.conf", "client localhost {\n  secret = testing123\n}\n"),
        ("/etc/exim4/passwd.client", "# target.mail.server.example:login:password\n"),
        ("/etc/login.defs", "ENCRYPT_METHOD YESCRYPT\nPASS_MAX_DAYS 99999\n"),
        ("/etc/pam.d/common-password", "password [success=1 default=ignore] pam_unix.so obscure yescrypt\n"),
        ("/etc/grub.d/00_header", "set timeout=5\n"),
    ],
)  # fmt: skip
def test_contents_of_a_clean_system_are_not_credentials(path: str, content: str | bytes) -> None:
    assert found(path, content, "credentials") == []


def test_who_may_log_in_is_a_note() -> None:
    assert found("/etc/shadow", "root:$6$abcdefgh$0123456789abcdefABCDEF:1:::::\n", "logins") == ["root has a password"]


@pytest.mark.parametrize("rule", [*private_keys.RULES, *credentials.RULES], ids=lambda rule: str(rule.pattern)[:40])
def test_grep_reads_a_pattern_as_python_does(rule: rules.SecretRule) -> None:
    """No classes, look-around, lazy or named groups, which only Python supports, and no match
    across the end of a line."""
    text = rule.text.decode("latin-1")
    assert not any(
        word in text for word in (r"\d", r"\s", r"\w", r"\b", "(?", "*?", "+?", "\n", "[[:", r"\t", r"\n", r"\r")
    )


@given(st.binary(max_size=40))
def test_a_literal_matches_itself_and_nothing_shorter(content: bytes) -> None:
    import re

    pattern = re.compile(rules.literal(content), re.DOTALL)
    assert pattern.fullmatch(content)
    assert not content or not pattern.fullmatch(content[:-1])


@given(st.text(alphabet="abcdefghijABCDEFGHIJ0123456789", min_size=8))
def test_a_random_value_is_not_a_placeholder(value: str) -> None:
    assert not rules.is_placeholder(value.encode())


@pytest.mark.parametrize(
    ("configuration", "text", "what"),
    [
        ("/etc/crypttab", "data UUID=x /etc/keys/data luks\n", "disk encryption key"),
        ("/etc/fstab", "//nas/x /mnt cifs rw,credentials=/etc/keys/data 0 0\n", "file server password (SMB)"),
        ("/etc/zabbix/zabbix_agentd.conf", "TLSPSKFile=/etc/keys/data\n", "Zabbix key"),
        ("/etc/openvpn/client/x.conf", "auth-user-pass /etc/keys/data\n", "tunnel or dial-up password"),
    ],
)
def test_a_file_that_a_configuration_names_is_a_secret(configuration: str, text: str, what: str) -> None:
    nodes = {
        path: Node("file", 0o600, one)
        for path, one in (SYSTEM | {configuration: text.encode(), "/etc/keys/data": b"x"}).items()
    }
    result = audit_guest(MemoryDisk(with_folders(nodes)), lambda detail, fraction: None)
    changes = [
        (change.path, change.what) for one in result.operations if one.name == "credentials" for change in one.changes
    ]
    assert changes == [("/etc/keys/data", f"{what}, according to {configuration}")]


def test_a_secret_in_a_long_line_is_found_without_the_lines_number() -> None:
    line = '{"x": "' + "y" * 5000 + '", "refresh_token": "abc"}'
    assert found("/root/x.json", line, "credentials") == ["account token"]


@pytest.mark.seconds
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "a\n" * 500_000,
        "echo " + ":" * 300_000,
        "password " * 100_000,
        "machine x " * 100_000,
        "x" * 1_000_000,
        "x.y-" * 250_000,
    ],
)
def test_a_hostile_text_does_not_take_forever(text: str) -> None:
    """Without a limit on the length of lines, and with sets that match the ends of lines, this
    takes hours."""
    assert list(rules.found_in(private_keys.RULES, "/root/x", text.encode())) == []
    assert len(list(rules.found_in(credentials.RULES, "/root/x", text.encode()))) < 3
