"""Diagnosis of an installation: what works here, what does not, and what to do.

    finding        the result of a check: ok, a note, or a problem
    probes         checks that run in child processes, because they may crash or hang
    probe_runner   starts and ends these child processes
    installation   versions of packages, environment variables
    machine        processor, memory, folders, standard output
    examine        runs all checks

No module imports NumPy in this process: a NumPy built for another processor would end it.
"""
