"""Levels 2 and 3 of the contract, fused: no padding, each distinct item once, buffers kept.

checks      what compiled code does not look at
layout      behaviours in one row, distinct items numbered
look_up     the vectors of items
layers      the rows between capsules and interests that matter, and room for them
stack       up those rows, and down again, compiled
there_and_back  a block of users from its capsules to its losses and back, compiled
forward     from histories to interests
step        from a batch to its loss and all gradients
to_items    from the gradient of capsules to that of items
shared      sums over all uses of an item
adam        the rows that moved
team        tasks of one phase after the other, and the threads that do them
workspace   kept buffers
"""
