from tests.synced_folder import folder, parts, target, vector_server

__all__ = ["folder", "parts", "target", "vector_server"]
