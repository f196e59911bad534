"""System calls that fail once, for each command: right result, or exit code 2 with a message.

`failing_calls.c` is a library that is loaded before all others (LD_PRELOAD). It counts the calls
that open, write, rename, link, sync or map a file below a folder, and lets one of them fail.
`server.py` runs commands with it, and `python -m tests.injection --write` writes the table of
specs/faults.md.
"""
