"""What tests of the whole way of a document have in common."""

from tests.synced_folder import folder, parts, target, vector_server

__all__ = ["folder", "parts", "target", "vector_server"]
