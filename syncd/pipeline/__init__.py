"""From a document's bytes to its chunks in the vector store."""
