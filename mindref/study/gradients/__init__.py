"""Gradients compared with finite differences of the loss.

unrolled             the forward pass without loops, so that any intermediate number can be changed
differences          the difference with respect to one number, and its error by step size
batched_differences  many differences at once, compared with a gradient formula
ledger               the gradient through routing as a sum over the uses of the votes
"""
