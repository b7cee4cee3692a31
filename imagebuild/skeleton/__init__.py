"""Files of a new project; @NAME@ and @BASE@ are placeholders for its first image and the recipe
that it extends. @LOGIN@ is one of the files login*.yaml.
"""
