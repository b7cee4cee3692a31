"""A recipe as text: reads YAML into documents that know the place of each value, and writes YAML."""
