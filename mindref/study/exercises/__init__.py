"""The exercises of `mindref study --exercise NAME`, and what checks an answer.

tasks      the exercises: a page for the learner (.toml) and the cases (.py) of the same stem
cases      what the cases are made of
exercise   reads the page of an exercise
answers    runs a learner's code on the cases
child      the same in a process of its own, with limits
guard      starts that process and hears it out
expected   what the reference says to the cases
judge      the rules, in their order
diagnosis  which known mistake an answer equals
report     what the learner reads
page       the page of an exercise as text
desk       the learner's folder: files and progress
watching   checks again whenever the file is saved
commands   list, start, check, watch, hint, solution, reset
options    the options of the command line

How an exercise is written, and which mistakes the cases kill: README.md in this folder.
"""

NAMES = (
    "routing-axis",
    "squash",
    "zero-init",
    "mask",
    "route",
    "softmax-vjp",
    "squash-vjp",
    "aggregate-vjp",
    "agreement-vjp",
    "route-vjp-last",
    "route-vjp-full",
    "label-attention",
    "label-attention-vjp",
    "sampled-softmax",
    "sampled-softmax-vjp",
    "embedding-vjp",
    "adam-step",
    "train-with-yours",
    "bug-1",
    "bug-2",
    "bug-3",
    "bug-4",
    "bug-5",
    "bug-6",
)
"""In the order of study; an exercise has its number from here, from 1."""
