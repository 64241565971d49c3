"""Rejected records: how they are chosen, corrected, and made into records that can go back to their raw topic."""
