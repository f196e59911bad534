"""Models: compositions of the operators.

parameters   what is learned: shapes, initial values, names
logits       initial logits of routing, drawn or keyed
mind         the composition read aloud, forward and backward
"""
