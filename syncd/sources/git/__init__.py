"""Git repositories on any server: `source` is the Source, `watch` notices a moved branch, `program` runs git.

The type `github` is made of the same parts and brings its own: names of GitHub repositories and tokens of GitHub Apps.
"""
