"""GitHub repositories: `source` is the Source, `watch` notices a moved branch, `app` gets tokens for private ones."""
