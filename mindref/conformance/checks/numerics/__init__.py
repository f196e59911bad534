"""Checks of rules about the arithmetic of every operator. Spec: specs/numerics.md."""
