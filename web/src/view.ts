// Where the image lies in the view: zoom and pan.
import type { Box } from "./types";

export interface Point {
  x: number;
  y: number;
}

const kMargin = 16;
const kMost = 40;

export class View {
  scale = 1;
  x = 0;
  y = 0;
  width = 1;
  height = 1;
  /** Whether the whole image is shown and stays so when the view changes its size. */
  fitted = true;
  private image = { width: 1, height: 1 };

  /** The scale at which the whole image is seen. */
  get whole(): number {
    const { width, height } = this.image;
    return Math.min((this.width - 2 * kMargin) / width, (this.height - 2 * kMargin) / height, 8);
  }

  resize(width: number, height: number): void {
    this.width = Math.max(width, 1);
    this.height = Math.max(height, 1);
    if (this.fitted) this.fit();
  }

  setImage(width: number, height: number): void {
    this.image = { width: Math.max(width, 1), height: Math.max(height, 1) };
    this.fit();
  }

  fit(): void {
    this.fitted = true;
    this.scale = Math.max(this.whole, 0.001);
    this.x = (this.width - this.image.width * this.scale) / 2;
    this.y = (this.height - this.image.height * this.scale) / 2;
  }

  /** Zooms so that what is under `at` stays there. */
  zoom(factor: number, at: Point = { x: this.width / 2, y: this.height / 2 }): void {
    const scale = Math.min(Math.max(this.scale * factor, Math.min(this.whole, 1) / 2), kMost);
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.hold();
  }

  pan(dx: number, dy: number): void {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.hold();
  }

  /** Brings a point of the image into view. */
  reveal(point: Point): void {
    const { x, y } = this.toView(point);
    const dx = Math.max(kMargin - x, 0) + Math.min(this.width - kMargin - x, 0);
    const dy = Math.max(kMargin - y, 0) + Math.min(this.height - kMargin - y, 0);
    if (dx !== 0 || dy !== 0) this.pan(dx, dy);
  }

  toImage(point: Point): Point {
    return { x: (point.x - this.x) / this.scale, y: (point.y - this.y) / this.scale };
  }

  toView(point: Point): Point {
    return { x: point.x * this.scale + this.x, y: point.y * this.scale + this.y };
  }

  inside(point: Point): boolean {
    return point.x >= 0 && point.y >= 0 && point.x < this.image.width && point.y < this.image.height;
  }

  /** The box between two points, inside the image, in tenths of a pixel. */
  box(a: Point, b: Point): Box {
    const { width, height } = this.image;
    const x = (value: number): number => Math.round(Math.min(Math.max(value, 0), width) * 10) / 10;
    const y = (value: number): number => Math.round(Math.min(Math.max(value, 0), height) * 10) / 10;
    return [x(Math.min(a.x, b.x)), y(Math.min(a.y, b.y)), x(Math.max(a.x, b.x)), y(Math.max(a.y, b.y))];
  }

  /** Some of the image always stays in view. */
  private hold(): void {
    const keep = 48;
    this.x = Math.min(Math.max(this.x, keep - this.image.width * this.scale), this.width - keep);
    this.y = Math.min(Math.max(this.y, keep - this.image.height * this.scale), this.height - keep);
  }
}
