"""From a recipe to an artifact: the plan, its steps, and what keeps their results."""
