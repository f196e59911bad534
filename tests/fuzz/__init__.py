"""Property tests of invalid input: files, options and folders with any content.

An outcome must be a correct result or an error of mindref. The message of an error must have the
form of mindref/errors.py and must be printable. Time and memory are bounded. Any other outcome
(a traceback, a hang, a partial file) is a bug. The input of a bug becomes a test of the module;
tests/data/test_readers_columns.py has many.

The usual tests include a few derandomised inputs. A campaign draws 3000 new inputs per property,
and prints the numbers of accepted and refused inputs:

    python -m pytest -q -n 0 --fuzz tests/fuzz

The memory of decompression bombs is measured in child processes by test_readers_bounds.py. Damaged
run directories are tested in tests/run/test_checkpoint_damage.py.
"""
