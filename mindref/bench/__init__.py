"""Whole steps, inference, evaluation and recall of every backend, timed in one interleaved run.

    world       a made-up batch and catalogue, the same in every process
    levels      how the highest level of a backend is called
    torch_step  an honest eager step of PyTorch, to compare with; jax_step a jitted one of JAX
    subjects    who is timed: a backend, or one of these two
    tasks       what is timed
    worker      a process that holds one subject; crew starts and asks such processes
    timing      interleaved rounds and what is said of their times
    floor       what a step takes by its equations; memory what a process has needed
    run         all of it together; scaling one number varied; report tables, JSON and a plot

A subject has a process of its own: threads of BLAS are fixed when it is loaded, and two pools of
threads that own the cores together cost a factor of two.
"""
