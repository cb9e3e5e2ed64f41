// The address of a view: `#/NAME?QUERY`. The query keeps a table's filter, order and page, so that a link shows the same.

export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path || "overview", query: new URLSearchParams(query) };
}

export function link(name, values = {}) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
  const text = query.toString();
  return `#/${name}${text ? `?${text}` : ""}`;
}

/** Change values of the query of the view that is shown; an empty value removes one. */
export function change(values) {
  const { name, query } = read();
  const next = { ...Object.fromEntries(query), ...values };
  history.replaceState(null, "", link(name, next));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
