"""The monitor's HTTP server: API, server-sent events, metrics and page. The only package that uses aiohttp."""
