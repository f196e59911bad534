"""Levels 2 and 3 of the backend contract, fused: no padding, one projection per distinct item.

step             from a batch to its loss and all gradients, in three phases
forward          from histories to interests, in two phases
adam             one Adam step on the rows with a gradient
user_block       compiled: a block of users from capsules to losses and back to capsules
item_gradients   from the gradient of capsules to the gradients of items and of S
item_reduction   compiled: sums of gradients over all uses of an item
layers           buffers of the layers between capsules and interests
layer_kernels    compiled: the layers of a block of users, forward and backward
layout           ragged layout of a batch; distinct items are numbered
lookup           compiled: vectors of items, and their votes
checks           shapes, dtypes and ids of the inputs
workspace        buffers that are reused from step to step
thread_pool      the threads, and the tasks of a phase
"""
