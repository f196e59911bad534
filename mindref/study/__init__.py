"""Study tool: inspect, change and recompute every step of MIND for one user.

The trace, in the order in which it is made:

    models          the study model: a run or the built-in model, its users, a training pair
    record          copies of the reference that record intermediate values (probes.toml)
    tracing         the trace of a training pair: forward, backward, optimiser, serving
    steps           the table of steps; placeholders are the values of its placeholders
    trace_builder   recorded events and the table of steps make the trace
    questions       questions before a result; iteration_changes are texts of later iterations
    recipes         how the cells of a tensor are computed; recipe_arrays evaluates recipes
    invariants      properties of the numbers and their residuals
    formulas        the formulas of the pages; latex parses, equation and mathml render them
    sources         the source lines of a step
    trace           the trace and its JSON; traced_user is the trace of one user

Front ends: `terminal`, and `page` with the data of `page_users` and `overview_users`.

Other modules: `explain` (terms of one cell), `variants` (deviations of public code, compared by
`user_summary`), `ambiguities` (readings of the paper, with `reading_inputs`), `case_study`
(the paper's figure) and `exercises`.
`derived_views` are these as JSON (`json_arrays`). `top_items` ranks the items; `suggest` finds
similar names; `number_texts` formats numbers in sentences.
"""
