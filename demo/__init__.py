"""The real data set as a stream of events, its replayer, and the guided demo."""
