"""A store that machines share: entries of their stores, by kind and fingerprint, at one remote place.

    chunks/<xx>/<sha256>           pieces of files, compressed, under the digest of their content
    entries/<kind>/<fingerprint>   the record of an entry: which chunks make up its files; written last
    used/<kind>/<fingerprint>      empty; as old as the last use of the entry
    pushes/<token>                 the record of an entry that is being pushed
    prunes/<token>                 empty; retention is removing things

Every object is written as a whole and never changes, so that there is nothing to lock. Nothing there
is trusted: docs/remote-store.md says what is checked.
"""
