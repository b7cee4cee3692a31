"""Builds an image again from its manifest, and says what differs and why."""
