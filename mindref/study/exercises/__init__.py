"""The exercises of `mindref study --exercise NAME`, and the checks of a learner's answer.

tasks       texts and solution of each exercise (.toml), and the cases of several (.py)
cases       the types that a module of `tasks` uses
exercise    read the texts of an exercise, and print its statement
expected    the reference answers of the cases, and finite differences
worker      run a learner's function on the cases
sandbox     start the worker in a process with limits
grader      the checks of an answer, in order
known_mistakes, patterns, location
            compare an answer with known mistakes, general patterns, and wrong places
diagnosis   the name of a mistake, and the failing cases that it does not explain
iterations  the first routing iteration that is wrong
report      the report of a check, as text
page_texts  the texts of an exercise for the study page
workspace   the learner's folder: files and progress
commands    list, start, check, watch, hint, solution, reset
options     the options of the command line

README.md in this folder: how to write an exercise, and which cases kill which mistakes.
"""

NAMES = (
    "routing-axis", "squash", "zero-init", "mask", "route",
    "softmax-vjp", "squash-vjp", "aggregate-vjp", "agreement-vjp",
    "route-vjp-last", "route-vjp-full", "label-attention", "label-attention-vjp",
    "sampled-softmax", "sampled-softmax-vjp", "embedding-vjp", "adam-step", "train-with-yours",
    "bug-1", "bug-2", "bug-3", "bug-4", "bug-5", "bug-6",
)  # fmt: skip
"""In the order of study. The number of an exercise is its position in this list, from 1."""
