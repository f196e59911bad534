"""The model of the study with its users, and one training pair of a user.

study_model        a run directory, or the built-in model (built_in/)
user_rules         rules that choose a user
film_club          the synthetic log of the built-in model
built_in_training  its training
"""
