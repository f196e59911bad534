"""Checks of the model, level 2 of the backend contract. Spec: specs/model.md."""
