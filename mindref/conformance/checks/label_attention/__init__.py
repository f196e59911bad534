"""Checks of label-aware attention. Spec: specs/label_attention.md."""
