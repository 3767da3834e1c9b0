from tests.git_server import git_server

__all__ = ["git_server"]
