// The image with its masks, examples and clicks, drawn by Konva.
import Konva from "konva/lib/Core";
import { Circle } from "konva/lib/shapes/Circle";
import { Image as KonvaImage } from "konva/lib/shapes/Image";
import { Line } from "konva/lib/shapes/Line";
import { Rect } from "konva/lib/shapes/Rect";
import { paint } from "./paint";
import { maskOf, type Found } from "./results";
import type { Item, State } from "./state";
import type { Box, Click, Pointed } from "./types";
import type { Point, View } from "./view";

/** A box that is being dragged. */
export interface Draft {
  box: Box;
  color: string;
  positive: boolean;
}

export class Canvas {
  draft: Draft | null = null;
  /** The place that the arrow keys move; null while the pointer is used. */
  cursor: Point | null = null;
  private readonly stage: Konva.Stage;
  private readonly images = new Konva.Layer({ listening: false });
  private readonly masks = new Konva.Layer({ listening: false });
  private readonly marks = new Konva.Layer({ listening: false });
  private shown: Item | null = null;
  private shownSize = "";

  constructor(
    private readonly element: HTMLElement,
    private readonly state: State,
    private readonly view: View,
  ) {
    this.stage = new Konva.Stage({ container: element as HTMLDivElement, width: 1, height: 1, listening: false });
    this.stage.add(this.images, this.masks, this.marks);
    new ResizeObserver(() => this.resized()).observe(element);
    state.listen(() => this.draw());
  }

  /** Draws anew after the view has moved. */
  moved(): void {
    this.draw();
  }

  /** What is found under a point of the image, the smallest of several. */
  foundAt(point: Point): Found | null {
    const hit = this.state.found.filter((one) => maskOf(one.rle).has(point.x, point.y));
    return hit.reduce<Found | null>((best, one) => (best === null || one.area < best.area ? one : best), null);
  }

  private resized(): void {
    const { clientWidth, clientHeight } = this.element;
    if (clientWidth === 0 || clientHeight === 0) return;
    this.stage.size({ width: clientWidth, height: clientHeight });
    this.view.resize(clientWidth, clientHeight);
    this.draw();
  }

  private draw(): void {
    const item = this.state.current;
    const size = item ? `${item.width}x${item.height}` : "";
    if (item !== this.shown || size !== this.shownSize) {
      this.shown = item;
      this.shownSize = size;
      this.cursor = null;
      this.view.setImage(item?.width ?? 1, item?.height ?? 1);
    }
    const { x, y, scale } = this.view;
    this.stage.position({ x, y });
    this.stage.scale({ x: scale, y: scale });
    this.drawImage(item);
    this.drawMasks();
    this.drawMarks(item);
  }

  private drawImage(item: Item | null): void {
    this.images.destroyChildren();
    this.images.imageSmoothingEnabled(this.view.scale < 4);
    if (item === null) return;
    const { width, height, pixels } = item;
    if (pixels === null) this.images.add(new Rect({ width, height, fill: "#20242c" }));
    else this.images.add(new KonvaImage({ image: pixels, width, height }));
  }

  private drawMasks(): void {
    this.masks.destroyChildren();
    this.masks.imageSmoothingEnabled(this.view.scale < 4);
    const { found, hovered, selected } = this.state;
    const lit = hovered ?? (selected?.kind === "found" ? selected.key : selected?.kind === "object" ? `object ${selected.id}` : null);
    const some = found.some((one) => one.key === lit);
    for (const one of found) {
      const painted = paint(one);
      if (painted === null) continue;
      const { canvas, x, y, width, height } = painted;
      const opacity = some ? (one.key === lit ? 1 : 0.35) : 1;
      this.masks.add(new KonvaImage({ image: canvas, x, y, width, height, opacity }));
      if (one.key === lit) this.masks.add(this.outline(one.box, one.color, true, true));
    }
  }

  private drawMarks(item: Item | null): void {
    this.marks.destroyChildren();
    if (item === null) return;
    const { asked, concepts, selected, activeObject } = this.state;
    const firstFrame = item.tracks === null || item.tracks.position === 0;
    if (firstFrame) {
      for (const example of asked.examples) {
        const color = concepts.find((one) => one.id === example.concept)?.color ?? "#888888";
        this.box(example.box, color, example.positive, selected?.kind === "example" && selected.id === example.id);
      }
      for (const object of asked.objects) this.object(object, object.id === activeObject);
    }
    if (this.draft) this.box(this.draft.box, this.draft.color, this.draft.positive, true);
    if (this.cursor) this.crosshair(this.cursor);
  }

  private object(object: Pointed, active: boolean): void {
    if (object.box) this.box(object.box, object.color, true, active);
    for (const click of object.clicks) this.click(click, object.color, active);
  }

  private box(box: Box, color: string, positive: boolean, strong: boolean): void {
    this.marks.add(this.outline(box, "#ffffff", positive, strong, 2), this.outline(box, positive ? color : "#dc2626", positive, strong));
  }

  private outline(box: Box, stroke: string, solid: boolean, strong: boolean, wider = 0): Rect {
    const [x, y, right, bottom] = box;
    return new Rect({
      x,
      y,
      width: right - x,
      height: bottom - y,
      stroke,
      strokeWidth: (strong ? 2.5 : 1.5) + wider,
      strokeScaleEnabled: false,
      opacity: wider > 0 ? 0.6 : 1,
      ...(solid ? {} : { dash: [6, 4] }),
    });
  }

  private click({ x, y, positive }: Click, color: string, active: boolean): void {
    const size = (active ? 8 : 6) / this.view.scale;
    const line = { stroke: "#ffffff", strokeWidth: 2, strokeScaleEnabled: false };
    this.marks.add(new Circle({ x, y, radius: size, fill: positive ? color : "#dc2626", ...line }));
    this.marks.add(new Line({ points: [x - size / 2, y, x + size / 2, y], ...line }));
    if (positive) this.marks.add(new Line({ points: [x, y - size / 2, x, y + size / 2], ...line }));
  }

  private crosshair({ x, y }: Point): void {
    const long = 14 / this.view.scale;
    for (const [stroke, strokeWidth] of [
      ["#000000", 4],
      ["#ffffff", 2],
    ] as const) {
      const line = { stroke, strokeWidth, strokeScaleEnabled: false };
      this.marks.add(new Line({ points: [x - long, y, x + long, y], ...line }));
      this.marks.add(new Line({ points: [x, y - long, x, y + long], ...line }));
    }
  }
}
