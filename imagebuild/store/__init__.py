"""Results of steps, artifacts, runs and the build history on disk."""
