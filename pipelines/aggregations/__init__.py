"""What can be made of a series of timed values: one file for each aggregation. A file added here is an aggregation more, everywhere."""
