"""Diagnosis of an installation: what works here, what does not, and what to do.

    checks   checks of this process, and their results: ok, a note, or a problem
    probes   checks in child processes, because they may crash or hang
    examine  starts and ends these child processes, runs all checks

No module imports NumPy in this process: a NumPy built for another processor would end it.
"""
