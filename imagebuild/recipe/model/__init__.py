"""The sections of a recipe, one module each, and the combinations that are checked."""
