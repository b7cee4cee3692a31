"""Files of a new project; @NAME@ and @BASE@ stand for its first image and the recipe that it extends."""
