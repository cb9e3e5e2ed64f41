// The first view.

import { html } from "./preact.js";
import { EventList } from "./events.js";
import { ago, compact, count, duration, rate, share } from "./format.js";
import { Badge, CALLS, Health, Panel, Rows, Waiting, useData } from "./parts.js";
import { Plot } from "./plot.js";
import { link } from "./route.js";
import { t, word } from "./text.js";

const LEVEL = { ready: "good", degraded: "warning", "not ready": "bad" };
const HEALTHS = ["healthy", "pending", "leaving", "ejected", "unhealthy", "failing"];

export function Overview({ overview, fresh }) {
  const history = useData("history", fresh).data;
  const events = useData("events", fresh).data;
  const collections = useData("collections", fresh).data;
  if (overview == null) return html`<${Waiting} />`;
  return html`
    <${Banner} overview=${overview} />
    <${Tiles} traffic=${overview.traffic} envoy=${overview.processes.find(({ name }) => name === "envoy")} />
    <${Plots} plot=${history?.plot} />
    <div class="panels">
      <${Endpoints} overview=${overview} fresh=${fresh} />
      <${Matters} overview=${overview} />
      ${collections?.rows.length > 0 &&
      html`<${Panel} title=${t("nav.collections")} href=${link("collections")} wide=${true}>
        <div class="scroll" tabindex="0" role="region" aria-label=${t("nav.collections")}>
          <${Rows} rows=${collections.rows.slice(0, 5)} columns=${TOP} id=${(row) => `${row.pool} ${row.protocol} ${row.database} ${row.collection}`} />
        </div>
      <//>`}
      <${Panel} title=${t("overview.events")} href=${link("events")} wide=${true}>
        ${events == null ? html`<${Waiting} />` : html`<${EventList} events=${events.events.slice(0, 8)} empty=${t("overview.no-events")} />`}
      <//>
    </div>
  `;
}

const TOP = [
  {
    key: "collection",
    name: true,
    cell: (row) => html`<a href=${link("collection", { pool: row.pool, database: row.database, collection: row.collection })}>${row.database} / ${row.collection}</a>`,
  },
  ...CALLS.filter(({ key }) => key !== "failed" && key !== "total"),
  { key: "cached", number: true, cell: (row) => share(row.cached) },
];

function Banner({ overview }) {
  const { state, reasons, phase } = overview;
  return html`<section class="banner ${LEVEL[state]}" aria-label=${t("column.state")}>
    <strong>${word("state", state)}</strong>
    ${phase === "draining" && html`<p>${t("state.draining")}</p>`}
    ${reasons.length === 0
      ? html`<p>${word("state.text", state)}</p>`
      : html`<ul lang="en">
          ${reasons.map((reason) => html`<li key=${reason}>${reason}</li>`)}
        </ul>`}
  </section>`;
}

function Tile({ name, value, note, level }) {
  return html`<div class="tile">
    <dt>${t(`overview.${name}`)}</dt>
    <dd class=${level ?? ""}>${value}</dd>
    ${note && html`<dd class="tile-note">${note}</dd>`}
  </div>`;
}

function Tiles({ traffic, envoy }) {
  if (!traffic.counted) return html`<p class="quiet">${t("overview.uncounted")}</p>`;
  const errors = traffic.errors > 0;
  const ofCalls = traffic.calls > 0 ? t("overview.of-calls", { share: share(traffic.errors / traffic.calls) }) : null;
  return html`<dl class="tiles">
    <${Tile} name="calls" value=${rate(traffic.calls)} note=${t("overview.total", { number: compact(traffic.total), since: ago(envoy?.started) })} />
    <${Tile} name="errors" value=${rate(traffic.errors)} level=${errors ? "bad-text" : ""} note=${ofCalls} />
    <${Tile} name="p50" value=${duration(traffic.p50)} />
    <${Tile} name="p99" value=${duration(traffic.p99)} />
    <${Tile} name="inFlight" value=${count(traffic.inFlight)} note=${traffic.queued > 0 ? `${t("overview.queued")}: ${count(traffic.queued)}` : null} />
    <${Tile} name="connections" value=${count(traffic.connections)} />
    <${Tile}
      name="cached"
      value=${share(traffic.cached)}
      note=${traffic.saved > 0 ? t("overview.saved", { number: compact(traffic.saved) }) : null}
    />
  </dl>`;
}

function Plots({ plot }) {
  if (plot == null || plot.at.length < 2) return null;
  return html`<div class="panels plots">
    <div class="panel">
      <${Plot}
        title=${t("overview.traffic")}
        at=${plot.at}
        format=${rate}
        series=${[
          { name: "calls", values: plot.calls },
          { name: "errors", values: plot.errors },
        ]}
      />
    </div>
    <div class="panel">
      <${Plot}
        title=${t("overview.times")}
        at=${plot.at}
        format=${duration}
        series=${[
          { name: "p50", values: plot.p50 },
          { name: "p99", values: plot.p99 },
        ]}
      />
    </div>
  </div>`;
}

function Endpoints({ overview, fresh }) {
  const worst = useData("endpoints", fresh).data;
  const total = Object.values(overview.endpoints).reduce((sum, number) => sum + number, 0);
  const attention = (worst?.rows ?? []).filter((row) => row.health !== "healthy").slice(0, 5);
  return html`<${Panel} title=${t("overview.endpoints")} href=${link("endpoints")}>
    <p class="figures">
      ${HEALTHS.filter((health) => overview.endpoints[health]).map(
        (health) => html`<a key=${health} href=${link("endpoints", { only: health })}>
          <b>${count(overview.endpoints[health])}</b> <${Health} value=${health} />
        </a>`,
      )}
      ${total === 0 && t("table.empty")}
    </p>
    ${attention.length > 0 &&
    html`<ul class="plain">
      ${attention.map(
        (row) => html`<li key=${`${row.pool} ${row.address}`}>
          <a href=${link("endpoint", { pool: row.pool, address: row.address })}>${row.address}</a>
          ${" "}<${Health} value=${row.health} /> <span lang="en">${row.why}</span>
        </li>`,
      )}
    </ul>`}
    <p class="quiet">
      ${t("overview.hosts", { hosts: count(overview.hosts), pools: count(overview.pools) })}${overview.replicas > 1 &&
      `, ${t("overview.replicas", { number: count(overview.replicas) })}`}
    </p>
  <//>`;
}

function Matters({ overview }) {
  const { problems, held, certificates, certificatesNear, certificatesFailed, listeners, processes } = overview;
  const none = held === 0 && Object.values(problems).every((number) => number === 0);
  const level = { error: "bad", warning: "warning", note: "note" };
  return html`
    <${Panel} title=${t("overview.problems")} href=${link("problems")}>
      <p class="figures">
        ${none && t("overview.no-problems")}
        ${Object.entries(problems)
          .filter(([, number]) => number > 0)
          .map(
            ([severity, number]) => html`<a key=${severity} href=${link("problems", { only: severity })}>
              <b>${count(number)}</b> <${Badge} level=${level[severity]}>${word("severity", severity)}<//>
            </a>`,
          )}
      </p>
      ${held > 0 && html`<p class="bad-text">${t("overview.held", { number: count(held) })}</p>`}
    <//>
    <${Panel} title=${t("overview.certificates")} href=${link("certificates")}>
      <p class="figures"><b>${count(certificates)}</b></p>
      ${certificatesNear > 0
        ? html`<p><${Badge} level="warning">${t("overview.near", { number: count(certificatesNear) })}<//></p>`
        : html`<p class="quiet">${t("overview.certificates.fine")}</p>`}
      ${certificatesFailed > 0 && html`<p><${Badge} level="bad">${t("overview.failed", { number: count(certificatesFailed) })}<//></p>`}
    <//>
    <${Panel} title=${t("overview.instance")}>
      ${listeners.length === 0
        ? html`<p class="quiet">${t("overview.no-listener")}</p>`
        : html`<ul class="plain">
            ${listeners.map((each) => html`<li key=${each.name}><code>${each.name}://${each.address}:${each.port}</code></li>`)}
          </ul>`}
      <ul class="plain">
        ${processes.map((each) => html`<${Process} key=${each.name} process=${each} />`)}
      </ul>
      <p class="quiet">
        Envoy ${overview.envoy.version}, ${t("overview.configuration", { version: overview.configuration })}
      </p>
    <//>
  `;
}

function Process({ process: { name, pid, started, restarts, last_exit: exit, silent } }) {
  const runs = pid != null;
  const text = runs ? t("process.running", { since: ago(started) }) : t("process.away");
  return html`<li>
    <${Badge} level=${runs && !silent ? "good" : "bad"}>${name}<//> ${silent ? t("process.silent") : text}
    ${restarts > 0 && html`<br /><span class="quiet">${t("process.restarts", { number: count(restarts), exit })}</span>`}
  </li>`;
}
