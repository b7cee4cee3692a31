"""What an audit searches for in addition to what the operations would remove.

First ``identities`` collects everything that distinguishes this guest from others, and ``logins``
collects findings that may be intended. Then the operations are carried out on disks that are thrown
away. Whatever ``search`` still finds afterwards would remain after scrubbing: the collected
identities, private keys, which are recognised by their content (``private_keys``), and credentials
(``credentials``).
"""

from __future__ import annotations

IDENTITIES = "identities"
PRIVATE_KEYS = "private-keys"
CREDENTIALS = "credentials"
LOGINS = "logins"
LIMITS = "limits"
KINDS = {
    IDENTITIES: "identity",
    PRIVATE_KEYS: "secret",
    CREDENTIALS: "secret",
    LOGINS: "note",
    LIMITS: "note",
}
"""What each of them finds: an identity, a secret, or something worth checking that is not an error."""
