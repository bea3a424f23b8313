// COCO's compressed run lengths: pixels go down the columns, runs of 0 and 1 take turns, numbers from
// the third on are differences to the one two before, in groups of 5 bits as characters from '0' on
// (pycocotools, maskApi.c, rleFrString).
import type { Rle } from "./types";

/** Lengths of the runs, the first one of zeros. Throws what is wrong with the mask. */
export function decodeRuns(rle: Rle): Uint32Array {
  const [height, width] = rle.size;
  const total = height * width;
  const runs: number[] = [];
  let sum = 0;
  let at = 0;
  while (at < rle.counts.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      if (at >= rle.counts.length || shift > 30) throw new Error("a mask's run lengths break off");
      const code = rle.counts.charCodeAt(at++) - 48;
      if (code < 0 || code > 63) throw new Error("a mask's run lengths hold a foreign character");
      value |= (code & 0x1f) << shift;
      more = (code & 0x20) !== 0;
      shift += 5;
      if (!more && (code & 0x10) !== 0 && shift < 32) value |= -1 << shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2]!;
    sum += value;
    if (value < 0 || sum > total) throw new Error("a mask's run lengths do not fit its size");
    runs.push(value);
  }
  if (sum !== total) throw new Error("a mask's run lengths do not fit its size");
  return Uint32Array.from(runs);
}

/** A mask that can be asked and painted without being unpacked. */
export class Mask {
  readonly height: number;
  readonly width: number;
  /** Where each run ends, counted in pixels down the columns. */
  private readonly ends: Uint32Array;

  constructor(rle: Rle) {
    [this.height, this.width] = rle.size;
    this.ends = decodeRuns(rle);
    for (let i = 1; i < this.ends.length; ++i) this.ends[i]! += this.ends[i - 1]!;
  }

  get area(): number {
    let area = 0;
    for (let i = 1; i < this.ends.length; i += 2) area += this.ends[i]! - this.ends[i - 1]!;
    return area;
  }

  /** Whether the pixel at column x and row y is inside. */
  has(x: number, y: number): boolean {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return false;
    const at = Math.floor(x) * this.height + Math.floor(y);
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  }

  /** Calls back for every run of pixels inside: column, first row, row after the last. */
  forEachColumn(call: (x: number, y0: number, y1: number) => void): void {
    for (let i = 1; i < this.ends.length; i += 2) {
      let at = this.ends[i - 1]!;
      const end = this.ends[i]!;
      while (at < end) {
        const x = Math.floor(at / this.height);
        const stop = Math.min(end, (x + 1) * this.height);
        call(x, at - x * this.height, stop - x * this.height);
        at = stop;
      }
    }
  }

  /** First and after-last column and row of what is inside; null for an empty mask. */
  bounds(): { x0: number; y0: number; x1: number; y1: number } | null {
    let x0 = this.width;
    let y0 = this.height;
    let x1 = 0;
    let y1 = 0;
    this.forEachColumn((x, top, bottom) => {
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x + 1);
      y0 = Math.min(y0, top);
      y1 = Math.max(y1, bottom);
    });
    return x1 > x0 ? { x0, y0, x1, y1 } : null;
  }

  /** 1 inside, 0 outside, row by row, of a part of the image. */
  unpack(x0: number, y0: number, x1: number, y1: number): Uint8Array {
    const width = x1 - x0;
    const pixels = new Uint8Array(width * (y1 - y0));
    this.forEachColumn((x, top, bottom) => {
      if (x < x0 || x >= x1) return;
      for (let y = Math.max(top, y0); y < Math.min(bottom, y1); ++y) pixels[(y - y0) * width + x - x0] = 1;
    });
    return pixels;
  }
}
