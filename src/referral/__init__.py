"""A self-hosted service for sign-in by phone and growth by invitation."""

__version__ = "0.1.0"
