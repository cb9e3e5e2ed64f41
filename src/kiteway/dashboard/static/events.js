// Events: the newest first.

import { html } from "./preact.js";
import { clock, date } from "./format.js";
import { Badge, Waiting, useData } from "./parts.js";
import { t, word } from "./text.js";

/** The sentence of an event in the language of the page. */
function sentence({ kind, about, details }) {
  const values = { ...details, about };
  if (details.health) values.health = word("health", details.health);
  if (kind === "instance.state") values.state = word("state", details.state);
  return t(`event.${kind}`, values).trim();
}

export function EventList({ events, empty }) {
  if (events.length === 0) return html`<p class="quiet">${empty}</p>`;
  return html`<ol class="events">
    ${events.map(
      (event) => html`<li key=${event.id}>
        <time datetime=${event.at} title=${date(event.at)}>${clock(event.at)}</time>
        <${Badge} level=${event.level}>${word("level", event.level)}<//>
        <span>${sentence(event)}</span>
      </li>`,
    )}
  </ol>`;
}

export function Events({ fresh }) {
  const { data, error } = useData("events", fresh);
  if (data == null) return html`<${Waiting} error=${error} />`;
  return html`<${EventList} events=${data.events} empty=${t("overview.no-events")} />`;
}
