// Asks the server what is not known yet: for the item that is looked at at once, for the others when
// there is time. A newer question replaces one that is on its way.
import { ApiError, isAbort, type Api } from "./api";
import { objectOf, promptOf } from "./results";
import type { Item, State } from "./state";
import type { ObjectRequest, PromptRequest } from "./types";

/** Results with a lower score are never shown, so the threshold moves without a new question. */
export const kLowest = 0.05;
const kTypingMs = 450;
const kClickMs = 20;
const kIdleMs = 700;

interface Question {
  prompts: PromptRequest[];
  objects: ObjectRequest[] | null;
}

export class Work {
  private timer = 0;
  /** What the timer waits for; changes that ask for nothing else do not put it off. */
  private waiting = "";
  private running: { item: Item; key: string; abort: AbortController } | null = null;
  private readonly uploads = new Map<Item, Promise<string>>();

  constructor(
    private readonly state: State,
    private readonly api: Api,
    private readonly report: (error: unknown, again: () => void) => void,
  ) {
    state.listen(() => this.consider());
  }

  /** Whether the answers for an item are all there. */
  settled(item: Item): boolean {
    return this.missing(item) === null;
  }

  /** Asks again after an error. */
  again(): void {
    for (const item of this.state.items) item.failed = null;
    this.state.changed();
  }

  /** Hands an image to the server once; its features are kept there. */
  upload(item: Item): Promise<string> {
    let upload = this.uploads.get(item);
    if (upload === undefined) {
      upload = this.api.features(item.file).then((features) => {
        item.features = features.features;
        if (features.width !== item.width || features.height !== item.height) {
          item.width = features.width;
          item.height = features.height;
          this.state.changed();
        }
        return features.features;
      });
      this.uploads.set(item, upload);
      upload.catch(() => this.uploads.delete(item));
    }
    return upload;
  }

  private consider(): void {
    const item = this.state.current;
    const question = item && this.missing(item);
    if (item && question) {
      const key = keyOf(question);
      if (this.running && (this.running.item !== item || this.running.key !== key)) this.stop();
      if (this.running || item.failed === key) return;
      this.schedule(item, key, this.state.history.inGroup ? kTypingMs : kClickMs);
      return;
    }
    if (this.running && this.running.item === item) this.stop();
    const other = this.state.items.find((one) => {
      const wanted = this.missing(one);
      return wanted !== null && one.failed !== keyOf(wanted);
    });
    if (other && !this.running) this.schedule(other, keyOf(this.missing(other)!), kIdleMs);
  }

  /** A change of text waits until the typing pauses; `now` is for Enter. */
  now(): void {
    const item = this.state.current;
    if (item && this.missing(item) && !this.running) {
      clearTimeout(this.timer);
      void this.run(item);
    }
  }

  private schedule(item: Item, key: string, ms: number): void {
    const waiting = `${item.id} ${key}`;
    if (this.waiting === waiting) return;
    clearTimeout(this.timer);
    this.waiting = waiting;
    this.timer = window.setTimeout(() => void this.run(item), ms);
  }

  private stop(): void {
    this.running?.abort.abort();
    this.running = null;
    this.doing("");
  }

  private missing(item: Item): Question | null {
    if (item.kind !== "image" || !this.state.items.includes(item)) return null;
    const asked = this.state.askedOn(item);
    const prompts = this.state.concepts
      .map((concept) => promptOf(concept, asked))
      .filter((prompt): prompt is PromptRequest => prompt !== null && !item.answers.prompts.has(JSON.stringify(prompt)));
    const objects = asked.objects.map(objectOf).filter((object): object is ObjectRequest => object !== null);
    const wanted = objects.length > 0 && item.answers.objects?.key !== JSON.stringify(objects);
    if (prompts.length === 0 && !wanted) return null;
    return { prompts: unique(prompts), objects: wanted ? objects : null };
  }

  private async run(item: Item): Promise<void> {
    this.waiting = "";
    const question = this.missing(item);
    if (question === null || this.running) return;
    const key = keyOf(question);
    const running = { item, key, abort: new AbortController() };
    this.running = running;
    this.doing(item.features === null ? "Reading the image…" : "Looking…");
    try {
      await this.ask(item, question, running.abort.signal);
      item.failed = null;
    } catch (error) {
      if (!isAbort(error)) {
        item.failed = key;
        if (this.running === running) this.report(error, () => this.again());
      }
    } finally {
      if (this.running === running) {
        this.running = null;
        this.doing("");
      }
      this.state.changed();
    }
  }

  private async ask(item: Item, question: Question, signal: AbortSignal): Promise<void> {
    try {
      await this.askOnce(item, question, signal);
    } catch (error) {
      // The server kept the features only as long as it had room.
      if (!(error instanceof ApiError) || error.code !== "unknown_features") throw error;
      this.uploads.delete(item);
      item.features = null;
      await this.askOnce(item, question, signal);
    }
  }

  private async askOnce(item: Item, question: Question, signal: AbortSignal): Promise<void> {
    const features = item.features ?? (await this.upload(item));
    signal.throwIfAborted();
    this.doing("Looking…");
    const most = this.state.model?.limits?.prompts ?? Infinity;
    for (let at = 0; at < question.prompts.length; at += most) {
      const part = question.prompts.slice(at, at + most);
      const entry = await this.api.infer(features, part, kLowest, signal);
      // A map of its own, so that views see that it is another one.
      const prompts = new Map(item.answers.prompts);
      part.forEach((prompt, index) => {
        const result = entry.prompts?.[index];
        if (result === undefined) throw new ApiError(200, "short", "The server left out what was asked for.");
        prompts.set(JSON.stringify(prompt), result);
      });
      item.answers = { ...item.answers, prompts };
      this.state.changed();
    }
    if (question.objects !== null) {
      const entry = await this.api.objects(features, question.objects, signal);
      item.answers = { ...item.answers, objects: { key: JSON.stringify(question.objects), entry } };
    }
  }

  private doing(text: string): void {
    this.state.doing = text;
    this.state.changed();
  }
}

function keyOf(question: Question): string {
  return JSON.stringify(question);
}

function unique(prompts: PromptRequest[]): PromptRequest[] {
  return [...new Map(prompts.map((prompt) => [JSON.stringify(prompt), prompt])).values()];
}
