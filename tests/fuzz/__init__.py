"""Bad input: anything that a file, an option or a folder can hold, and what may come of it.

Every outcome is a correct result, or an error of mindref whose message has the grammar of
mindref/errors.py and can be shown on a terminal; in time, and in bounded memory. Anything else, a
traceback, a hang, a partial file, is a bug. It is mended where it is, and its input becomes a test
beside those of the module (tests/data/test_readers_strange.py has many).

    outcome.py      what may come of an input, and the time that it may take
    invariants.py   what holds of every log
    logs.py         logs of every form, of which is known what must be read
    packed.py       the same bytes packed, in archives and folders
    damage.py       what happens to bytes
    values.py       what happens to settings and to words of files
    test_*.py       the properties: readers, settings, the command line
    guided.py       a fuzzer that is led by coverage, by hand: it wants atheris

A small share of derandomised inputs is part of the usual tests. The campaign has fresh ones, 3000
for each property, and says how many were answered and how many refused:

    python -m pytest -q -n 0 --fuzz tests/fuzz

What a bomb costs in memory is measured in processes of their own, in test_readers_bounds.py; what
damage does to a run directory is tested in tests/run/test_checkpoint_damage.py.
"""
