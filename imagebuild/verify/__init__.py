"""Verification: boots throwaway clones of an image, runs checks in them and compares their identities."""
