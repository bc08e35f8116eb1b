"""The pure core: facts in, decisions out. No asyncio, clock, logging or I/O."""
