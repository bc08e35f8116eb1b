"""What the agent publishes over MQTT: topics, payloads and events."""
