// Undo and redo of values that are replaced, never changed.

export class History<T> {
  private past: T[] = [];
  private future: T[] = [];
  private group: string | null = null;

  constructor(
    private now: T,
    private readonly limit = 200,
  ) {}

  get value(): T {
    return this.now;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** Whether the last change may be followed by more of its group. */
  get inGroup(): boolean {
    return this.group !== null;
  }

  /** Replaces the value. Consecutive changes of one group, such as typing into one field, are one step. */
  set(value: T, group: string | null = null): void {
    if (group === null || group !== this.group) {
      this.past.push(this.now);
      if (this.past.length > this.limit) this.past.shift();
    }
    this.group = group;
    this.now = value;
    this.future = [];
  }

  /** Ends the group: the next change is a step of its own. */
  settle(): void {
    this.group = null;
  }

  undo(): boolean {
    return this.step(this.past, this.future);
  }

  redo(): boolean {
    return this.step(this.future, this.past);
  }

  private step(from: T[], to: T[]): boolean {
    const value = from.pop();
    if (value === undefined) return false;
    to.push(this.now);
    this.now = value;
    this.group = null;
    return true;
  }
}
