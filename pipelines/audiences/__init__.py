"""Rules over profiles: the expression language, scores, segments and tags."""
