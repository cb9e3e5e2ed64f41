// Parts of several views: data that stays up to date, tables, badges.

import { html, useEffect, useRef, useState } from "./preact.js";
import { count, rate, duration } from "./format.js";
import { get } from "./live.js";
import { change } from "./route.js";
import { t, word } from "./text.js";

/** Return `{ data, error }` of a path of the API; it is asked again whenever `fresh` changes. */
export function useData(path, fresh) {
  const [found, set] = useState({ path: null, data: null, error: null });
  useEffect(() => {
    const ended = new AbortController();
    get(path, ended.signal).then(
      (data) => set({ path, data, error: null }),
      (error) => ended.signal.aborted || set((before) => ({ ...before, path, error: error.message })),
    );
    return () => ended.abort();
  }, [path, fresh]);
  // The data of another path is not shown as that of this one; a slow answer does not make the table disappear.
  const same = found.path != null && found.path.split("?")[0] === path.split("?")[0];
  return same ? found : { data: null, error: null };
}

export function Badge({ level, children }) {
  return html`<span class="badge ${level}">${children}</span>`;
}

const HEALTH = { healthy: "good", pending: "note", leaving: "note" };

export function Health({ value }) {
  return html`<${Badge} level=${HEALTH[value] ?? "bad"}>${word("health", value)}<//>`;
}

export function Panel({ title, href, wide, children }) {
  return html`<section class=${wide ? "panel wide" : "panel"}>
    <h2>${href ? html`<a href=${href}>${title}</a>` : title}</h2>
    ${children}
  </section>`;
}

export function Waiting({ error }) {
  if (error) return html`<p class="failed" role="alert">${t("table.failed", { why: error })}</p>`;
  return html`<p class="quiet waiting">${t("table.loading")}</p>`;
}

/** The columns of the calls of a row, for each table that has them. */
export const CALLS = [
  { key: "rate", number: true, cell: (row) => rate(row.calls.rate) },
  { key: "errors", number: true, cell: (row) => failing(rate(row.calls.errors), row.calls.errors) },
  { key: "p50", number: true, cell: (row) => duration(row.calls.p50) },
  { key: "p99", number: true, cell: (row) => duration(row.calls.p99) },
  { key: "rows", number: true, cell: (row) => rate(row.calls.rows) },
  { key: "total", number: true, cell: (row) => count(row.calls.total) },
  { key: "failed", number: true, cell: (row) => failing(count(row.calls.failed), row.calls.failed) },
];

function failing(text, number) {
  return number > 0 ? html`<span class="bad-text">${text}</span>` : text;
}

/** Codes of errors with their numbers. */
export function codes(found) {
  return Object.entries(found)
    .map(([code, number]) => `${code}: ${count(number)}`)
    .join(", ");
}

/**
 * A table with its filter and pages.
 *
 * Properties: `name` of the view, `fresh` as of `useData`, `query` of the view, `columns` (`key`; `cell`, a function of a row;
 * `number`, whether it is aligned as one; `name`, whether it is wide; `fixed`, whether the table cannot be sorted by it), `id`, a function of a row;
 * `only`, values to choose from with a function that names each; `note` above the table; `empty`, a text.
 */
export function Table({ name, fresh, query, columns, id, only, note, empty, before }) {
  const { data, error } = useData(`${name}?${query}`, fresh);
  if (data == null) return html`<${Waiting} error=${error} />`;
  const filtered = query.get("q") || query.get("only");
  return html`
    ${before && before(data)}
    <${Filters} data=${data} query=${query} only=${only} />
    ${error && html`<${Waiting} error=${error} />`}
    ${data.rows.length === 0
      ? html`<p class="quiet">${filtered ? t("table.nothing") : (empty ?? t("table.empty"))}</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label=${t(`nav.${name}`)}>
          <${Rows} rows=${data.rows} columns=${columns} id=${id} query=${query} />
        </div>`}
    <${Pages} data=${data} />
    ${note && html`<p class="quiet">${note}</p>`}
  `;
}

/** The bare table; with a `query` its columns sort. */
export function Rows({ rows, columns, id, query }) {
  return html`<table>
    <thead>
      <tr>
        ${columns.map((column) => html`<${Head} key=${column.key} column=${column} query=${query} />`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) => html`<tr key=${id(row)}>
          ${columns.map(({ key, number, name, cell }) => html`<td key=${key} class=${number ? "number" : name ? "name" : ""}>${cell(row)}</td>`)}
        </tr>`,
      )}
    </tbody>
  </table>`;
}

function Head({ column: { key, number, fixed }, query }) {
  const title = t(`column.${key}`);
  const style = number ? "number" : "";
  if (fixed || query == null) return html`<th scope="col" class=${style}>${title}</th>`;
  const descending = query.get("order") === "desc";
  const sorted = query.get("sort") !== key ? "none" : descending ? "descending" : "ascending";
  // Numbers are looked at from the largest, names from the first.
  const next = sorted === "none" ? (number ? "desc" : "") : descending ? "" : "desc";
  return html`<th scope="col" class=${style} aria-sort=${sorted}>
    <button type="button" onClick=${() => change({ sort: key, order: next, page: "" })}>${title}</button>
  </th>`;
}

function Filters({ data, query, only }) {
  const asked = query.get("q") ?? "";
  const [text, setText] = useState(asked);
  const timer = useRef(null);
  // A link to the same view brings another filter. While somebody types, the address is behind the text.
  useEffect(() => {
    if (timer.current == null) setText(asked);
  }, [asked]);
  // A filter that is not asked for yet belongs to this view only.
  useEffect(() => () => clearTimeout(timer.current), []);
  const onInput = (event) => {
    const typed = event.target.value;
    setText(typed);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      timer.current = null;
      change({ q: typed, page: "" });
    }, 200);
  };
  return html`<div class="filters">
    <label>${t("table.filter")} <input type="search" placeholder=${t("table.filter.hint")} value=${text} onInput=${onInput} /></label>
    ${only &&
    html`<label
      >${t("table.only")}
      <select value=${query.get("only") ?? ""} onChange=${(event) => change({ only: event.target.value, page: "" })}>
        <option value="">${t("table.all")}</option>
        ${only.values.map((value) => html`<option key=${value} value=${value}>${only.name(value)}</option>`)}
      </select>
    </label>`}
    <output>${t("table.found", { found: count(data.found), total: count(data.total) })}</output>
  </div>`;
}

function Pages({ data: { page, pages } }) {
  if (pages <= 1) return null;
  const go = (number) => () => change({ page: number === 1 ? "" : number });
  return html`<nav class="pages" aria-label=${t("table.pages")}>
    <button type="button" disabled=${page <= 1} onClick=${go(page - 1)}>${t("table.previous")}</button>
    <span>${t("table.page", { page: count(page), pages: count(pages) })}</span>
    <button type="button" disabled=${page >= pages} onClick=${go(page + 1)}>${t("table.next")}</button>
  </nav>`;
}
