"""From the files of a recipe to its images: what they extend, their matrix, their variables."""
