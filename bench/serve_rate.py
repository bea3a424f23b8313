"""Images per second and the time of a click through a running server, from this machine.

    sam3trt serve --model engines --port 8080 &
    python bench/serve_rate.py --url http://127.0.0.1:8080 --files photos [--clients 32]

Every client sends one image after the other to /v1/infer on a connection of its own, no image
twice until all were sent. Then one client encodes an image and asks for one click after the other
on it by its features. Prints JSON; times in milliseconds.
"""

import argparse
import http.client
import itertools
import json
import statistics
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--files", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds that do not count")
    parser.add_argument("--clicks", type=int, default=200, help="0: none")
    parser.add_argument("--text", default="dog")
    parser.add_argument("--threshold", default="0.5")
    parser.add_argument("--mask-threshold", default="0.5")
    return parser.parse_args()


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)


def post(connection, path: str, body: bytes, content_type: str) -> bytes:
    connection.request("POST", path, body, {"Content-Type": content_type})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {data[:200]!r}")
    return data


def form(image: bytes, fields: dict[str, str]) -> tuple[bytes, str]:
    """A multipart/form-data body and its media type."""
    edge = b"--sam3trt-bench"
    name = b'\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    parts = [edge + name % (key.encode(), value.encode()) for key, value in fields.items()]
    head = b'\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    parts.append(edge + head + b"Content-Type: image/jpeg\r\n\r\n" + image + b"\r\n")
    return b"".join(parts) + edge + b"--\r\n", f"multipart/form-data; boundary={edge[2:].decode()}"


def summary(times: list[float]) -> dict[str, float]:
    times = sorted(times)
    at = lambda part: round(times[min(int(part * len(times)), len(times) - 1)], 3)  # noqa: E731
    return {"median": round(statistics.median(times), 3), "p95": at(0.95), "p99": at(0.99)}


def rate(options: argparse.Namespace, images: list[bytes]) -> dict:
    """All clients at once."""
    fields = {"text": options.text, "threshold": options.threshold}
    fields["mask_threshold"] = options.mask_threshold
    bodies = [form(image, fields) for image in images]
    numbers, done, errors = itertools.count(), [], []
    begin = time.perf_counter()
    end = begin + options.warm_up + options.seconds

    def client() -> None:
        connection = connect(options.url)
        while time.perf_counter() < end:
            body, content_type = bodies[next(numbers) % len(bodies)]
            sent = time.perf_counter()
            try:
                post(connection, "/v1/infer", body, content_type)
            except (RuntimeError, OSError) as error:
                errors.append(str(error))
                connection = connect(options.url)
                continue
            done.append((time.perf_counter(), time.perf_counter() - sent))

    threads = [threading.Thread(target=client) for _ in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = [1e3 * took for at, took in done if begin + options.warm_up <= at <= end]
    return {
        "clients": options.clients,
        "seconds": options.seconds,
        "images": len(counted),
        "images_per_s": round(len(counted) / options.seconds, 2),
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
        "request_ms": summary(counted) if counted else None,
    }


def clicks(options: argparse.Namespace, image: bytes) -> dict:
    """One click after the other on an image that is encoded."""
    connection = connect(options.url)
    encoded = json.loads(post(connection, "/v1/features", image, "image/jpeg"))
    times = []
    for i in range(options.clicks + 20):
        point = [encoded["width"] * (0.2 + 0.6 * (i % 7) / 7), encoded["height"] * 0.5]
        body = {"image": {"features": encoded["features"]}, "objects": [{"points": [point]}]}
        text = json.dumps(body).encode()
        sent = time.perf_counter()
        post(connection, "/v1/objects", text, "application/json")
        times.append(1e3 * (time.perf_counter() - sent))
    return {"clicks": options.clicks, "click_ms": summary(times[20:])}


def main() -> None:
    options = parse_arguments()
    images = [path.read_bytes() for path in sorted(options.files.glob("*.jpg"))]
    result = rate(options, images)
    if options.clicks:
        result |= clicks(options, images[0])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
