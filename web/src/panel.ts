// What to look for: the texts with their colours and examples, and the objects that were clicked.
import { byId, h, iconButton, isTyping, Keyed, setText } from "./dom";
import type { State } from "./state";
import type { Concept, Pointed } from "./types";

interface Row extends HTMLLIElement {
  color: HTMLInputElement;
  text: HTMLInputElement;
  note: HTMLElement;
}

export class Panel {
  private readonly concepts: Keyed<Concept, Row>;
  private readonly objects: Keyed<Pointed, HTMLLIElement>;

  constructor(
    private readonly state: State,
    private readonly entered: () => void,
  ) {
    this.concepts = new Keyed(
      byId("concepts"),
      (concept) => String(concept.id),
      (concept) => this.createConcept(concept),
      (row, concept) => this.updateConcept(row, concept),
    );
    this.objects = new Keyed(
      byId("objects"),
      (object) => String(object.id),
      (object) => this.createObject(object),
      (row, object) => this.updateObject(row, object),
    );
    byId("add-concept").addEventListener("click", () => this.addConcept());
    byId("new-object").addEventListener("click", () => {
      state.setTool("object");
      state.finishObject();
    });
    state.listen(() => this.render());
    this.render();
  }

  /** A new text, ready to be typed; an empty one is used first. */
  addConcept(): void {
    const empty = this.state.concepts.find((one) => one.text === "" && !this.examplesOf(one).length);
    const concept = empty ?? this.state.addConcept("");
    this.state.activeConcept = concept.id;
    this.render();
    this.concepts.get(String(concept.id))?.text.focus();
  }

  private examplesOf(concept: Concept): { positive: boolean }[] {
    return this.state.asked.examples.filter((one) => one.concept === concept.id);
  }

  private render(): void {
    const { state } = this;
    this.concepts.render(state.concepts);
    this.objects.render(state.asked.objects);
    byId("objects-part").hidden = !state.can("interact") || (state.tool !== "object" && state.asked.objects.length === 0);
    byId<HTMLButtonElement>("new-object").disabled = state.activeObject === null;
  }

  private createConcept({ id }: Concept): Row {
    const color = h("input", { type: "color", input: () => this.state.changeConcept(id, { color: color.value }, true) });
    const text = h("input", {
      type: "text",
      placeholder: "for example: red circle",
      autocomplete: "off",
      spellcheck: "false",
      enterkeyhint: "search",
      maxlength: "300",
      input: () => this.state.changeConcept(id, { text: text.value }, true),
      change: () => this.state.history.settle(),
      focus: () => this.activate(id),
      keydown: (event: KeyboardEvent) => {
        if (event.key !== "Enter" || event.isComposing) return;
        this.state.history.settle();
        this.entered();
      },
    });
    const note = h("span", { class: "note" });
    const remove = iconButton("close", "Remove this text", () => this.state.removeConcept(id));
    const row = h("li", { class: "concept", click: (event: MouseEvent) => this.rowClicked(event, id) }, color, text, note, remove);
    return Object.assign(row, { color, text, note });
  }

  private rowClicked(event: MouseEvent, id: number): void {
    if (!isTyping(event.target)) this.activate(id);
  }

  private activate(id: number): void {
    if (this.state.activeConcept === id || !this.state.concepts.some((one) => one.id === id)) return;
    this.state.activeConcept = id;
    this.state.changed();
  }

  private updateConcept(row: Row, concept: Concept): void {
    if (row.color.value !== concept.color) row.color.value = concept.color;
    if (row.text.value !== concept.text) row.text.value = concept.text;
    const number = this.state.concepts.indexOf(concept) + 1;
    row.color.setAttribute("aria-label", `Colour of text ${number}`);
    row.text.setAttribute("aria-label", `Text ${number}: what to look for`);
    const examples = this.examplesOf(concept);
    const positive = examples.filter((one) => one.positive).length;
    const parts = [positive > 0 ? `${positive} like this` : "", examples.length > positive ? `${examples.length - positive} not` : ""];
    setText(row.note, parts.filter((part) => part !== "").join(", "));
    row.text.placeholder = examples.length > 0 ? "like the examples" : "for example: red circle";
    row.classList.toggle("active", concept.id === this.state.activeConcept && this.state.concepts.length > 1);
  }

  private createObject({ id }: Pointed): HTMLLIElement {
    const pick = h("button", { type: "button", class: "pick", click: () => this.pick(id) }, h("span", { class: "swatch" }), h("span", { class: "name" }));
    return h("li", { class: "object" }, pick, iconButton("close", "Remove this object", () => this.state.removeObject(id)));
  }

  private pick(id: number): void {
    this.state.setTool("object");
    this.state.select({ kind: "object", id });
  }

  private updateObject(row: HTMLLIElement, object: Pointed): void {
    row.querySelector<HTMLElement>(".swatch")!.style.backgroundColor = object.color;
    const number = this.state.asked.objects.indexOf(object) + 1;
    const clicks = object.clicks.length;
    const parts = [clicks > 0 ? `${clicks} click${clicks > 1 ? "s" : ""}` : "", object.box ? "box" : ""].filter((part) => part !== "");
    setText(row.querySelector(".name")!, `Object ${number}: ${parts.join(" and ")}`);
    const active = object.id === this.state.activeObject;
    row.classList.toggle("active", active);
    row.querySelector(".pick")!.setAttribute("aria-pressed", String(active));
  }
}
