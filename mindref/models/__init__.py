"""Model families: compositions of the operators, and baselines that are fitted in one call.

registry     the list of families: name, summary, settings
family       the interface of a family; check before training
parameters   parameters: shapes, initial values, names
logits       initial logits of routing, drawn or keyed
layers       the ReLU layers of several families
features     item features and user profiles as table rows
serving      histories -> interests or scores, in blocks of users
tower        the user tower of MIND, for export

mind         MIND, forward and backward
mind_plus    MIND with weights by age, contexts, and the loss of the served score
youtube_dnn  baseline with one vector, the mean of the behaviours
maxmf        K free vectors per user; `warp` is its loss, `foldin` its serving
din          DIN, which reranks candidates; `din_config` has its settings

popularity, own_counts, random_scores, item_knn, wals   fitted in one call
"""
