"""Checks of the model mind_plus. Spec: specs/mind_plus.md."""
