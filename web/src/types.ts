// What the page and the server say to each other, and what can be asked for.

/** x0, y0, x1, y1 in pixels of the image. */
export type Box = [number, number, number, number];

/** Compressed COCO run lengths; size is height, width. */
export interface Rle {
  size: [number, number];
  counts: string;
}

export interface Instance {
  score: number;
  box: Box;
  area: number;
  mask: Rle;
}

export interface PromptRequest {
  text?: string;
  boxes?: Box[];
  box_labels?: number[];
}

export interface PromptResult {
  text: string | null;
  presence: number;
  instances: Instance[];
}

export interface ObjectRequest {
  id: number;
  points?: [number, number][];
  point_labels?: number[];
  box?: Box;
}

export interface ObjectResult extends Instance {
  id: number;
  object_score: number;
}

export interface ImageEntry {
  width: number;
  height: number;
  features?: string;
  prompts?: PromptResult[];
  objects?: ObjectResult[];
  error?: string;
}

export interface ModelInfo {
  name?: string;
  backend: string;
  semantics: string;
  tasks: string[];
  limits?: { prompts?: number };
  version?: string;
}

export interface TrackedObject extends Instance {
  id: number;
  prompt: string | null;
  object_score: number;
}

export interface VideoHeader {
  width: number;
  height: number;
  frames: number | null;
  fps: number | null;
}

export interface FrameLine {
  frame: number;
  time: number | null;
  objects?: TrackedObject[];
  error?: string;
}

/** A text, with the colour of what it finds. */
export interface Concept {
  id: number;
  text: string;
  color: string;
}

/** An example of a concept, dragged on one image. */
export interface Example {
  id: number;
  concept: number;
  box: Box;
  positive: boolean;
}

export interface Click {
  x: number;
  y: number;
  positive: boolean;
}

/** One object that is pointed at. */
export interface Pointed {
  id: number;
  color: string;
  clicks: Click[];
  box: Box | null;
}

/** What is asked for on one image. */
export interface Asked {
  examples: Example[];
  objects: Pointed[];
  /** Keys of found instances that were removed from the results. */
  removed: string[];
}

/** Everything that undo brings back. Values are replaced, never changed. */
export interface Edit {
  concepts: Concept[];
  asked: Record<number, Asked>;
  nextId: number;
}

export type Tool = "move" | "example" | "object";
