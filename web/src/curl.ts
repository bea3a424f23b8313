// The request of the page as a command for a shell.

/** A word that a POSIX shell takes as it is. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

export interface Command {
  url: string;
  /** Name of the form's field that holds the file. */
  field: "image" | "video";
  file: string;
  request: object;
  token: boolean;
}

/** The token itself is never written: the command reads it from the variable SAM3TRT_TOKEN. */
export function toCurl(command: Command): string {
  const lines = [`curl ${quote(command.url)}`];
  if (command.token) lines.push(`-H "Authorization: Bearer $SAM3TRT_TOKEN"`);
  // In a form's value quotes and backslashes of the file name are escaped for curl itself.
  const file = command.file.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  lines.push(`-F ${quote(`${command.field}=@"${file}"`)}`);
  lines.push(`--form-string ${quote(`request=${JSON.stringify(command.request)}`)}`);
  return lines.join(" \\\n  ");
}
