// The strip of small images of what was opened.
import { byId, h, iconButton, Keyed, setText } from "./dom";
import type { Item, State } from "./state";

const kSide = 72;

export class Strip {
  private readonly items: Keyed<Item, HTMLLIElement>;

  constructor(
    private readonly state: State,
    private readonly close: (item: Item) => void,
  ) {
    this.items = new Keyed(
      byId("strip"),
      (item) => String(item.id),
      (item) => this.create(item),
      (element, item) => this.update(element, item),
    );
    state.listen(() => this.render());
    this.render();
  }

  private render(): void {
    byId("strip").hidden = this.state.items.length === 0;
    this.items.render(this.state.items);
  }

  private create(item: Item): HTMLLIElement {
    const small = h("canvas", { width: String(kSide * 2), height: String(kSide * 2), "aria-hidden": "true" });
    drawSmall(small, item);
    const pick = h("button", { type: "button", class: "thumb", title: item.name, click: () => this.state.show(item) }, small, h("span", { class: "count" }));
    return h("li", {}, pick, iconButton("close", `Close ${item.name}`, () => this.close(item)));
  }

  private update(element: HTMLLIElement, item: Item): void {
    const shown = item === this.state.current;
    const pick = element.querySelector<HTMLButtonElement>(".thumb")!;
    if (shown && !element.classList.contains("shown")) element.scrollIntoView({ block: "nearest", inline: "nearest" });
    element.classList.toggle("shown", shown);
    pick.setAttribute("aria-current", String(shown));
    const count = item.kind === "image" ? this.state.foundOnItem(item).length : (item.tracks?.all(this.state.concepts, this.state.askedOn(item), this.state.threshold).length ?? 0);
    const known = item.answers.prompts.size > 0 || item.answers.objects !== null || item.tracks !== null;
    setText(pick.querySelector(".count")!, known && this.state.asks(item) ? String(count) : "");
    pick.setAttribute("aria-label", `${item.name}${known ? `, ${count} found` : ""}`);
  }
}

function drawSmall(canvas: HTMLCanvasElement, item: Item): void {
  const context = canvas.getContext("2d")!;
  if (item.pixels === null) return;
  const scale = Math.max(canvas.width / item.width, canvas.height / item.height);
  const [width, height] = [item.width * scale, item.height * scale];
  context.drawImage(item.pixels, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
}
