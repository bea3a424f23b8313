// The results of a video, frame by frame, as they come.
import { kObject, type Found } from "./results";
import type { Asked, Concept, FrameLine, TrackedObject, VideoHeader } from "./types";

/** What the time line shows of one object. */
export interface Track {
  id: number;
  name: string;
  color: string;
  /** The best score on any frame. */
  score: number;
  /** First and last position of each stretch in which it is seen. */
  spans: [number, number][];
}

export class Tracks {
  header: VideoHeader | null = null;
  /** The lines as the server sent them. */
  readonly lines: string[] = [];
  readonly frames: FrameLine[] = [];
  /** The frame that is looked at, an index into `frames`. */
  position = 0;
  done = false;
  /** Why it ended early. */
  error: string | null = null;
  private readonly spans = new Map<number, [number, number][]>();
  private readonly best = new Map<number, TrackedObject>();

  /** Takes the next line. Throws when it is not JSON. */
  add(line: string): void {
    const value = JSON.parse(line) as Omit<FrameLine, "error"> & { video?: VideoHeader; error?: string | { message?: string } };
    this.lines.push(line);
    if (value.video !== undefined) {
      this.header = value.video;
      return;
    }
    if (typeof value.frame !== "number") {
      const error = value.error;
      this.error = (typeof error === "object" ? error.message : error) ?? "The server's answer holds a line that is not about a frame.";
      return;
    }
    const at = this.frames.push(value as FrameLine) - 1;
    for (const object of value.objects ?? []) {
      const spans = this.spans.get(object.id) ?? [];
      const last = spans.at(-1);
      if (last && last[1] === at - 1) last[1] = at;
      else spans.push([at, at]);
      this.spans.set(object.id, spans);
      const best = this.best.get(object.id);
      if (!best || object.score > best.score) this.best.set(object.id, object);
    }
  }

  /** Frames in all, as far as it is known. */
  get total(): number {
    return this.done ? this.frames.length : Math.max(this.header?.frames ?? 0, this.frames.length);
  }

  all(concepts: Concept[], asked: Asked, threshold: number): Track[] {
    return [...this.spans]
      .map(([id, spans]) => ({ id, spans, ...describe(this.best.get(id)!, concepts, asked) }))
      .filter((track) => (track.score >= threshold || track.name === kObject) && !asked.removed.includes(`track ${track.id}`))
      .sort((a, b) => a.id - b.id);
  }

  foundAt(position: number, concepts: Concept[], asked: Asked, threshold: number): Found[] {
    const shown = new Map(this.all(concepts, asked, threshold).map((track) => [track.id, track]));
    return (this.frames[position]?.objects ?? []).flatMap((object) => {
      const track = shown.get(object.id);
      if (track === undefined) return [];
      const [x0, y0, x1, y1] = object.box;
      const source = { kind: "object" as const, id: object.id };
      return [
        { key: `track ${object.id}`, name: track.name, source, color: track.color, score: object.object_score, box: [x0, y0, x1 + 1, y1 + 1], area: object.area, rle: object.mask },
      ];
    });
  }

  /** The frame that is shown at a time, in seconds. */
  positionAt(time: number): number {
    let at = 0;
    while (at + 1 < this.frames.length && this.timeOf(at + 1) <= time + 1e-4) ++at;
    return at;
  }

  timeOf(position: number): number {
    const frame = this.frames[position];
    return frame?.time ?? (frame?.frame ?? position) / (this.header?.fps || 25);
  }
}

/** Objects that were clicked keep their colour; those of a text have its colour, lighter or darker by turns. */
function describe(object: TrackedObject, concepts: Concept[], asked: Asked): { name: string; color: string; score: number } {
  if (object.prompt === null) {
    const pointed = asked.objects.find((one) => one.id === object.id);
    return { name: kObject, color: pointed?.color ?? "#a8a29e", score: object.score };
  }
  const concept = concepts.find((one) => (one.text.trim() || "visual") === object.prompt);
  return { name: object.prompt, color: shade(concept?.color ?? "#a8a29e", object.id), score: object.score };
}

/** A colour mixed with white or black, so that neighbours of one text are told apart. */
function shade(color: string, number: number): string {
  const towards = [0, 255, 0][number % 3]!;
  const share = [0, 0.45, 0.35][number % 3]!;
  const value = Number.parseInt(color.slice(1), 16);
  const parts = [16, 8, 0].map((shift) => Math.round(((value >> shift) & 255) * (1 - share) + towards * share));
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
