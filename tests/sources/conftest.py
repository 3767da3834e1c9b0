from tests.git_server import git_server
from tests.github_api import github_api

__all__ = ["git_server", "github_api"]
