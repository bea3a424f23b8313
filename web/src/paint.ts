// Masks as small canvases: a tint with a firm outline.
import { maskOf, type Found } from "./results";
import type { Rle } from "./types";

/** A painted mask and where on the image it lies, in pixels of the image. */
export interface Painted {
  canvas: HTMLCanvasElement;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Masks of larger images are painted smaller than they are. */
const kLongest = 1536;
const kTint = 95;
const kOutline = 255;
/** The longer side of an image in widths of an outline. */
const kOutlines = 280;

const painted = new WeakMap<Rle, { color: string; result: Painted | null }>();

/** Null for an empty mask. */
export function paint(found: Found): Painted | null {
  const known = painted.get(found.rle);
  if (known?.color === found.color) return known.result;
  const result = paintNow(found);
  painted.set(found.rle, { color: found.color, result });
  return result;
}

function paintNow(found: Found): Painted | null {
  const mask = maskOf(found.rle);
  const bounds = mask.bounds();
  if (bounds === null) return null;
  const scale = Math.min(1, kLongest / Math.max(mask.width, mask.height));
  const width = Math.ceil((bounds.x1 - bounds.x0) * scale);
  const height = Math.ceil((bounds.y1 - bounds.y0) * scale);
  const inside = new Uint8Array(width * height);
  mask.forEachColumn((x, top, bottom) => {
    const column = Math.floor((x - bounds.x0) * scale);
    const from = Math.floor((top - bounds.y0) * scale);
    const to = Math.max(from + 1, Math.floor((bottom - bounds.y0) * scale));
    for (let y = from; y < to && y < height; ++y) inside[y * width + column] = 1;
  });
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(width, height);
  const [red, green, blue] = rgb(found.color);
  const reach = Math.max(1, Math.round((Math.max(mask.width, mask.height) * scale) / kOutlines));
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      const at = y * width + x;
      if (inside[at] === 0) continue;
      image.data.set([red, green, blue, isEdge(inside, width, height, x, y, reach) ? kOutline : kTint], at * 4);
    }
  }
  context.putImageData(image, 0, 0);
  return { canvas, x: bounds.x0, y: bounds.y0, width: width / scale, height: height / scale };
}

function isEdge(inside: Uint8Array, width: number, height: number, x: number, y: number, reach: number): boolean {
  for (let step = 1; step <= reach; ++step) {
    if (x < step || y < step || x + step >= width || y + step >= height) return true;
    const at = y * width + x;
    if (!inside[at - step] || !inside[at + step] || !inside[at - step * width] || !inside[at + step * width]) return true;
  }
  return false;
}

export function rgb(color: string): [number, number, number] {
  const value = Number.parseInt(color.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
