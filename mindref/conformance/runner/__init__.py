"""Run the checks of the suite on a backend, and build the report.

The main modules:

    suite_run       run all checks on a backend, build the report
    processes       run the checks in several processes
    plan            select the checks for a backend, run one check
    claims          validate the capabilities that a backend claims
    check           the list of all checks, each with the rules that it tests
    check_runner    run one check on many calls that Hypothesis generates
    drawn_calls     draw the calls of a check with Hypothesis
    trivial_implementations  simple wrong implementations that every check must reject
    call_runner     run the calls of a check, and test the rules of all operators
    context         functions with which a check compares answers
    wrong_answers   compare two answers that may both be wrong
    call            the inputs of one call, and an adapter that runs calls on a backend
    reference       the answer of the reference to a call, with an error bound for every number
    attribution     find failures that another failure explains
    diagnosed       add diagnoses to the failures
    expectations    read the known failures and widened tolerances of a backend
"""
