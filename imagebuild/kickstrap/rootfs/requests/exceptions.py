"""The exceptions that pykickstart's loader names."""


class RequestException(Exception):
    """Something could not be loaded."""


class SSLError(RequestException):
    """Imported by pykickstart, never raised here."""
