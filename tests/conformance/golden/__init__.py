"""Frozen answers: their files, and the checks that judge by them."""
