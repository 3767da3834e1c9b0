from tests.models import minilm, minilm_folder

__all__ = ["minilm", "minilm_folder"]
