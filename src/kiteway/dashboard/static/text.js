// The words of the page. Texts that Kiteway writes, such as diagnostics, are in English in every language.

import en from "./en.js";
import { forLater } from "./stored.js";
import zh from "./zh.js";

export const LANGUAGES = { en: "English", zh: "中文" };

const WORDS = { en, zh };
const KEY = "kiteway-language";

let current = initial();

function initial() {
  const known = forLater.get(KEY);
  if (known in LANGUAGES) return known;
  return navigator.languages.some((each) => each.toLowerCase().startsWith("zh")) ? "zh" : "en";
}

/** The language as BCP 47 writes it. */
export function language() {
  return current === "zh" ? "zh-CN" : "en";
}

export function chosen() {
  return current;
}

export function choose(name) {
  current = name;
  forLater.set(KEY, name);
  document.documentElement.lang = language();
}

/** The text of a key, with its `{names}` replaced by values. */
export function t(key, values = {}) {
  const text = WORDS[current][key] ?? WORDS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** The text for a value of an enumeration, for example of `health.failing`; a value without one is shown as it is. */
export function word(group, value) {
  const key = `${group}.${value}`;
  return WORDS[current][key] ?? WORDS.en[key] ?? value;
}
