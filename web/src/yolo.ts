// YOLO's text form for segmentation: a line for each instance, the class and a polygon in parts of the
// image. The form has one polygon for an instance; parts and holes are joined to it by bridges of no
// width, so that filling it by the even-odd rule, as OpenCV's fillPoly does, gives the mask again.
import { contours } from "d3-contour";
import type { Mask } from "./rle";

export type Point = [number, number];

/** How far, in pixels, a simplified outline may be from the mask's. */
const kTolerance = 0.3;

/** Outer rings and holes of a mask, in pixels, each without its last point repeated. */
export function outlines(mask: Mask): Point[][] {
  const bounds = mask.bounds();
  if (bounds === null) return [];
  // A margin of one pixel closes outlines at the border of the part.
  const width = bounds.x1 - bounds.x0 + 2;
  const height = bounds.y1 - bounds.y0 + 2;
  const inside = mask.unpack(bounds.x0, bounds.y0, bounds.x1, bounds.y1);
  const values = new Uint8Array(width * height);
  for (let y = 0; y < height - 2; ++y) {
    for (let x = 0; x < width - 2; ++x) values[(y + 1) * width + x + 1] = inside[y * (width - 2) + x]!;
  }
  const [shape] = contours().size([width, height]).thresholds([0.5])(values as unknown as number[]);
  const move = ([x, y]: number[]): Point => [x! + bounds.x0 - 1, y! + bounds.y0 - 1];
  return (shape?.coordinates ?? []).flat().map((ring) => simplify(ring.slice(0, -1).map(move), kTolerance));
}

/** A closed ring with fewer points, none of the old ones further than `tolerance` from it (Douglas and Peucker, 1973). */
export function simplify(ring: Point[], tolerance: number): Point[] {
  if (ring.length < 4) return ring;
  let far = 0;
  ring.forEach((point, index) => {
    if (distance(point, ring[0]!) > distance(ring[far]!, ring[0]!)) far = index;
  });
  const keep = new Uint8Array(ring.length + 1);
  const closed = [...ring, ring[0]!];
  keep[0] = keep[far] = keep[ring.length] = 1;
  const open: [number, number][] = [
    [0, far],
    [far, ring.length],
  ];
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    const [from, to] = part;
    let worst = -1;
    let most = tolerance;
    for (let i = from + 1; i < to; ++i) {
      const off = distanceToLine(closed[i]!, closed[from]!, closed[to]!);
      if (off > most) {
        most = off;
        worst = i;
      }
    }
    if (worst < 0) continue;
    keep[worst] = 1;
    open.push([from, worst], [worst, to]);
  }
  const kept = ring.filter((_, index) => keep[index]);
  return kept.length < 3 ? ring : kept;
}

/** One polygon of all rings, joined where they are next to each other. */
export function join(rings: Point[][]): Point[] {
  const [first, ...others] = rings;
  if (first === undefined) return [];
  let joined = first;
  for (const ring of others) {
    const [at, start] = nearest(joined, ring);
    const turned = [...ring.slice(start), ...ring.slice(0, start), ring[start]!];
    joined = [...joined.slice(0, at + 1), ...turned, ...joined.slice(at)];
  }
  return joined;
}

/** The line of an instance; null for an empty mask. */
export function yoloLine(category: number, mask: Mask): string | null {
  const polygon = join(outlines(mask));
  if (polygon.length < 3) return null;
  const part = (value: number, size: number): string => String(Math.round(Math.min(Math.max(value / size, 0), 1) * 1e6) / 1e6);
  return [category, ...polygon.flatMap(([x, y]) => [part(x, mask.width), part(y, mask.height)])].join(" ");
}

/** data.yaml, with names that YAML takes as they are. */
export function yoloNames(names: string[]): string {
  const lines = names.map((name, index) => `  ${index}: ${JSON.stringify(name)}`);
  return ["path: .", "train: images", "val: images", "names:", ...lines, ""].join("\n");
}

function nearest(a: Point[], b: Point[]): [number, number] {
  let best: [number, number] = [0, 0];
  let least = Infinity;
  for (let i = 0; i < a.length; ++i) {
    for (let j = 0; j < b.length; ++j) {
      const away = distance(a[i]!, b[j]!);
      if (away < least) {
        least = away;
        best = [i, j];
      }
    }
  }
  return best;
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function distanceToLine(point: Point, from: Point, to: Point): number {
  const length = distance(from, to);
  if (length === 0) return distance(point, from);
  return Math.abs((to[0] - from[0]) * (from[1] - point[1]) - (from[0] - point[0]) * (to[1] - from[1])) / length;
}
