#!/usr/bin/env python3
"""Load on a server that runs: many clients at once, with slow and oversized ones beside them.

    build/sam3trt serve --model build/demo/graphs --port 8080 &
    .venv/bin/python bench/serve_load.py http://127.0.0.1:8080 --pid $! --clients 1000 \
        --seconds 60 --image build/demo/shapes.png --text "red circle" --mix infer=1,healthz=4

Prints JSON: requests, those that were not answered (the exit code is 1 where there are some),
statuses, percentiles of the time that an answer took, the time of a call alone before and after,
and the server's memory. A client that is told to come back later (503, 429) waits for as long as
Retry-After says. Slow clients send a byte at a time and are cut off or answered, as the server
likes; oversized ones have to be refused.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import random
import resource
import statistics
import time
import urllib.parse
from pathlib import Path
from typing import NamedTuple

from serve_client import form, head

PATHS = {"infer": "/v1/infer", "clicks": "/v1/objects", "healthz": "/healthz"}
PATIENCE = 120  # seconds until a request counts as not answered
OVERSIZED = 1 << 40
PIECE = bytes(1 << 16)
MEMORY_TIMES = 12  # samples of the memory during the load


class Answer(NamedTuple):
    status: int
    retry_after: float
    closes: bool


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(headers.get("content-length", 0)))
    status = int(head[0].split()[1])
    return Answer(
        status, float(headers.get("retry-after", 0)), headers.get("connection") == "close"
    )


class Load:
    def __init__(self, options: argparse.Namespace):
        address = urllib.parse.urlsplit(options.url)
        self.options = options
        self.where = (address.hostname, address.port)
        self.end = float("inf")
        self.statuses: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.seconds: dict[str, list[float]] = collections.defaultdict(list)
        self.unanswered: collections.Counter = collections.Counter()
        self.slow: collections.Counter = collections.Counter()
        image = Path(options.image).read_bytes()
        # Bytes behind an image's end give it another name in the cache.
        images = [image + b" " * i for i in range(options.images)]
        _, self.media = form([])
        self.bodies = {
            "infer": [form([("image", i), ("text", options.text.encode())])[0] for i in images],
            "clicks": [
                form([("image", i), ("request", b'{"objects": [{"points": [[20, 20]]}]}')])[0]
                for i in images
            ],
            "healthz": [b""],
        }

    def head(self, kind: str, length: int) -> bytes:
        method = "GET" if kind == "healthz" else "POST"
        media = None if kind == "healthz" else self.media
        return head(self.options.url, method, PATHS[kind], length, media, self.options.token)

    def note(self, kind: str, answer: Answer, begin: float) -> None:
        self.statuses[kind][answer.status] += 1
        if answer.status == 200:
            self.seconds[kind].append(time.monotonic() - begin)

    async def client(self, number: int) -> None:
        """Asks one thing after the other, on one connection as long as the server keeps it."""
        dice = random.Random(number)
        kinds, weights = zip(*self.options.mix.items(), strict=True)
        reader = writer = None
        while time.monotonic() < self.end:
            (kind,) = dice.choices(kinds, weights)
            body = dice.choice(self.bodies[kind])
            begin = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    if writer is None:
                        reader, writer = await asyncio.open_connection(*self.where)
                    writer.write(self.head(kind, len(body)) + body)
                    await writer.drain()
                    answer = await read_answer(reader)
            except (OSError, EOFError, TimeoutError) as error:
                self.unanswered[f"{kind}: {type(error).__name__}"] += 1
                answer = Answer(0, 0.1, True)
            else:
                self.note(kind, answer, begin)
            if answer.closes and writer is not None:
                writer.close()
                writer = None
            if answer.retry_after:
                await asyncio.sleep(min(answer.retry_after, max(self.end - time.monotonic(), 0)))
        if writer is not None:
            writer.close()

    async def slow_client(self) -> None:
        while time.monotonic() < self.end:
            outcome = "cut off"
            with contextlib.suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection(*self.where)
                answer = asyncio.ensure_future(read_answer(reader))
                for byte in self.head("infer", 1000) + bytes(1000):
                    if answer.done() or time.monotonic() > self.end:
                        break
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.1)
                if time.monotonic() > self.end:
                    outcome = "still sending"
                    answer.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    outcome = f"answered {(await answer).status}"
                writer.close()
            self.slow[outcome] += 1

    async def oversized_client(self) -> None:
        kind = "oversized"
        while time.monotonic() < self.end:
            begin = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection(*self.where)
                    answer = asyncio.ensure_future(read_answer(reader))
                    writer.write(self.head("infer", OVERSIZED))
                    with contextlib.suppress(OSError):
                        while not answer.done():
                            writer.write(PIECE)
                            await writer.drain()
                            await asyncio.sleep(0)
                    self.note(kind, await answer, begin)
                    writer.close()
            except (OSError, EOFError, TimeoutError) as error:
                self.unanswered[f"{kind}: {type(error).__name__}"] += 1
            await asyncio.sleep(0.5)

    async def alone(self, kind: str, count: int = 20) -> float:
        """The median of calls one after the other, in milliseconds."""
        times = []
        reader, writer = await asyncio.open_connection(*self.where)
        for _ in range(count):
            begin = time.monotonic()
            body = self.bodies[kind][0]
            writer.write(self.head(kind, len(body)) + body)
            answer = await read_answer(reader)
            if answer.status != 200:
                raise SystemExit(f"{PATHS[kind]} alone answers {answer.status}")
            times.append(time.monotonic() - begin)
        writer.close()
        return round(1000 * statistics.median(times), 2)

    def memory(self) -> float | None:
        """MiB that the server has in memory."""
        if not self.options.pid:
            return None
        for line in Path(f"/proc/{self.options.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
        return None

    async def watch(self, samples: list[float | None]) -> None:
        for _ in range(MEMORY_TIMES):
            await asyncio.sleep(self.options.seconds / MEMORY_TIMES)
            samples.append(self.memory())

    async def run(self) -> dict:
        kinds = list(self.options.mix)
        before = {kind: await self.alone(kind) for kind in kinds}
        memory = {"before": self.memory(), "during": []}
        begin = time.monotonic()
        self.end = begin + self.options.seconds
        await asyncio.gather(
            *(self.client(i) for i in range(self.options.clients)),
            *(self.slow_client() for _ in range(self.options.slow)),
            *(self.oversized_client() for _ in range(self.options.oversized)),
            self.watch(memory["during"]),
        )
        took = time.monotonic() - begin
        await asyncio.sleep(2)
        memory["after"] = self.memory()
        after = {kind: await self.alone(kind) for kind in kinds}
        answered = sum(sum(counts.values()) for counts in self.statuses.values())
        unanswered = sum(self.unanswered.values())
        return {
            "clients": self.options.clients,
            "seconds": round(took, 1),
            "requests": answered + unanswered,
            "unanswered": unanswered,
            "why": dict(self.unanswered),
            "requests_per_second": round(answered / took, 1),
            "statuses": {kind: dict(counts) for kind, counts in self.statuses.items()},
            "milliseconds": {kind: percentiles(times) for kind, times in self.seconds.items()},
            "milliseconds_alone": {"before": before, "after": after},
            "slow_clients": dict(self.slow),
            "memory_mib": memory,
        }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Of the requests that were answered with 200."""
    ordered = sorted(seconds)
    return {
        f"p{share}": round(1000 * ordered[min(len(ordered) * share // 100, len(ordered) - 1)], 1)
        for share in (50, 95, 99)
    } | {"max": round(1000 * ordered[-1], 1)}


def mix_of(text: str) -> dict[str, int]:
    mix = {}
    for part in text.split(","):
        kind, _, weight = part.partition("=")
        if kind not in PATHS or not weight.isdigit():
            raise argparse.ArgumentTypeError(
                f"expected KIND=WEIGHT with KIND of {', '.join(PATHS)}"
            )
        mix[kind] = int(weight)
    return mix


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, help="of the server, for its memory")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--slow", type=int, default=20, help="clients beside them")
    parser.add_argument("--oversized", type=int, default=4, help="clients beside them")
    parser.add_argument("--image", required=True)
    parser.add_argument("--images", type=int, default=8, help="that differ for the server's cache")
    parser.add_argument("--text", default="red circle")
    parser.add_argument("--mix", type=mix_of, default="infer=1,healthz=4")
    parser.add_argument("--token")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    result = asyncio.run(Load(options).run())
    print(json.dumps(result, indent=2))
    raise SystemExit(result["unanswered"] > 0)


if __name__ == "__main__":
    main()
