"""From a document's bytes to its chunks in Chroma."""
