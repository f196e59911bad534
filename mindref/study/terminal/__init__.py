"""The stepper in a terminal: every step of one user and one training pair, line by line.

session    a learner types commands, or a file does
one_shot   one step, and one cell, variant or ledger
plain      everything, no questions, no colour

lines, widths, numerals, tables   how numbers and titles are set
finding, cells, words             what a learner types
screen, checks                    a step, and what must hold there
terms, compare, bench, accounts   a cell term by term, two rounds, a variant, the ledger
ask, tries                        a question before the result, three things after it
stepper                           text in, lines out; `session` reads and writes
"""

from mindref.study.terminal.session import one_shot, plain, session

__all__ = ["session", "one_shot", "plain"]
