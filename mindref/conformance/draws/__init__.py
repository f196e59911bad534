"""What checks are fed with, and what laws do to it.

Calls: `worlds` (small models), `trainings` (some steps of one), `whole_numbers` (no type rounds),
`operators` (the calls of each), `bends` (where a model bends, and how far a call is from there).
Changes: `axes` (permute, pick), `reach` (what depends on one number), `routing_cases`,
`sampled_softmax_cases`. And `slopes`: gradients against the backend's own forward.
"""
