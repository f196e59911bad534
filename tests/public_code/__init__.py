"""Conformance of public code: adapters for two packages, and public bugs as backends."""
