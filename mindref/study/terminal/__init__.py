"""The stepper in a terminal: every step of one user and one training pair as text.

run_session       read commands from a terminal, a file or a pipe, and print a screen for each
print_view        print one step, or one cell or variant
print_all_steps   print every step in full, without questions and colours

text, tables         lines and their widths, tables
numbers_and_axes     number formats; axes with their titles
marks                the mark of the largest number of a row
window               what a window of a terminal shows of a step; shaded weights
lookup, commands     parse typed text; suggest the next commands
screen, checks       a step, and the invariants that hold at it
terms                one cell term by term
compare              two iterations, a variant
stepper              one command in, lines out; questions and feedback
session              read commands and print
"""

from mindref.study.terminal.session import View, print_all_steps, print_view, run_session

__all__ = ["View", "run_session", "print_view", "print_all_steps"]
