// Small helpers for elements. All text goes in as text, never as HTML.
import { icon, type IconName } from "./icons";

type Child = Node | string | null;

/** An element with attributes and children; functions are listeners. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | ((event: never) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/** A button that is only an icon, with its name for those who do not see it. */
export function iconButton(name: IconName, label: string, action: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "icon", "aria-label": label, title: label, click: action }, icon(name));
}

/** The element of index.html with this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element "${id}"`);
  return element as T;
}

/** Keeps the children of a list in step with values: elements stay as long as their key does, so that focus stays. */
export class Keyed<T, E extends HTMLElement> {
  private elements = new Map<string, E>();

  constructor(
    private readonly list: HTMLElement,
    private readonly key: (value: T) => string,
    private readonly create: (value: T) => E,
    private readonly update: (element: E, value: T) => void,
  ) {}

  render(values: readonly T[]): void {
    const next = new Map<string, E>();
    let before: Element | null = this.list.firstElementChild;
    for (const value of values) {
      const key = this.key(value);
      const element = this.elements.get(key) ?? this.create(value);
      this.update(element, value);
      next.set(key, element);
      if (element === before) before = element.nextElementSibling;
      else this.list.insertBefore(element, before);
    }
    for (const [key, element] of this.elements) if (!next.has(key)) element.remove();
    this.elements = next;
  }

  get(key: string): E | undefined {
    return this.elements.get(key);
  }
}

/** Sets what changed only. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether keys belong to a field that text is typed into. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["range", "color", "checkbox", "radio", "button", "file"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target.isContentEditable;
}
