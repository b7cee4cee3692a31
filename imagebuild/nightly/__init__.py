"""A nightly run: builds what changed, compares it with the last good version, and publishes what passes."""
