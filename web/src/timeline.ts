// The time line of a video: track, play, step, and a lane for each object.
import { byId, h, Keyed, setText } from "./dom";
import { icon } from "./icons";
import type { Player } from "./player";
import type { State } from "./state";
import type { Track, Tracks } from "./tracks";

export class Timeline {
  private readonly lanes: Keyed<Track, HTMLLIElement>;
  private playingShown: boolean | null = null;

  constructor(
    private readonly state: State,
    private readonly player: Player,
  ) {
    this.lanes = new Keyed(
      byId("lanes"),
      (track) => String(track.id),
      (track) => this.create(track.id),
      (element, track) => this.update(element, track),
    );
    byId("track").addEventListener("click", () => {
      if (player.tracking) player.stop();
      else if (state.current) void player.track(state.current);
    });
    byId("play").addEventListener("click", () => player.toggle());
    byId("previous-frame").addEventListener("click", () => player.step(-1));
    byId("next-frame").addEventListener("click", () => player.step(1));
    const slider = byId<HTMLInputElement>("frame");
    slider.addEventListener("input", () => {
      const position = slider.valueAsNumber;
      player.pause();
      player.seek(position);
    });
    state.listen(() => this.render());
    this.render();
  }

  private render(): void {
    const { state, player } = this;
    const item = state.current;
    const video = item?.kind === "video";
    byId("timeline").hidden = !video;
    if (!video) return;
    const { tracks } = item;
    const busy = player.tracking;
    const track = byId<HTMLButtonElement>("track");
    setText(track, busy ? "Stop" : tracks ? "Track again" : "Track");
    track.classList.toggle("primary", !busy);
    track.disabled = busy === null && (!state.can("track") || player.request(item) === null);
    track.title = track.disabled ? (state.can("track") ? "Say what to look for, or click on an object, first" : "This model has no tracker") : "";
    for (const id of ["play", "previous-frame", "next-frame", "frame"]) {
      byId<HTMLButtonElement | HTMLInputElement>(id).disabled = !tracks || tracks.frames.length === 0;
    }
    this.renderPlay();
    this.renderProgress(busy === item, tracks);
    this.lanes.render(tracks?.all(state.concepts, state.asked, state.threshold) ?? []);
    byId("lanes").hidden = !tracks;
  }

  private renderPlay(): void {
    const { playing } = this.player;
    if (playing === this.playingShown) return;
    this.playingShown = playing;
    const play = byId("play");
    play.replaceChildren(icon(playing ? "pause" : "play"));
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    play.title = playing ? "Pause (P)" : "Play (P)";
  }

  private renderProgress(busy: boolean, tracks: Tracks | null): void {
    const slider = byId<HTMLInputElement>("frame");
    const count = tracks?.frames.length ?? 0;
    slider.max = String(Math.max(count - 1, 0));
    slider.value = String(tracks?.position ?? 0);
    slider.setAttribute("aria-valuetext", `Frame ${(tracks?.position ?? 0) + 1} of ${count}`);
    setText(byId("where"), tracks && count > 0 ? whereIn(tracks) : "First frame");
    const progress = byId<HTMLProgressElement>("progress");
    progress.hidden = !busy;
    const total = tracks?.header?.frames ?? null;
    if (total === null) progress.removeAttribute("value");
    else {
      progress.max = total;
      progress.value = count;
    }
    const text = total === null ? `${count} frames tracked` : `${count} of ${total} frames tracked`;
    setText(byId("progress-text"), busy ? (count === 0 ? "Sending the video…" : text) : "");
  }

  private create(id: number): HTMLLIElement {
    const key = `track ${id}`;
    const lane = h("div", { class: "lane", click: (event: MouseEvent) => this.jump(event, lane) });
    const pick = h(
      "button",
      { type: "button", class: "pick", click: () => this.first(id), focus: () => this.state.hover(key), blur: () => this.state.hover(null) },
      h("span", { class: "swatch" }),
      h("span", { class: "name" }),
    );
    return h("li", { mouseenter: () => this.state.hover(key), mouseleave: () => this.state.hover(null) }, pick, lane);
  }

  private update(element: HTMLLIElement, track: Track): void {
    const tracks = this.state.current?.tracks;
    if (!tracks) return;
    element.querySelector<HTMLElement>(".swatch")!.style.backgroundColor = track.color;
    setText(element.querySelector(".name")!, `${track.name} ${track.id}`);
    const pick = element.querySelector<HTMLElement>(".pick")!;
    pick.setAttribute("aria-label", `${track.name} ${track.id}, ${track.spans.length === 1 ? "one stretch" : `${track.spans.length} stretches`}: go to its first frame`);
    element.classList.toggle("lit", this.state.hovered === `track ${track.id}`);
    const lane = element.querySelector<HTMLElement>(".lane")!;
    const total = Math.max(tracks.total, 1);
    while (lane.childElementCount > track.spans.length + 1) lane.lastElementChild!.remove();
    while (lane.childElementCount < track.spans.length + 1) lane.append(h("span"));
    const [head, ...bars] = lane.children as unknown as HTMLElement[];
    head!.className = "head";
    head!.style.left = `${((tracks.position + 0.5) / total) * 100}%`;
    track.spans.forEach(([from, to], index) => {
      const bar = bars[index]!;
      bar.className = "span";
      bar.style.left = `${(from / total) * 100}%`;
      bar.style.width = `${((to - from + 1) / total) * 100}%`;
      bar.style.backgroundColor = track.color;
    });
  }

  private jump(event: MouseEvent, lane: HTMLElement): void {
    const { left, width } = lane.getBoundingClientRect();
    this.player.pause();
    this.player.seek(Math.floor(((event.clientX - left) / Math.max(width, 1)) * (this.state.current?.tracks?.total ?? 0)));
  }

  private first(id: number): void {
    const tracks = this.state.current?.tracks;
    const track = tracks?.all(this.state.concepts, this.state.asked, 0).find((one) => one.id === id);
    this.player.pause();
    if (track) this.player.seek(track.spans[0]![0]);
    this.state.select({ kind: "found", key: `track ${id}` });
  }
}

function whereIn(tracks: Tracks): string {
  const frame = tracks.frames[tracks.position];
  const what = frame?.error === undefined ? `${tracks.timeOf(tracks.position).toFixed(2)} s` : "cannot be read";
  return `${tracks.position + 1} / ${tracks.frames.length} · ${what}`;
}
