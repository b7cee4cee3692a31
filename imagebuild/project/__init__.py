"""The project's file ``imagebuild.yaml``."""
