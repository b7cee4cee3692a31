"""Installing by a distribution's own installer: where it comes from, how it boots, what it reads."""
