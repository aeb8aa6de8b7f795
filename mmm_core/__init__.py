"""Marketing mix models as pure numbers: no files, clocks, random global state or engines below this line.

Axes, named once and used in every docstring:

    T  periods of history            W  periods of the modelling window (a run of rows of T)
    M  media, paid channels first    P  paid channels (the first P of M)
    K  design columns: baseline, context, paid, organic, in that order
    N  candidates of one batch       H  hyperparameters of a candidate
    B  bootstrap draws               S  points of a response curve

A *candidate* is one point of hyperparameters; ``evaluate.evaluate_candidates`` turns a batch of them into fits,
decompositions and losses. Everything a candidate needs to know about the data is in one frozen ``types.ModelProblem``.
"""
