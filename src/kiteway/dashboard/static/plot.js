// A plot of one or two series over time: lines in SVG, labels in HTML, so that stretching does not distort text.

import { html, useState } from "./preact.js";
import { clock, hour } from "./format.js";
import { t } from "./text.js";

const WIDTH = 600;
const HEIGHT = 120;

/** Return the largest value, rounded up to 1, 2 or 5 times a power of ten. */
function ceiling(values) {
  const most = Math.max(0, ...values.filter((value) => value != null));
  if (most === 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((each) => each >= most);
}

/** Return the path of a series; a value that is not known is a gap. */
function path(values, top) {
  const step = WIDTH / Math.max(1, values.length - 1);
  let drawn = "";
  values.forEach((value, place) => {
    if (value == null) return;
    const x = (place * step).toFixed(1);
    const y = (HEIGHT - (value / top) * HEIGHT).toFixed(1);
    const alone = values[place - 1] == null;
    drawn += `${alone ? "M" : "L"}${x} ${y}`;
    if (alone && values[place + 1] == null) drawn += "h.1";
  });
  return drawn;
}

/**
 * Properties: `title`; `at`, the times in seconds; `series`, a list of names and values; `format`, a function of a value;
 * `top`, the end of the scale if it is fixed.
 */
export function Plot({ title, at, series, format, top }) {
  const [chosen, choose] = useState(null);
  const last = at.length - 1;
  const place = chosen == null ? last : Math.min(chosen, last);
  const end = top ?? ceiling(series.flatMap(({ values }) => values));
  const read = (index) =>
    series
      .map(({ name, values }) => `${t(`plot.series.${name}`)} ${values[index] == null ? t("plot.unknown") : format(values[index])}`)
      .join(", ");
  const keys = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -Infinity, End: Infinity };
  const onKey = (event) => {
    const step = keys[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(last, place + step)));
  };
  const onMove = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    choose(Math.max(0, Math.min(last, Math.round(((event.clientX - box.left) / box.width) * last))));
  };
  return html`<figure class="plot">
    <figcaption>
      <span class="plot-title">${title}</span>
      <span class="plot-legend">
        ${series.map(
          ({ name, values }, number) => html`<span class="legend series-${number}" key=${name}>
            ${t(`plot.series.${name}`)} <b>${values[place] == null ? "–" : format(values[place])}</b>
          </span>`,
        )}
        <time>${clock(at[place])}</time>
      </span>
    </figcaption>
    <div class="plot-scale" aria-hidden="true"><span>${format(end)}</span><span>${format(end / 2)}</span><span>0</span></div>
    <svg
      viewBox="0 0 ${WIDTH} ${HEIGHT}"
      preserveAspectRatio="none"
      tabindex="0"
      role="slider"
      aria-label=${title}
      aria-valuemin="0"
      aria-valuemax=${last}
      aria-valuenow=${place}
      aria-valuetext=${`${clock(at[place])}: ${read(place)}`}
      onKeyDown=${onKey}
      onPointerMove=${onMove}
      onPointerLeave=${() => choose(null)}
      onBlur=${() => choose(null)}
    >
      ${[0, 0.5, 1].map((part) => html`<line class="grid" x1="0" x2=${WIDTH} y1=${part * HEIGHT} y2=${part * HEIGHT} />`)}
      ${series.map(({ name, values }, number) => html`<path key=${name} class="line series-${number}" d=${path(values, end)} />`)}
      ${chosen != null &&
      html`<line class="cursor" x1=${(place * WIDTH) / last} x2=${(place * WIDTH) / last} y1="0" y2=${HEIGHT} />`}
    </svg>
    <div class="plot-times" aria-hidden="true">
      <span>${hour(at[0])}</span><span>${hour(at[Math.floor(last / 2)])}</span><span>${hour(at[last])}</span>
    </div>
  </figure>`;
}
