"""The operators of MIND in JAX, written from the pages of mindref."""

__version__ = "0.1.0"
