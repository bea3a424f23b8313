// What the page knows. Views read it and are told when it changes; only here it is changed.
import { History } from "./history";
import { foundOn, objectOf, promptOf, type Answers, type Found } from "./results";
import { Tracks } from "./tracks";
import type { Asked, Box, Click, Concept, Edit, Example, ModelInfo, Pointed, Tool } from "./types";

/** An image or a video that was opened. */
export interface Item {
  id: number;
  kind: "image" | "video";
  file: File;
  name: string;
  width: number;
  height: number;
  /** What is shown: the image, or the frame of the video that is looked at. Null where the browser cannot show it. */
  pixels: CanvasImageSource | null;
  /** The server's name for the image's features; null until it has them. */
  features: string | null;
  answers: Answers;
  tracks: Tracks | null;
  /** The questions that the server answered with an error; they are not asked again by themselves. */
  failed: string | null;
}

export type Selected = { kind: "found"; key: string } | { kind: "example"; id: number } | { kind: "object"; id: number };

/** Told apart also without red and green (Okabe and Ito, "Color Universal Design", 2008, lightened). */
export const kColors = ["#3b82f6", "#f59e0b", "#10b981", "#ec4899", "#8b5cf6", "#06b6d4", "#ef4444", "#84cc16", "#f97316", "#a8a29e"];

const kNothing: Asked = { examples: [], objects: [], removed: [] };

export class State {
  readonly history = new History<Edit>({ concepts: [{ id: 1, text: "", color: kColors[0]! }], asked: {}, nextId: 2 });
  items: Item[] = [];
  current: Item | null = null;
  tool: Tool = "move";
  /** Whether the next box or click says "not this". */
  negative = false;
  threshold = 0.5;
  activeConcept: number | null = 1;
  activeObject: number | null = null;
  selected: Selected | null = null;
  hovered: string | null = null;
  model: ModelInfo | null = null;
  /** What is being done, for the status line; empty when nothing is. */
  doing = "";
  private listeners: (() => void)[] = [];
  private pending = false;
  private foundCache: { key: unknown[]; found: Found[] } | null = null;
  private nextItem = 1;

  listen(call: () => void): void {
    this.listeners.push(call);
  }

  /** Tells the views, once for all changes of a turn. */
  changed(): void {
    if (this.pending) return;
    this.pending = true;
    queueMicrotask(() => {
      this.pending = false;
      for (const call of this.listeners) call();
    });
  }

  get edit(): Edit {
    return this.history.value;
  }

  get concepts(): Concept[] {
    return this.edit.concepts;
  }

  askedOn(item: Item | null): Asked {
    return (item && this.edit.asked[item.id]) ?? kNothing;
  }

  get asked(): Asked {
    return this.askedOn(this.current);
  }

  /** What is shown on the current item. */
  get found(): Found[] {
    const item = this.current;
    if (item === null) return [];
    if (item.tracks !== null) return item.tracks.foundAt(item.tracks.position, this.concepts, this.asked, this.threshold);
    const key = [item, this.edit, item.answers.prompts, item.answers.prompts.size, item.answers.objects, this.threshold];
    if (!this.foundCache || key.some((value, index) => value !== this.foundCache!.key[index])) {
      this.foundCache = { key, found: this.foundOnItem(item) };
    }
    return this.foundCache.found;
  }

  foundOnItem(item: Item): Found[] {
    return foundOn(this.concepts, this.askedOn(item), item.answers, this.threshold);
  }

  /** Whether anything is asked for on an item. */
  asks(item: Item): boolean {
    const asked = this.askedOn(item);
    return this.concepts.some((concept) => promptOf(concept, asked) !== null) || asked.objects.some((object) => objectOf(object) !== null);
  }

  can(task: string): boolean {
    return this.model === null || this.model.tasks.includes(task);
  }

  addItem(item: Omit<Item, "id" | "features" | "answers" | "tracks" | "failed">): Item {
    const added: Item = { ...item, id: this.nextItem++, features: null, answers: { prompts: new Map(), objects: null }, tracks: null, failed: null };
    this.items = [...this.items, added];
    this.changed();
    return added;
  }

  removeItem(item: Item): void {
    const index = this.items.indexOf(item);
    this.items = this.items.filter((one) => one !== item);
    if (this.current === item) this.show(this.items[Math.min(index, this.items.length - 1)] ?? null);
    if (item.pixels instanceof ImageBitmap) item.pixels.close();
    this.changed();
  }

  show(item: Item | null): void {
    this.current = item;
    this.activeObject = null;
    this.selected = null;
    this.hovered = null;
    this.history.settle();
    this.changed();
  }

  setTool(tool: Tool): void {
    this.tool = tool;
    this.changed();
  }

  select(selected: Selected | null): void {
    this.selected = selected;
    if (selected?.kind === "object") this.activeObject = selected.id;
    this.changed();
  }

  hover(key: string | null): void {
    if (this.hovered === key) return;
    this.hovered = key;
    this.changed();
  }

  /** Makes a concept and takes it as the one that examples go to. */
  addConcept(text: string): Concept {
    const id = this.edit.nextId;
    const concept = { id, text, color: this.freeColor() };
    this.put({ ...this.edit, concepts: [...this.concepts, concept], nextId: id + 1 });
    this.activeConcept = id;
    return concept;
  }

  /** `typing` makes changes of one field one step of undo. */
  changeConcept(id: number, change: Partial<Concept>, typing = false): void {
    const concepts = this.concepts.map((one) => (one.id === id ? { ...one, ...change } : one));
    this.put({ ...this.edit, concepts }, typing ? `concept ${id}` : null);
  }

  removeConcept(id: number): void {
    const asked = Object.fromEntries(
      Object.entries(this.edit.asked).map(([item, one]) => [item, { ...one, examples: one.examples.filter((example) => example.concept !== id) }]),
    );
    this.put({ ...this.edit, concepts: this.concepts.filter((one) => one.id !== id), asked });
    if (this.activeConcept === id) this.activeConcept = this.concepts.at(-1)?.id ?? null;
  }

  /** An example for the concept that is active; makes one when there is none. */
  addExample(box: Box, positive: boolean): void {
    let edit = this.edit;
    let concept = this.concepts.find((one) => one.id === this.activeConcept) ?? this.concepts.at(-1);
    if (concept === undefined) {
      concept = { id: edit.nextId, text: "", color: this.freeColor() };
      edit = { ...edit, concepts: [concept], nextId: edit.nextId + 1 };
    }
    this.activeConcept = concept.id;
    const example: Example = { id: edit.nextId, concept: concept.id, box, positive };
    this.putAsked({ ...edit, nextId: edit.nextId + 1 }, (asked) => ({ ...asked, examples: [...asked.examples, example] }));
    this.selected = { kind: "example", id: example.id };
  }

  removeExample(id: number): void {
    this.putAsked(this.edit, (asked) => ({ ...asked, examples: asked.examples.filter((one) => one.id !== id) }));
  }

  /** A click on the active object, or on a new one. False when "not this" has no object to go to. */
  addClick(click: Click): boolean {
    const active = this.asked.objects.find((one) => one.id === this.activeObject);
    if (active === undefined && !click.positive) return false;
    this.pointAt(active, (object) => ({ ...object, clicks: [...object.clicks, click] }));
    return true;
  }

  /** A box around the active object when it has none yet, else around a new one. */
  addObjectBox(box: Box): void {
    const active = this.asked.objects.find((one) => one.id === this.activeObject && one.box === null);
    this.pointAt(active, (object) => ({ ...object, box }));
  }

  private pointAt(active: Pointed | undefined, change: (object: Pointed) => Pointed): void {
    if (active !== undefined) {
      this.putAsked(this.edit, (asked) => ({ ...asked, objects: asked.objects.map((one) => (one === active ? change(one) : one)) }));
      return;
    }
    const id = this.edit.nextId;
    const made = change({ id, color: this.freeColor(), clicks: [], box: null });
    this.putAsked({ ...this.edit, nextId: id + 1 }, (asked) => ({ ...asked, objects: [...asked.objects, made] }));
    this.activeObject = id;
  }

  removeClick(object: number, index: number): void {
    this.putAsked(this.edit, (asked) => ({
      ...asked,
      objects: asked.objects
        .map((one) => (one.id === object ? { ...one, clicks: one.clicks.filter((_, at) => at !== index) } : one))
        .filter((one) => objectOf(one) !== null),
    }));
  }

  removeObject(id: number): void {
    this.putAsked(this.edit, (asked) => ({ ...asked, objects: asked.objects.filter((one) => one.id !== id) }));
    if (this.activeObject === id) this.activeObject = null;
  }

  removeFound(key: string): void {
    const object = /^object (\d+)$/.exec(key);
    if (object) this.removeObject(Number(object[1]));
    else this.putAsked(this.edit, (asked) => ({ ...asked, removed: [...asked.removed, key] }));
    if (this.hovered === key) this.hovered = null;
  }

  /** Removes what is selected; false when nothing is. */
  removeSelected(): boolean {
    const selected = this.selected;
    if (selected === null) return false;
    this.selected = null;
    if (selected.kind === "found") this.removeFound(selected.key);
    else if (selected.kind === "example") this.removeExample(selected.id);
    else this.removeObject(selected.id);
    return true;
  }

  /** The next click begins a new object. */
  finishObject(): void {
    this.activeObject = null;
    this.selected = null;
    this.changed();
  }

  undo(): boolean {
    return this.stepped(this.history.undo());
  }

  redo(): boolean {
    return this.stepped(this.history.redo());
  }

  private stepped(done: boolean): boolean {
    if (done) {
      this.selected = null;
      if (!this.asked.objects.some((one) => one.id === this.activeObject)) this.activeObject = null;
      this.changed();
    }
    return done;
  }

  private freeColor(): string {
    const used = [...this.concepts.map((one) => one.color), ...this.asked.objects.map((one) => one.color)];
    const uses = (color: string): number => used.filter((one) => one === color).length;
    return kColors.reduce((best, color) => (uses(color) < uses(best) ? color : best));
  }

  private putAsked(edit: Edit, change: (asked: Asked) => Asked): void {
    const item = this.current;
    if (item === null) return;
    this.put({ ...edit, asked: { ...edit.asked, [item.id]: change(edit.asked[item.id] ?? kNothing) } });
  }

  private put(edit: Edit, group: string | null = null): void {
    this.history.set(edit, group);
    this.changed();
  }
}
