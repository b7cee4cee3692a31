"""What an audit looks for by itself, beside what operations would remove.

First ``identities`` gathers what tells this guest from another, and ``logins`` what may be meant. Then the operations are carried out, on disks
that are thrown away. What ``search`` still finds after that, scrubbing would leave behind: the identities that were gathered, private keys by
their content (``private_keys``), and credentials (``credentials``).
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
"""What each of them finds: an identity, a secret, or something worth a look that is no fault."""
