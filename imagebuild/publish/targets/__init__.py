"""Places that keep published files as files: a folder, an SFTP server, S3-compatible storage."""
