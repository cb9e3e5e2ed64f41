// Numbers and times as text, in the language of the page.

import { language } from "./text.js";

const NOTHING = "–";

function numbers(options) {
  return new Intl.NumberFormat(language(), options);
}

export function count(number) {
  return number == null ? NOTHING : numbers({}).format(number);
}

export function compact(number) {
  return number == null ? NOTHING : numbers({ notation: "compact", maximumFractionDigits: 1 }).format(number);
}

export function rate(number) {
  if (number == null) return NOTHING;
  return numbers({ maximumFractionDigits: number < 10 ? 2 : number < 1000 ? 1 : 0 }).format(number);
}

export function share(part) {
  return part == null ? NOTHING : numbers({ style: "percent", maximumFractionDigits: part < 0.1 ? 1 : 0 }).format(part);
}

/** A duration in seconds; above a minute it is only known to be above. */
export function duration(seconds) {
  if (seconds == null) return NOTHING;
  if (seconds >= 60) return "> 60 s";
  if (seconds >= 1) return `${numbers({ maximumFractionDigits: 2 }).format(seconds)} s`;
  return `${numbers({ maximumSignificantDigits: 3 }).format(seconds * 1000)} ms`;
}

export function bytes(number) {
  if (number == null) return NOTHING;
  let size = number;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (size < 1024) return `${numbers({ maximumSignificantDigits: 3 }).format(size)} ${unit}`;
    size /= 1024;
  }
  return `${numbers({ maximumSignificantDigits: 3 }).format(size)} GiB`;
}

export function clock(at) {
  return new Intl.DateTimeFormat(language(), { timeStyle: "medium", hourCycle: "h23" }).format(moment(at));
}

export function hour(at) {
  return new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(moment(at));
}

export function date(at) {
  if (at == null) return NOTHING;
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }).format(moment(at));
}

/** How long ago, or how long from now. */
export function ago(at, now = Date.now()) {
  if (at == null) return NOTHING;
  const seconds = (moment(at) - now) / 1000;
  const words = new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  for (const [unit, length] of [["day", 86_400], ["hour", 3_600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return words.format(Math.trunc(seconds / length), unit);
  }
  return words.format(Math.trunc(seconds), "second");
}

function moment(at) {
  return typeof at === "number" ? new Date(at * 1000) : new Date(at);
}
