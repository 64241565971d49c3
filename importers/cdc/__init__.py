"""Change data capture: Debezium's records as events, corrections included, with ids that Kafka's repetitions share."""
