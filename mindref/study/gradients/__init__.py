"""Gradients compared with finite differences of the loss.

unrolled     the forward pass without loops, so that any intermediate number can be changed
differences  the difference with respect to one number
"""
