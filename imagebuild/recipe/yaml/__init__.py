"""A recipe as text: YAML read into documents that know their places, and written down again."""
