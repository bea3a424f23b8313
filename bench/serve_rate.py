"""Images per second and the time of a click through a running server, from this machine.

    sam3trt serve --model engines --port 8080 &
    python bench/serve_rate.py --url http://127.0.0.1:8080 --files photos [--clients 32]

Every client sends one image after the other to /v1/infer on a connection of its own, no image
twice until all were sent. Clients are threads of --processes processes; "client_cpu_s" says what
these took of a processor, so that one sees whether they were the limit: one process cannot take
more than one second a second. Then one client encodes an image and asks for one click after the
other on it by its features. Prints JSON; times in milliseconds.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import threading
import time
from pathlib import Path

from serve_client import Connection, form, post


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True)
    parser.add_argument("--files", type=Path, required=True, help="folder of JPEG or PNG files")
    parser.add_argument("--clients", type=int, default=32, help="0: only clicks")
    parser.add_argument(
        "--processes", type=int, default=0, help="that the clients are spread over; 0: one for 8"
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds that do not count")
    parser.add_argument("--clicks", type=int, default=500, help="0: none")
    parser.add_argument("--text", default="dog")
    parser.add_argument("--threshold", default="0.5")
    parser.add_argument("--mask-threshold", default="0.5")
    return parser.parse_args()


def checked(connection: Connection, request: bytes) -> bytes:
    answer = connection.ask(request)
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {answer.body[:200]!r}")
    return answer.body


def summary(times: list[float]) -> dict[str, float]:
    times = sorted(times)
    at = lambda part: round(times[min(int(part * len(times)), len(times) - 1)], 3)  # noqa: E731
    return {"median": round(statistics.median(times), 3), "p95": at(0.95), "p99": at(0.99)}


class Clients:
    """Those of one process: threads, which wait for the server nearly all of the time."""

    def __init__(self, url: str, requests: list[bytes], begin: float, end: float):
        self.url, self.requests = url, requests
        self.begin, self.end = begin, end
        self.done: list[tuple[float, float]] = []
        self.errors: list[str] = []

    def run(self, number: int, step: int) -> None:
        """Client `number` of `step`, who together send every image once before one comes again."""
        time.sleep(max(self.begin - time.monotonic(), 0))
        connection, turn = Connection(self.url), number
        while time.monotonic() < self.end:
            sent = time.monotonic()
            try:
                checked(connection, self.requests[turn % len(self.requests)])
                self.done.append((time.monotonic(), time.monotonic() - sent))
            except (RuntimeError, OSError) as error:
                self.errors.append(str(error))
                connection = Connection(self.url)
            turn += step


def client_process(results, clients: Clients, numbers: list[int], step: int) -> None:
    threads = [threading.Thread(target=clients.run, args=(n, step)) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = os.times()
    results.put((clients.done, clients.errors, took.user + took.system))


def rate(options: argparse.Namespace, images: list[bytes]) -> dict:
    """All clients at once."""
    fields = [("text", options.text.encode()), ("threshold", options.threshold.encode())]
    fields.append(("mask_threshold", options.mask_threshold.encode()))
    requests = [post(options.url, "/v1/infer", *form([*fields, ("image", i)])) for i in images]
    count = options.processes or -(-options.clients // 8)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    begin = time.monotonic() + 0.5
    clients = Clients(options.url, requests, begin, begin + options.warm_up + options.seconds)
    processes = [
        context.Process(
            target=client_process,
            args=(results, clients, list(range(i, options.clients, count)), options.clients),
        )
        for i in range(count)
    ]
    for process in processes:
        process.start()
    done, errors, cpu = [], [], []
    for _ in processes:
        its_done, its_errors, its_cpu = results.get()
        done += its_done
        errors += its_errors
        cpu.append(its_cpu)
    for process in processes:
        process.join()
    counted = [1e3 * took for at, took in done if begin + options.warm_up <= at <= clients.end]
    return {
        "clients": options.clients,
        "processes": count,
        "client_cpu_s": {"most": round(max(cpu), 2), "sum": round(sum(cpu), 2)},
        "seconds": options.seconds,
        "images": len(counted),
        "images_per_s": round(len(counted) / options.seconds, 2),
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
        "request_ms": summary(counted) if counted else None,
    }


def clicks(options: argparse.Namespace, image: bytes) -> dict:
    """One click after the other on an image that is encoded; beside them /healthz, which is what
    connection, client and HTTP cost without a model.
    """
    health = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    times, alone, sizes = [], [], []
    with Connection(options.url) as connection:
        encoded = json.loads(
            checked(connection, post(options.url, "/v1/features", image, "image/jpeg"))
        )
        for i in range(options.clicks + 20):
            point = [encoded["width"] * (0.2 + 0.6 * (i % 7) / 7), encoded["height"] * 0.5]
            body = {"image": {"features": encoded["features"]}, "objects": [{"points": [point]}]}
            request = post(
                options.url, "/v1/objects", json.dumps(body).encode(), "application/json"
            )
            sent = time.perf_counter()
            sizes.append(len(checked(connection, request)))
            times.append(1e3 * (time.perf_counter() - sent))
        for _ in range(options.clicks + 20):
            sent = time.perf_counter()
            checked(connection, health)
            alone.append(1e3 * (time.perf_counter() - sent))
    return {
        "clicks": options.clicks,
        "click_ms": summary(times[20:]),
        "click_bytes": statistics.median(sizes),
        "healthz_ms": summary(alone[20:]),
    }


def main() -> None:
    options = parse_arguments()
    files = sorted(p for p in options.files.iterdir() if p.suffix in (".jpg", ".jpeg", ".png"))
    images = [path.read_bytes() for path in files]
    if not images:
        raise SystemExit(f"{options.files}: no JPEG or PNG files")
    result = rate(options, images) if options.clients else {}
    if options.clicks:
        result |= clicks(options, images[0])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
