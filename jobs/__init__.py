"""One file per Flink application; `topology` holds what they share."""
