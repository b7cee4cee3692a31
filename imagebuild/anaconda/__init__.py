"""Installation with a distribution's own installer: its source, how it boots, and its input."""
