"""The HTTP collector: takes events as the Segment SDKs send them and answers 200 once Kafka has them."""
