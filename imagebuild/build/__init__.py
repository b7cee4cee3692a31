"""Builds an artifact from a recipe: the plan, its steps, and the cache of their results."""
