"""Gradients held against finite differences of the loss.

givens       what a computation is given, by name, and how to move one number of it
unrolled     the forward pass written out flat, so that any number on the way can be moved
differences  the difference by one number, and its error over the step
slopes       many differences at once, against a closed form
ledger       the gradient through routing as a sum over the places of use
"""
