"""What Gangplank raises.

    GangplankError
    ├── ConfigurationError (ValueError)      an argument has a value that is not allowed
    ├── MissingDependencyError (ImportError) an extra is not installed
    ├── ServerStartError (OSError)           a listening socket could not be opened
    └── ExportError (OSError)                metrics could not be delivered

An argument of the wrong type raises Python's own ``TypeError``. ``ExportError`` reaches user code only where
the user asked for it, with ``ignore_exceptions=False`` or by calling ``flush()``.
"""

from __future__ import annotations


class GangplankError(Exception):
    """Base class of all errors that Gangplank raises."""


class ConfigurationError(GangplankError, ValueError):
    """An argument has a value that is not allowed; the message names it and says what is."""


class MissingDependencyError(GangplankError, ImportError):
    """A feature needs an extra that is not installed; the message holds the pip command."""


class ServerStartError(GangplankError, OSError):
    """A listening socket could not be opened, most often because the port is taken."""


class ExportError(GangplankError, OSError):
    """Metrics could not be delivered to where they were meant to go."""
