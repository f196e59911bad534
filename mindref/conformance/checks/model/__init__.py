"""Checks of the model. Spec: specs/model.md."""
