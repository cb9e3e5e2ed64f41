// The views that are one table.

import { html } from "./preact.js";
import { bytes, count, date, share } from "./format.js";
import { Badge, CALLS, Health, Panel, Table, codes } from "./parts.js";
import { link } from "./route.js";
import { t, word } from "./text.js";

const HEALTHS = ["failing", "ejected", "unhealthy", "leaving", "pending", "healthy"];


const ENDPOINTS = [
  {
    key: "address",
    name: true,
    cell: (row) => html`<a href=${link("endpoint", { pool: row.pool, address: row.address })}>${row.address}</a><div class="why">${row.pool}</div>`,
  },
  {
    key: "health",
    cell: (row) => html`<${Health} value=${row.health} />${row.why && html`<div class="why" lang="en">${row.why}</div>`}`,
  },
  { key: "active", number: true, cell: (row) => count(row.active) },
  { key: "share", number: true, cell: (row) => share(row.share) },
  ...CALLS,
];

export function Endpoints(view) {
  const only = { values: HEALTHS, name: (value) => word("health", value) };
  return html`<${Table} ...${view} name="endpoints" columns=${ENDPOINTS} id=${(row) => `${row.pool} ${row.address}`} only=${only} note=${t("table.interval")} />`;
}

const COLLECTIONS = [
  {
    key: "collection",
    name: true,
    cell: (row) => html`<a href=${link("collection", { pool: row.pool, database: row.database, collection: row.collection })}>${row.collection}</a>
      <div class="why">${row.database}, ${row.pool}</div>`,
  },
  ...CALLS,
  { key: "cached", number: true, cell: (row) => share(row.cached) },
  { key: "saved", number: true, cell: (row) => count(row.saved) },
];

export function Collections(view) {
  return html`<${Table} ...${view} name="collections" columns=${COLLECTIONS} id=${(row) => `${row.pool} ${row.protocol} ${row.database} ${row.collection}`} note=${t("table.interval")} />`;
}

const USERS = [
  { key: "user", name: true, cell: (row) => html`${row.user}<div class="why">${row.pool}</div>` },
  ...CALLS,
  { key: "codes", fixed: true, cell: (row) => codes(row.calls.codes) },
];

export function Users(view) {
  return html`<${Table} ...${view} name="users" columns=${USERS} id=${(row) => `${row.pool} ${row.protocol} ${row.user}`} note=${t("table.interval")} />`;
}

const limit = (value) => (value == null ? t("queues.unlimited") : value === "adaptive" ? t("queues.adaptive") : count(value));

const QUEUES = [
  { key: "pool", name: true, cell: (row) => row.pool },
  { key: "waiting", number: true, cell: (row) => count(row.waiting) },
  { key: "active", number: true, cell: (row) => count(row.active) },
  { key: "reads", fixed: true, number: true, cell: (row) => (row.maxWait == null ? "–" : limit(row.reads)) },
  { key: "writes", fixed: true, number: true, cell: (row) => (row.maxWait == null ? "–" : limit(row.writes)) },
  { key: "maxWait", fixed: true, number: true, cell: (row) => (row.maxWait == null ? "–" : `${count(row.maxWait)} s`) },
  { key: "maxQueuedBytes", fixed: true, number: true, cell: (row) => bytes(row.maxQueuedBytes) },
  { key: "policy", fixed: true, cell: (row) => row.policy || "–" },
  { key: "ejections", number: true, cell: (row) => count(row.ejections) },
  { key: "retries", number: true, cell: (row) => count(row.retries) },
];

export function Queues(view) {
  const before = ({ rows, refused }) => html`
    <${Panel} title=${t("queues.refused")}>
      ${Object.keys(refused).length === 0
        ? html`<p class="quiet">${t("queues.refused.none")}</p>`
        : html`<p class="figures">
            ${Object.entries(refused).map(([reason, number]) => html`<span key=${reason}><b>${count(number)}</b> ${word("refused", reason)}</span>`)}
          </p>`}
      ${rows.every((row) => row.maxWait == null) && html`<p class="quiet">${t("queues.none")}</p>`}
    <//>
  `;
  return html`<${Table} ...${view} name="queues" columns=${QUEUES} id=${(row) => row.pool} before=${before} />`;
}

const POLICIES = ["admission", "cache", "hedging"];

function Route({ route }) {
  const found = [...(route.limits ? ["limits"] : []), ...POLICIES.filter((name) => route[name])];
  return html`<li>
    <code>${route.path}</code>
    ${" "}${route.pool ? route.pool : html`<${Badge} level="bad">${t("host.no-service")}<//>`}
    ${found.map((name) => html` <${Badge} key=${name} level="note">${t(`host.policy.${name}`)}<//>`)}
  </li>`;
}

const HOSTS = [
  { key: "host", name: true, cell: (row) => row.host },
  { key: "ingress", cell: (row) => row.ingress },
  {
    key: "serves",
    fixed: true,
    cell: (row) => `${row.https ? "HTTPS, " : ""}${word("http", row.http)}`,
  },
  {
    key: "routes",
    fixed: true,
    cell: (row) => html`<ul class="plain">
      ${row.routes.map((route) => html`<${Route} key=${`${route.type} ${route.path}`} route=${route} />`)}
      ${row.more > 0 && html`<li class="quiet">${t("table.more", { number: count(row.more) })}</li>`}
    </ul>`,
  },
];

export function Hosts(view) {
  return html`<${Table} ...${view} name="hosts" columns=${HOSTS} id=${(row) => `${row.host} ${row.ingress}`} />`;
}

function Days({ row }) {
  if (row.daysLeft == null) return html`<${Badge} level="bad">${t("certificate.none")}<//>`;
  const level = row.daysLeft <= 1 ? "bad" : row.daysLeft <= 21 ? "warning" : "good";
  const text = row.daysLeft < 0 ? t("certificate.ended") : t("certificate.days", { days: count(row.daysLeft) });
  return html`<${Badge} level=${level}>${text}<//><div class="why">${date(row.notAfter)}</div>`;
}

function CertificateState({ row }) {
  const level = row.state === "Active" ? "good" : row.state.includes("Failed") ? "bad" : "note";
  return html`
    ${row.state && html`<${Badge} level=${level}>${row.state}<//>`}
    ${row.temporary && html`<${Badge} level="warning">${t("certificate.temporary")}<//>`}
    ${row.problems.map((problem) => html`<div class="why" key=${problem} lang="en">${problem}</div>`)}
    ${row.message && html`<div class="why" lang="en">${row.message} ${row.fix}</div>`}
    ${row.waitingFor && html`<div class="why">${t("certificate.waiting", { what: row.waitingFor })}</div>`}
    ${row.nextAttempt && html`<div class="why">${t("certificate.next", { when: date(row.nextAttempt) })}</div>`}
  `;
}

const CERTIFICATES = [
  { key: "name", name: true, cell: (row) => html`${row.name}<div class="why">${row.source}</div>` },
  {
    key: "names",
    fixed: true,
    cell: (row) => html`${row.names.join(", ")} ${row.more > 0 && t("table.more", { number: count(row.more) })}`,
  },
  { key: "daysLeft", cell: (row) => html`<${Days} row=${row} />` },
  { key: "state", cell: (row) => html`<${CertificateState} row=${row} />` },
  { key: "issuer", fixed: true, cell: (row) => row.issuer },
];

export function Certificates(view) {
  return html`<${Table} ...${view} name="certificates" columns=${CERTIFICATES} id=${(row) => `${row.state} ${row.name}`} />`;
}

const SEVERITY = { error: "bad", warning: "warning", note: "note" };

function Reason({ row }) {
  if (row.kind !== "diagnostic") return t(`problem.${row.kind}`);
  return html`${row.reason}<div class="why"><code>${t("problem.explain", { code: row.reason })}</code></div>`;
}

function Message({ row }) {
  return html`
    <div lang="en">${row.message || t("problem.searching")}</div>
    ${row.fix && html`<div class="fix" lang="en">${row.fix}</div>`}
    ${row.path && html`<div class="why"><code>${row.path}</code></div>`}
    ${row.place && html`<div class="why"><code>${row.place}</code></div>`}
    ${row.served && html`<div class="why">${t("problem.served")}</div>`}
    ${row.kind === "quarantine" && !row.served && html`<div class="why">${t("problem.unserved")}</div>`}
  `;
}

const PROBLEMS = [
  { key: "severity", cell: (row) => html`<${Badge} level=${SEVERITY[row.severity]}>${word("severity", row.severity)}<//>` },
  { key: "reason", cell: (row) => html`<${Reason} row=${row} />` },
  { key: "about", fixed: true, cell: (row) => row.about },
  { key: "message", fixed: true, cell: (row) => html`<${Message} row=${row} />` },
];

export function Problems(view) {
  const only = { values: ["error", "warning", "note"], name: (value) => word("severity", value) };
  const id = (row) => `${row.kind} ${row.reason} ${row.about} ${row.place} ${row.path} ${row.message}`;
  return html`<${Table} ...${view} name="problems" columns=${PROBLEMS} id=${id} only=${only} empty=${t("problem.none")} />`;
}
