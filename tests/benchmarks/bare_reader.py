"""`python -m tests.benchmarks.bare_reader PORT TOPIC COUNT`: the floor of a collector, aiomqtt and nothing else.

Prints `ready` once it is subscribed, and then how many seconds passed from the first to the last of COUNT messages, and
how many seconds of CPU time it took for them.
"""

import asyncio
import sys
import time

import aiomqtt


async def read(port: int, topic: str, count: int) -> tuple[float, float]:
    async with aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, identifier="bare-reader"
    ) as client:
        await client.subscribe(topic, qos=1)
        print("ready", flush=True)
        await anext(client.messages)
        began, used = time.perf_counter(), time.process_time()
        for _ in range(count - 1):
            await anext(client.messages)
        return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    print(*asyncio.run(read(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))), flush=True)
