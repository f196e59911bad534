"""Watch, change and re-derive every step of the algorithm.

The trace, in the order in which it comes about:

    worlds     what is studied: a model, its users, one training pair
    record     hears what the functions of the package tell (mindref/record.py)
    run        lets them compute one training pair, forward, backward and beyond; serve ranks
    steps      the table: what is said of each step; words fills in its braces
    build      of events and table makes the steps of a trace
    recipes    how a number comes of others; evaluate computes it again, checks what must hold
    equation   a formula as text, MathML and LaTeX; sources finds the lines that run
    questions  what to ask before the numbers are shown
    trace      all of it, and its JSON; subject is the trace of one user

Who shows it: `terminal`, and `page`, which is made of `leaves`. Beside the trace: `explain` takes a
number apart, `gradients` holds them against differences, `variants` does as public code does,
`ambiguities` reads the paper in other ways (`outcome`: what each comes to), `case` is the paper's
case study; `extras` is these as JSON (`plain`). `exercises` let one write it oneself. `close` finds
the nearest name.
"""
