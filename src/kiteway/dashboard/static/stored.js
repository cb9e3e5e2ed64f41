// What the page remembers. A browser may forbid storage: reading it raises then, and the page remembers until it is closed.

const unstored = new Map();

/** Remembers for all pages of this site, for example of the same browser tomorrow. */
export const forLater = remembering(() => window.localStorage);

/** Remembers for this tab. */
export const forThisTab = remembering(() => window.sessionStorage);

function remembering(storage) {
  return {
    get(key) {
      try {
        return storage().getItem(key);
      } catch {
        return unstored.get(key) ?? null;
      }
    },
    set(key, value) {
      try {
        storage().setItem(key, value);
      } catch {
        unstored.set(key, value);
      }
    },
  };
}
