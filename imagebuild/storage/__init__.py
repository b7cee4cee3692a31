"""Connections to SFTP servers and to S3-compatible storage, for all that keep files there."""
