// Tracks a video through the server and plays it with what was found.
import { isAbort, type Api } from "./api";
import { objectOf, promptOf } from "./results";
import type { Item, State } from "./state";
import { Tracks } from "./tracks";

export class Player {
  playing = false;
  private abort: { item: Item; controller: AbortController } | null = null;
  /** Changes whenever playing starts or stops, so that old call-backs know that they are old. */
  private turn = 0;

  constructor(
    private readonly state: State,
    private readonly api: Api,
    private readonly redraw: () => void,
    private readonly report: (error: unknown, again: () => void) => void,
  ) {
    let shown: Item | null = null;
    state.listen(() => {
      if (state.current !== shown) this.pause();
      shown = state.current;
    });
  }

  get tracking(): Item | null {
    return this.abort?.item ?? null;
  }

  /** What the server is asked about a video; null when nothing is. */
  request(item: Item): object | null {
    const asked = this.state.askedOn(item);
    const prompts = this.state.concepts.map((concept) => promptOf(concept, asked)).filter((prompt) => prompt !== null);
    const texts = prompts.filter((prompt) => prompt.boxes === undefined).map((prompt) => prompt.text);
    const concepts = prompts.filter((prompt) => prompt.boxes !== undefined).map((prompt) => ({ ...prompt, frame: 0 }));
    const objects = asked.objects.map(objectOf).filter((object) => object !== null).map((object) => ({ ...object, frame: 0 }));
    if (texts.length + concepts.length + objects.length === 0) return null;
    return {
      ...(texts.length > 0 ? { texts } : {}),
      ...(concepts.length + objects.length > 0 ? { prompts: { ...(objects.length > 0 ? { objects } : {}), ...(concepts.length > 0 ? { concepts } : {}) } } : {}),
    };
  }

  async track(item: Item): Promise<void> {
    const request = this.request(item);
    if (request === null || this.abort !== null) return;
    this.pause();
    const tracks = new Tracks();
    item.tracks = tracks;
    const controller = new AbortController();
    this.abort = { item, controller };
    this.state.history.settle();
    this.state.changed();
    try {
      await this.api.video(item.file, request, (line) => this.take(item, tracks, line), controller.signal);
      if (tracks.error !== null) throw new Error(tracks.error);
    } catch (error) {
      if (tracks.frames.length === 0) item.tracks = null;
      if (!isAbort(error)) this.report(error, () => void this.track(item));
    } finally {
      tracks.done = true;
      this.abort = null;
      this.state.changed();
    }
  }

  /** Ends the tracking; what has come stays. */
  stop(): void {
    this.abort?.controller.abort();
  }

  private take(item: Item, tracks: Tracks, line: string): void {
    tracks.add(line);
    if (tracks.header && item.pixels === null && item.width !== tracks.header.width) {
      item.width = tracks.header.width;
      item.height = tracks.header.height;
    }
    // The view follows what comes, unless somebody is looking at an earlier frame.
    if (item === this.state.current && !this.playing && tracks.position === tracks.frames.length - 2) this.seek(tracks.frames.length - 1);
    this.state.changed();
  }

  seek(position: number): void {
    const item = this.state.current;
    const tracks = item?.tracks;
    if (!item || !tracks) return;
    tracks.position = Math.min(Math.max(position, 0), Math.max(tracks.frames.length - 1, 0));
    const video = item.pixels;
    if (video instanceof HTMLVideoElement && !this.playing) {
      // The middle of the frame's time: its very start may still show the one before.
      const half = 0.5 / (tracks.header?.fps || 25);
      video.addEventListener("seeked", this.redraw, { once: true });
      video.currentTime = Math.min(tracks.timeOf(tracks.position) + half, video.duration || Infinity);
    }
    this.state.changed();
  }

  step(by: number): void {
    this.pause();
    this.seek((this.state.current?.tracks?.position ?? 0) + by);
  }

  toggle(): void {
    if (this.playing) this.pause();
    else void this.play();
  }

  pause(): void {
    if (!this.playing) return;
    this.playing = false;
    ++this.turn;
    const video = this.state.items.map((item) => item.pixels).find((pixels) => pixels instanceof HTMLVideoElement && !pixels.paused);
    if (video instanceof HTMLVideoElement) video.pause();
    if (this.state.current?.tracks) this.seek(this.state.current.tracks.position);
    this.state.changed();
  }

  private async play(): Promise<void> {
    const item = this.state.current;
    const tracks = item?.tracks;
    if (!item || !tracks || tracks.frames.length < 2) return;
    if (tracks.position >= tracks.frames.length - 1) this.seek(0);
    this.playing = true;
    const turn = ++this.turn;
    this.state.changed();
    if (item.pixels instanceof HTMLVideoElement) {
      const video = item.pixels;
      const next = (time: number): void => {
        if (turn !== this.turn) return;
        tracks.position = tracks.positionAt(time);
        this.state.changed();
        if (tracks.position >= tracks.frames.length - 1) this.pause();
        else onFrame(video, next);
      };
      onFrame(video, next);
      video.addEventListener("ended", () => turn === this.turn && this.pause(), { once: true });
      try {
        await video.play();
      } catch (error) {
        if (!isAbort(error)) this.pause();
      }
    } else {
      const tick = (): void => {
        if (turn !== this.turn) return;
        this.seek(tracks.position + 1);
        if (tracks.position >= tracks.frames.length - 1) this.pause();
        else setTimeout(tick, 1000 / (tracks.header?.fps || 25));
      };
      tick();
    }
  }
}

/** Calls back with the time of the next frame that is shown; some browsers only tell where the video is. */
function onFrame(video: HTMLVideoElement, call: (time: number) => void): void {
  if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback((_, frame) => call(frame.mediaTime));
  else requestAnimationFrame(() => call((video as HTMLVideoElement).currentTime));
}
