"""Chroma: our own server, the client for every deployment of it, and validation of what it accepts."""
