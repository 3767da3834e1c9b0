"""Sparse vectors of texts: BM25 as Chroma computes it, BM25 for code, and SPLADE."""
