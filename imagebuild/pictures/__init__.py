"""Pictures of a plan and of the history, as SVG. Their libraries are optional, and are imported late."""
