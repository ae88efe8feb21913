// Search results quote their page, which browsers refuse to read from file://; without the quotes all else works.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined")
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// The tables of the explorer take their colours from the root element, the theme's switch sets the body's.
addEventListener("DOMContentLoaded", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const chosen = document.body.dataset.theme;
    const theme = chosen === "dark" || (chosen !== "light" && dark.matches) ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
    document.documentElement.classList.toggle("dark", theme === "dark");
  };
  new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", follow);
  follow();
});

// A link such as records.html?task=classification&method=kd|lskd opens a table filtered by these columns.
addEventListener("DOMContentLoaded", () => {
  const table = document.querySelector(".explorer table[id]");
  const wanted = [...new URLSearchParams(location.search)];
  if (!table || !wanted.length) return;
  const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const whole = (words) => `^(?:${words.split("|").map(escaped).join("|")})(?![a-z0-9_])`;
  const filter = ({ jQuery: $ }) => {
    if (!$.fn.dataTable.isDataTable(table)) return setTimeout(() => filter({ jQuery: $ }), 50);
    const api = $(table).DataTable();
    const used = wanted.filter(([name, words]) => {
      const at = api.columns().indexes().toArray().find((i) => api.column(i).title() === name);
      if (at !== undefined) api.column(at).search(whole(words), { regex: true, smart: false });
      return at !== undefined;
    });
    api.draw();
    const note = document.querySelector(".explorer-filter");
    note.textContent = "Shown: " + used.map(([name, words]) => `${name} ${words.split("|").join(" or ")}`).join(", ") + ". ";
    note.append(Object.assign(document.createElement("a"), { href: location.pathname, textContent: "Show all" }));
    note.hidden = false;
  };
  const name = Object.keys(window).find((key) => key.startsWith("_itables_"));
  if (name) window[name].then(filter);
});
