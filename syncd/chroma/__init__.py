"""Chroma: our own server, the client for every form of it, and what it accepts."""
