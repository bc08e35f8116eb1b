"""The MQTT broker, through aiomqtt."""
