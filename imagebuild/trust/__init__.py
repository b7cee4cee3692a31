"""Who built an artifact, from what: provenance, signatures, and how they are checked."""
