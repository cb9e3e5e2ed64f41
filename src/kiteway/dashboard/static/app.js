// The page: its frame, and which view is shown.

import { html, render, useEffect, useRef, useState } from "./preact.js";
import { Collection, Endpoint } from "./details.js";
import { Events } from "./events.js";
import { clock } from "./format.js";
import { follow, setToken } from "./live.js";
import { Overview } from "./overview.js";
import { Badge, Waiting } from "./parts.js";
import { link, read } from "./route.js";
import { forLater } from "./stored.js";
import { Certificates, Collections, Endpoints, Hosts, Problems, Queues, Users } from "./tables.js";
import { LANGUAGES, choose, chosen, t, word } from "./text.js";

const VIEWS = {
  __proto__: null, // an address can have any name
  overview: Overview,
  endpoints: Endpoints,
  collections: Collections,
  users: Users,
  queues: Queues,
  hosts: Hosts,
  certificates: Certificates,
  problems: Problems,
  events: Events,
};
const DETAILS = { __proto__: null, endpoint: Endpoint, collection: Collection };
const PARENTS = { __proto__: null, endpoint: "endpoints", collection: "collections" };
const LEVEL = { ready: "good", degraded: "warning", "not ready": "bad" };
const THEME = "kiteway-theme";
const THEMES = ["auto", "light", "dark"];

function title({ name, query }) {
  if (name === "endpoint") return t("endpoint.title", { address: query.get("address") });
  if (name === "collection") return t("collection.title", { name: `${query.get("database")} / ${query.get("collection")}` });
  return t(`nav.${name in VIEWS ? name : "overview"}`);
}

function useRoute() {
  const [route, set] = useState(read);
  useEffect(() => {
    const changed = () => set(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

function App() {
  const route = useRoute();
  const [overview, setOverview] = useState(null);
  const [live, setLive] = useState("connecting");
  const [attempt, setAttempt] = useState(0);
  const [, redraw] = useState(0);
  const heading = useRef(null);
  const first = useRef(true);
  const name = title(route);

  useEffect(() => follow({ overview: setOverview, state: setLive }), [attempt]);
  useEffect(() => {
    document.title = overview ? `${name} · ${word("state", overview.state)} · Kiteway` : "Kiteway";
  });
  useEffect(() => {
    // A new view is read from its heading; the first one is not jumped into.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [name]);

  const again = () => redraw((number) => number + 1);
  const open = (token) => {
    setToken(token);
    setLive("connecting");
    setAttempt(attempt + 1);
  };
  return html`
    <a class="skip" href="#content" onClick=${(event) => (event.preventDefault(), heading.current?.focus())}>${t("skip")}</a>
    <${Header} overview=${overview} live=${live} onChange=${again} />
    <div class="frame">
      <${Navigation} current=${PARENTS[route.name] ?? route.name} overview=${overview} />
      <main id="content">
        ${live === "token"
          ? html`<${Token} tried=${attempt > 0} onToken=${open} />`
          : html`<h1 ref=${heading} tabindex="-1">${name}</h1>
              <${View} route=${route} overview=${overview} />`}
      </main>
    </div>
  `;
}

function View({ route, overview }) {
  const Shown = VIEWS[route.name] ?? DETAILS[route.name] ?? Overview;
  if (overview == null) return html`<${Waiting} />`;
  // Figures change with each step, and everything else is an event.
  const fresh = `${overview.step} ${overview.event}`;
  return html`<${Shown} key=${route.name} query=${route.query} fresh=${fresh} overview=${overview} />`;
}

function Header({ overview, live, onChange }) {
  const state = overview?.state;
  return html`<header>
    <a class="brand" href=${link("overview")}><img src="/static/icon.svg" alt="" width="24" height="24" /> Kiteway</a>
    <span role="status">${state && html`<${Badge} level=${LEVEL[state]}>${word("state", state)}<//>`}</span>
    <span class="live ${live}">${live === "live" ? t("live.as-of", { time: clock(overview.at) }) : word("live", live)}</span>
    <span class="choices">
      <label
        ><span class="unseen">${t("theme")}</span>
        <select
          value=${forLater.get(THEME) ?? "auto"}
          onChange=${(event) => {
            setTheme(event.target.value);
            onChange();
          }}
        >
          ${THEMES.map((each) => html`<option key=${each} value=${each}>${t(`theme.${each}`)}</option>`)}
        </select>
      </label>
      <label
        ><span class="unseen">${t("language")}</span>
        <select
          value=${chosen()}
          onChange=${(event) => {
            choose(event.target.value);
            onChange();
          }}
        >
          ${Object.entries(LANGUAGES).map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
        </select>
      </label>
    </span>
  </header>`;
}

function Navigation({ current, overview }) {
  const down = overview ? Object.entries(overview.endpoints).reduce((sum, [health, number]) => sum + (health === "healthy" ? 0 : number), 0) : 0;
  const marks = overview
    ? {
        endpoints: [down, "bad"],
        problems: [overview.problems.error + overview.held, "bad"],
        certificates: [overview.certificatesNear + overview.certificatesFailed, "warning"],
        queues: [overview.traffic.queued, "note"],
      }
    : {};
  return html`<nav class="views" aria-label=${t("nav.label")}>
    <ul>
      ${Object.keys(VIEWS).map((name) => {
        const [number, level] = marks[name] ?? [0];
        return html`<li key=${name}>
          <a href=${link(name)} aria-current=${name === current ? "page" : null}>
            ${t(`nav.${name}`)} ${number > 0 && html`<${Badge} level=${level}>${number}<//>`}
          </a>
        </li>`;
      })}
    </ul>
    ${overview && html`<p class="quiet">${t("release", { release: overview.release })}</p>`}
  </nav>`;
}

function Token({ tried, onToken }) {
  const onSubmit = (event) => {
    event.preventDefault();
    onToken(new FormData(event.target).get("token").trim());
  };
  return html`<form class="token" onSubmit=${onSubmit}>
    <h1>${t("token.title")}</h1>
    <p>${t("token.text")}</p>
    ${tried && html`<p class="failed" role="alert">${t("token.wrong")}</p>`}
    <label>${t("token.label")} <input name="token" type="password" autocomplete="off" required autofocus /></label>
    <button type="submit">${t("token.open")}</button>
  </form>`;
}

function setTheme(name) {
  forLater.set(THEME, name);
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

setTheme(forLater.get(THEME) ?? "auto");
choose(chosen());
render(html`<${App} />`, document.getElementById("app"));
