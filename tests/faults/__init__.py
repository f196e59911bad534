"""One sweep of faults: whatever fails or is damaged, a command gives a right result or an error.

An error has exit code 2 and a message with its place and what to do. No traceback, no hang, no
incomplete file, and no earlier file is lost (specs/faults.md, specs/security.md).

commands       the commands, a folder in which they run, and the judgement of an outcome
failing_calls  runs a command in a fork, counts its calls on files, and lets one of them fail
damage         ways of damage: of bytes, and of a file as a whole
logs           random logs of every format and packing
test_sweep     calls that fail, full disks, kills, and damaged files of runs
test_inputs    any bytes as a log, a file of a run, or settings (Hypothesis)

The default run has a small sample of it. The whole sweep takes more than an hour:

    python -m pytest -q -n 2 --sweep tests/faults
"""
