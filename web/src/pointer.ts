// What the pointer, fingers and the arrow keys do on the image.
import type { Canvas } from "./canvas";
import type { State } from "./state";
import type { Point, View } from "./view";

/** A press that moves less, in pixels of the screen, is a click. */
const kClick = 5;
const kNear = 10;

type Gesture =
  | { kind: "pan"; last: Point; moved: boolean }
  | { kind: "press"; start: Point; negative: boolean; moved: boolean }
  | { kind: "pinch" };

export class Pointer {
  private readonly down = new Map<number, Point>();
  private gesture: Gesture | null = null;
  private space = false;
  /** First corner of a box that is drawn by keys. */
  private corner: Point | null = null;

  constructor(
    private readonly element: HTMLElement,
    private readonly state: State,
    private readonly view: View,
    private readonly canvas: Canvas,
    private readonly hint: (text: string) => void,
  ) {
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("pointerdown", (event) => this.pressed(event));
    element.addEventListener("pointermove", (event) => this.movedTo(event));
    element.addEventListener("pointerup", (event) => this.released(event, true));
    element.addEventListener("pointercancel", (event) => this.released(event, false));
    element.addEventListener("pointerleave", () => this.state.hover(null));
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("blur", () => this.leaveKeys());
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") this.setSpace(false);
    });
  }

  /** Space was pressed: dragging pans until it is let go. */
  setSpace(down: boolean): void {
    this.space = down;
    this.element.classList.toggle("panning", down);
  }

  /** Gives up a box that is being drawn; false when there is none. */
  cancel(): boolean {
    const drawing = this.canvas.draft !== null || this.corner !== null;
    this.canvas.draft = null;
    this.corner = null;
    if (this.gesture?.kind === "press") this.gesture = null;
    if (drawing) this.canvas.moved();
    return drawing;
  }

  private at(event: MouseEvent): Point {
    const { left, top } = this.element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  private wheel(event: WheelEvent): void {
    if (this.state.current === null) return;
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 33;
    // A pinch on a touch pad comes as a wheel with Control, in small steps.
    const speed = event.ctrlKey ? 0.01 : 0.0015;
    this.view.zoom(Math.exp(-event.deltaY * unit * speed), this.at(event));
    this.canvas.moved();
  }

  private pressed(event: PointerEvent): void {
    if (this.state.current === null) return;
    this.element.setPointerCapture(event.pointerId);
    const at = this.at(event);
    this.down.set(event.pointerId, at);
    this.canvas.cursor = null;
    if (this.down.size === 2) {
      this.cancel();
      this.gesture = { kind: "pinch" };
    } else if (this.down.size === 1) {
      const right = event.button === 2;
      const pan = event.button === 1 || this.space || (this.state.tool === "move" && !right);
      if (pan) this.gesture = { kind: "pan", last: at, moved: false };
      else this.gesture = { kind: "press", start: at, negative: event.altKey || right || this.state.negative, moved: false };
    }
  }

  private movedTo(event: PointerEvent): void {
    if (this.state.current === null) return;
    const at = this.at(event);
    const before = this.down.get(event.pointerId);
    if (before === undefined) {
      if (event.pointerType !== "touch") this.state.hover(this.canvas.foundAt(this.view.toImage(at))?.key ?? null);
      return;
    }
    if (this.gesture?.kind === "pinch") this.pinch(event.pointerId, at);
    this.down.set(event.pointerId, at);
    if (this.gesture?.kind === "pan") this.pan(this.gesture, at);
    else if (this.gesture?.kind === "press") this.drag(this.gesture, at);
  }

  private pan(gesture: Gesture & { kind: "pan" }, at: Point): void {
    if (!gesture.moved && far(gesture.last, at) < kClick) return;
    gesture.moved = true;
    this.view.pan(at.x - gesture.last.x, at.y - gesture.last.y);
    gesture.last = at;
    this.canvas.moved();
  }

  private pinch(id: number, at: Point): void {
    const other = [...this.down].find(([one]) => one !== id)?.[1];
    const before = this.down.get(id);
    if (other === undefined || before === undefined) return;
    const middle = (point: Point): Point => ({ x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 });
    const [from, to] = [middle(before), middle(at)];
    this.view.pan(to.x - from.x, to.y - from.y);
    this.view.zoom(Math.max(far(at, other), 1) / Math.max(far(before, other), 1), to);
    this.canvas.moved();
  }

  private drag(gesture: Gesture & { kind: "press" }, at: Point): void {
    if (!gesture.moved && far(gesture.start, at) < kClick) return;
    gesture.moved = true;
    this.draft(this.view.toImage(gesture.start), this.view.toImage(at), gesture.negative);
  }

  private draft(a: Point, b: Point, negative: boolean): void {
    const positive = this.state.tool === "object" || !negative;
    this.canvas.draft = { box: this.view.box(a, b), color: this.color(), positive };
    this.canvas.moved();
  }

  private color(): string {
    const { state } = this;
    if (state.tool === "object") return state.asked.objects.find((one) => one.id === state.activeObject)?.color ?? "#3b82f6";
    return state.concepts.find((one) => one.id === state.activeConcept)?.color ?? "#3b82f6";
  }

  private released(event: PointerEvent, done: boolean): void {
    const at = this.at(event);
    this.down.delete(event.pointerId);
    const { gesture } = this;
    if (gesture?.kind === "pinch") {
      if (this.down.size === 0) this.gesture = null;
      return;
    }
    this.gesture = null;
    this.canvas.draft = null;
    if (!done || gesture === null) return;
    const point = this.view.toImage(at);
    if (gesture.kind === "pan") {
      if (!gesture.moved && event.button === 0 && !this.space) this.pick(point);
    } else if (gesture.moved) this.boxDone(this.view.toImage(gesture.start), point, gesture.negative);
    else this.clicked(point, gesture.negative);
    this.canvas.moved();
  }

  private boxDone(a: Point, b: Point, negative: boolean): void {
    const box = this.view.box(a, b);
    if (box[2] - box[0] < 1 || box[3] - box[1] < 1) return;
    if (!this.mayAsk()) return;
    if (this.state.tool === "object") this.state.addObjectBox(box);
    else if (this.state.tool === "example") this.state.addExample(box, !negative);
  }

  private clicked(point: Point, negative: boolean): void {
    if (this.state.tool === "object") this.click(point, negative);
    else this.pick(point);
  }

  private click(point: Point, negative: boolean): void {
    if (!this.view.inside(point) || !this.mayAsk()) return;
    const near = kNear / this.view.scale;
    for (const object of this.state.asked.objects) {
      const index = object.clicks.findIndex((click) => far(click, point) < near);
      if (index >= 0) {
        this.state.removeClick(object.id, index);
        return;
      }
    }
    const round = (value: number): number => Math.round(value * 10) / 10;
    if (!this.state.addClick({ x: round(point.x), y: round(point.y), positive: !negative })) {
      this.hint("Click on the object first, then on what does not belong to it.");
    }
  }

  /** Selects the example or the result at a point. */
  private pick(point: Point): void {
    const size = ([x0, y0, x1, y1]: readonly number[]): number => (x1! - x0!) * (y1! - y0!);
    const examples = this.state.asked.examples
      .filter(({ box: [x0, y0, x1, y1] }) => point.x >= x0 && point.x < x1 && point.y >= y0 && point.y < y1)
      .sort((a, b) => size(a.box) - size(b.box));
    const example = examples[0];
    const found = this.canvas.foundAt(point);
    if (this.state.tool === "example" && example) this.state.select({ kind: "example", id: example.id });
    else if (found) this.state.select({ kind: "found", key: found.key });
    else this.state.select(example ? { kind: "example", id: example.id } : null);
  }

  private mayAsk(): boolean {
    const tracks = this.state.current?.tracks;
    if (!tracks || tracks.position === 0) return true;
    this.hint("Boxes and clicks belong to the first frame: go there, then track again.");
    return false;
  }

  private key(event: KeyboardEvent): void {
    if (this.state.current === null || event.ctrlKey || event.metaKey) return;
    const steps: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (step) {
      const far = (event.shiftKey ? 40 : 8) / this.view.scale;
      const from = this.canvas.cursor ?? this.view.toImage({ x: this.view.width / 2, y: this.view.height / 2 });
      this.moveCursor({ x: from.x + step[0] * far, y: from.y + step[1] * far });
    } else if (event.key === "Enter" && this.canvas.cursor) this.act(this.canvas.cursor, event.altKey || this.state.negative);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private moveCursor({ x, y }: Point): void {
    const item = this.state.current!;
    const cursor = { x: Math.min(Math.max(x, 0), item.width - 1), y: Math.min(Math.max(y, 0), item.height - 1) };
    this.canvas.cursor = cursor;
    this.view.reveal(cursor);
    if (this.corner) this.draft(this.corner, cursor, this.state.negative);
    this.state.hover(this.canvas.foundAt(cursor)?.key ?? null);
    this.canvas.moved();
  }

  private act(cursor: Point, negative: boolean): void {
    if (this.state.tool !== "example") {
      this.clicked(cursor, negative);
    } else if (this.corner === null) {
      this.corner = cursor;
      this.hint("The first corner is set. Move to the other corner and press Enter.");
    } else {
      const corner = this.corner;
      this.cancel();
      this.boxDone(corner, cursor, negative);
    }
    this.canvas.moved();
  }

  private leaveKeys(): void {
    if (this.canvas.cursor === null && this.corner === null) return;
    this.canvas.cursor = null;
    this.cancel();
    this.canvas.moved();
  }
}

function far(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
