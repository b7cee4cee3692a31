"""Collects the inventory of a guest that is open in an appliance. None of the guest's own programs
is run, and nothing is changed."""
