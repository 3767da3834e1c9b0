"""Keeps the vector store equal to SQLite: writes, repairs, rebuilds and verifies."""
