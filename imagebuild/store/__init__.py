"""Results of steps, artifacts, runs and their history on disk."""
