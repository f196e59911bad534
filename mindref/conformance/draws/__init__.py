"""Hypothesis strategies that draw calls, and changes of calls that properties need.

model_draws                 small models with batches, and calls of levels 2 and 3
training_draws              some training steps of a small model
nondifferentiable           distance of a call from points without derivative
operators                   the calls of each operator, and checks of all operators
small_integers              calls in small integers, where no dtype rounds
axes                        permute or select users, positions and interests of a call
nan_reach                   which results depend on one number of a call
routing_changes             changes of a routing call
label_attention_changes     changes of a label-aware attention call
sampled_softmax_changes     changes of a sampled softmax call
"""
