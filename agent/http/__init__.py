"""Health and metrics of one agent over HTTP, where [http] asks for it; the only place of prometheus_client."""
