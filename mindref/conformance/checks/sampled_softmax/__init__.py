"""Checks of sampled softmax. Spec: specs/sampled_softmax.md."""
