"""The sections of a recipe, one module each, and checks of their combinations."""
