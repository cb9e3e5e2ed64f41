// The views of one endpoint and of one collection.

import { html } from "./preact.js";
import { EventList } from "./events.js";
import { ago, count, duration, rate, share } from "./format.js";
import { CALLS, Health, Panel, Rows, Waiting, codes, useData } from "./parts.js";
import { Plot } from "./plot.js";
import { link } from "./route.js";
import { t } from "./text.js";

function Facts({ facts }) {
  return html`<dl class="tiles">
    ${facts.map(([name, value]) => html`<div class="tile" key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function callFacts(calls) {
  return CALLS.map(({ key, cell }) => [t(`column.${key}`), cell({ calls })]);
}

function Plots({ plot, cache }) {
  if (plot == null || plot.at.length < 2) return html`<p class="quiet">${t("plot.none")}</p>`;
  const { at } = plot;
  const series = (...names) => names.map((name) => ({ name, values: plot[name] }));
  const cached = cache && plot.cached.some((value) => value != null);
  return html`<div class="panels plots">
    <div class="panel"><${Plot} title=${t("plot.calls")} at=${at} format=${rate} series=${series("calls", "errors")} /></div>
    <div class="panel"><${Plot} title=${t("plot.times")} at=${at} format=${duration} series=${series("p50", "p99")} /></div>
    <div class="panel"><${Plot} title=${t("plot.rows")} at=${at} format=${rate} series=${series("rows")} /></div>
    ${cached &&
    html`<div class="panel"><${Plot} title=${t("plot.cached")} at=${at} format=${share} series=${series("cached")} top=${1} /></div>`}
  </div>`;
}

export function Endpoint({ query, fresh }) {
  const { data, error } = useData(`endpoint?${query}`, fresh);
  if (data == null) return html`<${Waiting} error=${error} />`;
  const { endpoint, plot, events } = data;
  return html`
    ${endpoint == null
      ? html`<p class="failed">${t("endpoint.unknown")}</p>`
      : html`
          <p>
            <${Health} value=${endpoint.health} />
            ${endpoint.since && html` <span class="quiet">${t("endpoint.since", { since: ago(endpoint.since) })}</span>`}
            ${endpoint.why && html` <span lang="en">${endpoint.why}</span>`}
          </p>
          <p class="quiet">
            <a href=${link("endpoints", { q: endpoint.pool })}>${endpoint.pool}</a>; ${t("endpoint.check")}:
            ${" "}${endpoint.check || t("endpoint.no-check")}
            ${endpoint.failures.length > 0 && html`; ${t("endpoint.flags")}: <code>${endpoint.failures.join(", ")}</code>`}
          </p>
          <${Facts}
            facts=${[
              [t("column.active"), count(endpoint.active)],
              [t("column.share"), share(endpoint.share)],
              ...callFacts(endpoint.calls),
            ]}
          />
          <p class="quiet">${codes(endpoint.calls.codes)}</p>
        `}
    <${Plots} plot=${plot} />
    <${Panel} title=${t("endpoint.events")}><${EventList} events=${events} empty=${t("overview.no-events")} /><//>
  `;
}

const RPCS = [
  { key: "rpc", cell: (row) => row.rpc },
  ...CALLS,
  { key: "codes", cell: (row) => codes(row.calls.codes) },
];

export function Collection({ query, fresh }) {
  const { data, error } = useData(`collection?${query}`, fresh);
  if (data == null) return html`<${Waiting} error=${error} />`;
  const { collection, rpcs, plot } = data;
  return html`
    ${collection == null
      ? html`<p class="failed">${t("collection.unknown")}</p>`
      : html`
          <p class="quiet">${collection.pool}</p>
          <${Facts}
            facts=${[
              ...callFacts(collection.calls),
              [t("column.cached"), share(collection.cached)],
              [t("column.saved"), count(collection.saved)],
            ]}
          />
        `}
    <${Plots} plot=${plot} cache=${true} />
    <h2>${t("collection.rpcs")}</h2>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("collection.rpcs")}>
      <${Rows} rows=${rpcs} columns=${RPCS} id=${(row) => `${row.protocol} ${row.rpc}`} />
    </div>
    <p class="quiet">${t("table.interval")}</p>
  `;
}
