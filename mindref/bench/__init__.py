"""Benchmark: training steps, inference, evaluation and recall of all backends in one run.

    choices      names of tasks and models
    workload     a synthetic batch and catalogue, the same in every process
    contenders   what is timed: a backend, trained as in `mindref train`
    worker       the process of one contender and its timed tasks; `workers` controls the processes
    timing       interleaved rounds, summaries of times, ratios of rows
    machine      facts about the machine, memory of a process
    lower_bound  lower bound on the time of a step
    run          a whole run
    report       lines and tables of a result

Each contender has a separate process: the number of BLAS threads is fixed when BLAS is loaded, and
two thread pools that use all cores at once take twice as long.
"""
