"""The machinery of the judge: it asks a backend, compares, and keeps the books.

In the order of a judgement:

    call          one question: an operator, its arrays and numbers, a cotangent
    subject       whoever is asked: a backend, or something planted to be caught
    reference     the same question put to the reference, with the allowed error of every number
    judge         what a check may do: ask, agree, same, equal, refuses
    check         the checks by page, each citing the rules that it judges
    engine        one check under Hypothesis: many drawn calls, one result
    gates         answers that any check must reject before it may judge
    plan          all checks of a backend: claims, prerequisites, books that balance
"""
