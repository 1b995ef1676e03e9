"""Sign-in by phone and growth by invitation, as a service that an app team hosts."""

__version__ = "0.1.0"
