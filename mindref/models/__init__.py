"""Models: compositions of the operators, and baselines that are fitted at once.

families     which there are, and what each must have
parameters   what is learned: shapes, initial values, names
logits       initial logits of routing, drawn or keyed
layers       the ReLU layers, which several families share
recency      how many behaviours follow one
serving      from histories to interests, or scores, many users at a time
tower        what of MIND is needed to answer, for export

mind         the composition read aloud, forward and backward
mind_plus    the same with weights by age, contexts, and the loss of serving
youtube_dnn  the baseline with one vector, the mean of the behaviours
maxmf        K free vectors for every user; `warp` is its loss, `foldin` its serving
din          the ranking stage: a score for each candidate; `din_config` has its settings

popularity, chance, item_knn, wals    fitted at once; `interactions` is what they are fitted on
"""
