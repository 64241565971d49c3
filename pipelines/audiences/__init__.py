"""Rules over profiles: what they may read, scores, segments and tags."""
