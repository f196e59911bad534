"""The model and its training step, fused: no padding, and one vote S e for each distinct item e.

step             computes the loss and all gradients of a batch, in three phases (see workspace)
forward          computes interests from histories, in two phases
adam             makes one Adam step on dense parameters and on table rows with a gradient
user_block       compiled: forward from capsules to losses, and backward, for a block of users
pooled_block     the same for the pooled loss of mind_plus
additions        the settings by which mind_plus differs from MIND
ages             compiled: log weights by age, dropout, and the contexts of users
item_gradients   computes the gradients of items and of the matrix S from the gradient of capsules
layers           layers between capsules and interests: buffers, forward and backward
layout           layout of a batch without padding; numbers its distinct items
checks           checks shapes, dtypes and ids of the inputs
workspace        buffers that are reused from step to step, and threads that run phases
"""
