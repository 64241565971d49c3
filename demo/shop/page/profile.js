// The panel: follows one profile by server-sent events, shows what changed, and how long it took from the click.
const waiting = [];
let stream = null;
let before = {};

export function expectChange(name) {
  const entry = document.createElement("li");
  const took = document.createElement("span");
  took.className = "ms wait";
  took.textContent = "…";
  entry.append(name, took);
  document.getElementById("sent").prepend(entry);
  while (document.getElementById("sent").childElementCount > 12) document.getElementById("sent").lastChild.remove();
  waiting.push({ at: performance.now(), took });
}

document.getElementById("fold").addEventListener("click", ({ target }) => {
  target.setAttribute("aria-expanded", String(target.closest(".profile").classList.toggle("open")));
});

export function follow(identifier, shop, remark) {
  stream?.close();
  before = {};
  document.getElementById("who").textContent = remark ? `${identifier}. ${remark}` : identifier;
  document.getElementById("card").textContent = document.getElementById("brief").textContent = "Nothing known yet.";
  stream = new EventSource(`/api/profile?identifier=${encodeURIComponent(identifier)}`);
  stream.onmessage = (message) => {
    const profile = JSON.parse(message.data);
    if (!profile) return;
    arrived();
    draw(profile, shop);
    before = profile.fields;
  };
}

function arrived() {
  for (const { at, took } of waiting.splice(0)) {
    const ms = Math.round(performance.now() - at);
    took.className = "ms";
    took.textContent = `${ms} ms`;
    document.getElementById("lag").textContent = `click to profile ${ms} ms`;
  }
}

const node = (tag, className, ...children) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

function shown(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? value.toLocaleString("en-GB", { maximumFractionDigits: 2 }) : String(value);
}

const MONEY = ["gross", "net", "refunded"];
const amount = (value) => typeof value === "number" ? value.toLocaleString("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) : shown(value);

function cell(fields, measure, window) {
  const name = `${measure}_${window}`;
  const text = MONEY.includes(measure) ? amount(fields[name]) : shown(fields[name]);
  return node("td", `n${name in before && before[name] !== fields[name] ? " flash" : ""}`, text);
}

function draw({ profile_id, fields }, shop) {
  const scores = node("div", "scores", ...["r", "f", "m"].map((letter) => node("div", "score", node("i", "", letter.toUpperCase()), node("b", "", shown(fields[`${letter}_score`])))),
    node("div", "score", node("i", "", "segment"), node("b", "", (fields.rfm_segment ?? "–").replaceAll("_", " "))));
  const tags = node("div", "tags", ...Object.entries(shop.tags).map(([name, says]) => {
    const chip = node("span", `tag${fields[`tag:${name}`] ? "" : " off"}`, name);
    chip.title = says;
    return chip;
  }));
  const measures = ["views", "orders", "gross", "net", "tickets"].filter((name) => `${name}_${shop.windows[0]}` in fields);
  const windows = [shop.windows[0], "30d", "lifetime"].filter((name, index, all) => all.indexOf(name) === index);
  const table = node("table", "", node("tr", "", node("th"), ...windows.map((name) => node("th", "n", name))),
    ...measures.map((name) => node("tr", "", node("th", "", MONEY.includes(name) ? `${name} (${shop.currency})` : name), ...windows.map((window) => cell(fields, name, window)))));
  const favourites = (fields.top_products ?? []).map(([id, units]) => `${shop.names[id] ?? id} × ${units}`);
  const first = shop.windows[0];
  document.getElementById("brief").textContent = [`${shown(fields[`views_${first}`])} views and ${shown(fields[`orders_${first}`])} orders in ${first}`,
    `${shop.currency} ${amount(fields.net_lifetime)}`, (fields.rfm_segment ?? "no segment").replaceAll("_", " ")].join(" · ");
  document.getElementById("card").replaceChildren(scores, tags, table,
    node("p", "who", `${shown(fields.sessions)} session${fields.sessions === 1 ? "" : "s"} · basket ${amount(fields.average_basket)} · profile ${profile_id}`),
    ...(favourites.length ? [node("h3", "", "Bought most"), node("p", "", favourites.join(", "))] : []));
}
