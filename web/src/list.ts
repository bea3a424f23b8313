// What was found: by text, with scores; the pointer on an entry lights up its mask and the other way round.
import { byId, h, iconButton, Keyed, setText } from "./dom";
import { promptOf, type Found } from "./results";
import type { State } from "./state";

type Entry = { kind: "head"; key: string; name: string; color: string; count: number; presence: number | null } | { kind: "found"; key: string; found: Found; number: number };

/** More entries than this are counted, not listed. */
const kMost = 300;

export class List {
  private readonly entries: Keyed<Entry, HTMLLIElement>;
  private lit: string | null = null;

  constructor(private readonly state: State) {
    this.entries = new Keyed(
      byId("found"),
      (entry) => entry.key,
      (entry) => (entry.kind === "head" ? this.createHead() : this.createFound(entry.found.key)),
      (element, entry) => (entry.kind === "head" ? this.updateHead(element, entry) : this.updateFound(element, entry.found, entry.number)),
    );
    const threshold = byId<HTMLInputElement>("threshold");
    threshold.addEventListener("input", () => {
      state.threshold = threshold.valueAsNumber;
      state.changed();
    });
    state.listen(() => this.render());
    this.render();
  }

  private render(): void {
    const { state } = this;
    const found = state.found;
    const entries = this.arrange(found);
    this.entries.render(entries.slice(0, kMost));
    setText(byId("count"), found.length > 0 ? String(found.length) : "");
    const threshold = byId<HTMLInputElement>("threshold");
    threshold.value = String(state.threshold);
    setText(byId("threshold-value"), state.threshold.toFixed(2));
    setText(byId("nothing"), this.nothing(found.length));
    byId("nothing").hidden = byId("nothing").textContent === "";
    this.reveal();
  }

  private nothing(count: number): string {
    const item = this.state.current;
    if (count > kMost) return `The list ends after ${kMost} entries; the image shows all ${count}.`;
    if (item === null || count > 0 || this.state.doing !== "") return "";
    if (!this.state.asks(item)) return "Say what to look for, drag a box around an example, or click on an object.";
    if (item.kind === "video" && item.tracks === null) return "Track the video to see what is found.";
    return item.failed === null ? "Nothing with this score. Lower the threshold, or say it in other words." : "";
  }

  private arrange(found: Found[]): Entry[] {
    const entries: Entry[] = [];
    const groups = new Map<string, Found[]>();
    for (const one of found) {
      const key = one.source.kind === "concept" ? `concept ${one.source.id}` : one.name;
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    for (const concept of this.state.concepts) {
      const key = `concept ${concept.id}`;
      if (!groups.has(key) && this.presence(concept.id) !== null) groups.set(key, []);
    }
    for (const [key, members] of groups) {
      const concept = this.state.concepts.find((one) => key === `concept ${one.id}`);
      const name = concept ? concept.text.trim() || "examples" : members[0]!.name === "object" ? "objects" : members[0]!.name;
      const color = concept?.color ?? members[0]!.color;
      entries.push({ kind: "head", key: `head ${key}`, name, color, count: members.length, presence: concept ? this.presence(concept.id) : null });
      members.forEach((one, index) => entries.push({ kind: "found", key: one.key, found: one, number: index + 1 }));
    }
    return entries;
  }

  /** The probability that the image shows such a thing; null when it is not known. */
  private presence(id: number): number | null {
    const item = this.state.current;
    const concept = this.state.concepts.find((one) => one.id === id);
    const prompt = concept && item && promptOf(concept, this.state.askedOn(item));
    return (prompt && item?.answers.prompts.get(JSON.stringify(prompt))?.presence) ?? null;
  }

  private createHead(): HTMLLIElement {
    return h("li", { class: "head" }, h("span", { class: "swatch" }), h("span", { class: "name" }), h("span", { class: "note" }));
  }

  private updateHead(element: HTMLLIElement, entry: Entry & { kind: "head" }): void {
    element.querySelector<HTMLElement>(".swatch")!.style.backgroundColor = entry.color;
    setText(element.querySelector(".name")!, entry.name);
    const presence = entry.presence === null ? "" : ` · presence ${percent(entry.presence)}`;
    const note = element.querySelector<HTMLElement>(".note")!;
    setText(note, `${entry.count}${presence}`);
    note.title = entry.presence === null ? "" : "The probability that the image shows such a thing at all";
  }

  private createFound(key: string): HTMLLIElement {
    const pick = h(
      "button",
      { type: "button", class: "pick", click: () => this.state.select({ kind: "found", key }), focus: () => this.state.hover(key), blur: () => this.state.hover(null) },
      h("span", { class: "swatch" }),
      h("span", { class: "name" }),
      h("span", { class: "bar" }, h("span")),
      h("span", { class: "score" }),
    );
    const remove = iconButton("remove", "Remove from the results", () => this.state.removeFound(key));
    return h("li", { class: "one", mouseenter: () => this.state.hover(key), mouseleave: () => this.state.hover(null) }, pick, remove);
  }

  private updateFound(element: HTMLLIElement, found: Found, number: number): void {
    element.querySelector<HTMLElement>(".swatch")!.style.backgroundColor = found.color;
    element.querySelector<HTMLElement>(".bar > span")!.style.width = `${Math.round(found.score * 100)}%`;
    setText(element.querySelector(".name")!, `${number}`);
    setText(element.querySelector(".score")!, found.score.toFixed(2));
    const pick = element.querySelector<HTMLElement>(".pick")!;
    const label = `${found.name} ${number}, score ${found.score.toFixed(2)}, ${found.area} pixels`;
    if (pick.title !== label) {
      pick.title = label;
      pick.setAttribute("aria-label", label);
    }
    const { selected, hovered } = this.state;
    element.classList.toggle("lit", hovered === found.key);
    const chosen = (selected?.kind === "found" && selected.key === found.key) || (selected?.kind === "object" && found.key === `object ${selected.id}`);
    element.classList.toggle("selected", chosen);
    pick.setAttribute("aria-pressed", String(chosen));
  }

  /** Scrolls the list, never the page, to what the pointer is on. */
  private reveal(): void {
    const { hovered } = this.state;
    if (hovered === this.lit) return;
    this.lit = hovered;
    const element = hovered === null ? undefined : this.entries.get(hovered);
    const list = byId("found");
    if (!element || list.scrollHeight <= list.clientHeight || element.matches(":hover")) return;
    const top = element.offsetTop - list.offsetTop;
    if (top < list.scrollTop || top + element.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
  }
}

function percent(value: number): string {
  return `${Math.round(value * 100)} %`.replace(" ", "\u2009");
}
