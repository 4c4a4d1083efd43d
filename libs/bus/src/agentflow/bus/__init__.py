"""Streams, publishing, consuming and leases over NATS JetStream."""
