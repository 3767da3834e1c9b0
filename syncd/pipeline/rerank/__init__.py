"""Reranking: a model reads a question with each of a search's first hits, and says how well it answers."""
