"""syncd keeps Chroma collections equal to the sources they come from."""

__version__ = "0.1.0"
