"""Repositories on GitHub: `app` gets tokens for private ones; all else is in `sources/git/`."""
