// The storefront. Everything that is clicked goes out by the official browser SDK; the panel beside it follows the profile in Redis.
import { follow, expectChange } from "./profile.js";

const shop = await (await fetch("/api/shop")).json();
const products = new Map(shop.products.map((product) => [product.product_id, product]));
const money = new Intl.NumberFormat("en-GB", { style: "currency", currency: shop.currency });
const place = new URL(shop.collector);
const analytics = window.AnalyticsNext.AnalyticsBrowser.load(
  { writeKey: shop.write_key, cdnURL: place.origin },
  { integrations: { "Segment.io": { apiHost: `${place.host}/v1`, protocol: place.protocol.replace(":", "") } } },
);
const cart = new Map(JSON.parse(sessionStorage.getItem("cart") ?? "[]"));
const view = document.getElementById("view");

async function send(call, name, properties, options) {
  expectChange(call === "track" ? name : call === "page" ? `Page: ${name}` : "Signed in");
  await analytics[call](...(call === "page" ? [undefined, name, properties] : [name, properties]), options);
}

async function followMe() {
  const user = await analytics.user();
  const id = user.id();
  const anonymous = `anonymous_id:${user.anonymousId()}`;
  follow(id ? `user_id:${id}` : anonymous, shop, id ? "What was clicked here before signing in is part of it." : "");
  document.getElementById("account").textContent = id ? `Signed in: ${id}` : "Sign in";
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// No photographs come with the data: a picture is drawn from the product's number, the same one each time.
function picture(product) {
  let seed = 0;
  for (const sign of product.product_id) seed = (seed * 31 + sign.charCodeAt(0)) >>> 0;
  const next = () => ((seed = (seed * 1664525 + 1013904223) >>> 0), seed / 2 ** 32);
  const hue = Math.floor(next() * 360);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 160 120");
  svg.setAttribute("class", "picture");
  svg.setAttribute("aria-hidden", "true");
  let shapes = `<rect width="160" height="120" fill="hsl(${hue} 45% 90%)"/>`;
  for (let index = 0; index < 5; index++) {
    const [x, y, r] = [20 + next() * 120, 15 + next() * 90, 10 + next() * 26];
    const colour = `hsl(${(hue + index * 24) % 360} ${40 + next() * 25}% ${55 + next() * 20}% / .75)`;
    shapes += next() < 0.5
      ? `<circle cx="${x}" cy="${y}" r="${r}" fill="${colour}"/>`
      : `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${1.4 * r}" rx="6" fill="${colour}" transform="rotate(${next() * 60 - 30} ${x} ${y})"/>`;
  }
  svg.innerHTML = shapes;
  return svg;
}

const facts = (product, more = {}) => ({ ...product, currency: shop.currency, ...more });

function change(product, by) {
  const quantity = Math.max(0, (cart.get(product.product_id) ?? 0) + by);
  if (quantity) cart.set(product.product_id, quantity);
  else cart.delete(product.product_id);
  keepCart();
  send("track", by > 0 ? "Product Added" : "Product Removed", facts(product, { quantity: Math.abs(by) }));
}

function keepCart() {
  sessionStorage.setItem("cart", JSON.stringify([...cart]));
  document.getElementById("cart-count").textContent = [...cart.values()].reduce((sum, quantity) => sum + quantity, 0);
}

function tile(product) {
  const open = { href: `#/product/${product.product_id}` };
  return element("article", { class: "tile" },
    element("a", open, picture(product)),
    element("a", { ...open, class: "name" }, product.name),
    element("div", { class: "buy" }, element("span", { class: "price" }, money.format(product.price)),
      element("button", { type: "button", "data-add": product.product_id, onclick: () => change(product, 1) }, "Add")));
}

function list(title, found) {
  view.replaceChildren(element("h1", {}, title), found.length ? element("div", { class: "grid" }, ...found.map(tile))
    : element("p", { class: "empty" }, "Nothing of that name. Try: heart, bag, cake, lantern."));
}

function detail(product) {
  view.replaceChildren(element("div", { class: "detail" }, picture(product), element("div", {},
    element("h1", {}, product.name), element("p", { class: "price" }, money.format(product.price)),
    element("p", { class: "empty" }, `${product.category}, article ${product.product_id}`),
    element("div", { class: "row" },
      element("button", { type: "button", class: "main", id: "add", onclick: () => change(product, 1) }, "Add to cart"),
      element("button", { type: "button", id: "complain", onclick: () => complain(product) }, "Ask about this product")))));
  send("track", "Product Viewed", facts(product));
}

function complain(product) {
  send("track", "Ticket Opened", { ticket_id: crypto.randomUUID(), category: "product", channel: "web", priority: "normal", product_id: product.product_id });
}

function lines() {
  return [...cart].filter(([id]) => products.has(id)).map(([id, quantity]) => ({ ...products.get(id), quantity }));
}

function showCart() {
  const total = lines().reduce((sum, line) => sum + Math.round(line.price * line.quantity * 100), 0) / 100;
  const rows = lines().map((line) => element("tr", {}, element("td", {}, line.name), element("td", { class: "n" }, money.format(line.price)),
    element("td", { class: "n" }, String(line.quantity)), element("td", { class: "n" }, money.format(line.price * line.quantity)),
    element("td", { class: "n" }, element("button", { type: "button", "aria-label": `Remove ${line.name}`, onclick: () => { change(line, -1); showCart(); } }, "−"))));
  const head = element("tr", {}, element("th", {}, "Product"), ...["Price", "Units", "Amount", ""].map((title) => element("th", { class: "n" }, title)));
  view.replaceChildren(element("h1", {}, "Your cart"), rows.length ? element("div", {}, element("table", {}, head, ...rows),
    element("div", { class: "row" }, element("span", { class: "price" }, `Total ${money.format(total)}`),
      element("button", { type: "button", class: "main", id: "buy", onclick: () => buy(total) }, "Buy now")))
    : element("p", { class: "empty" }, "The cart is empty."));
}

async function buy(total) {
  const order = crypto.randomUUID().slice(0, 8);
  const bought = lines().map(({ product_id, name, category, price, quantity }) => ({ product_id, name, category, price, quantity }));
  await send("track", "Checkout Started", { order_id: order, value: total, products: bought });
  await send("track", "Order Completed", { order_id: order, total, currency: shop.currency, products: bought });
  cart.clear();
  keepCart();
  view.replaceChildren(element("h1", {}, "Thank you"), element("p", {}, `Order ${order}, ${money.format(total)}. Look at the profile: it has it by now.`));
}

function route() {
  const [, kind = "", what = ""] = location.hash.split("/").map(decodeURIComponent);
  for (const link of document.querySelectorAll("nav a")) link.classList.toggle("on", link.dataset.name === (kind === "department" ? what : kind ? null : "All"));
  if (kind === "product" && products.has(what)) return detail(products.get(what));
  if (kind === "cart") {
    showCart();
    return send("track", "Cart Viewed", { products: lines().map(({ product_id, price, quantity }) => ({ product_id, price, quantity })) });
  }
  if (kind === "search") {
    const found = shop.products.filter((product) => product.name.toLowerCase().includes(what.toLowerCase()));
    list(`“${what}”`, found);
    return send("track", "Products Searched", { query: what, results: found.length });
  }
  if (kind === "department") {
    list(what, shop.products.filter((product) => product.category === what));
    return send("track", "Product List Viewed", { list_id: what, category: what });
  }
  list("Popular gifts", shop.products);
  return send("page", "Home", {});
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = new FormData(event.target).get("query").trim();
  if (words) location.hash = `#/search/${encodeURIComponent(words)}`;
});
const dialog = document.getElementById("sign-in");
document.getElementById("account").addEventListener("click", () => dialog.showModal());
dialog.addEventListener("close", async () => {
  const given = new FormData(dialog.querySelector("form"));
  if (dialog.returnValue !== "ok" || !given.get("user")) return;
  const email = given.get("email");
  const known = email ? { context: { externalIds: [{ type: "email", id: email, collection: "users", encoding: "none" }] } } : undefined;
  await send("identify", given.get("user"), email ? { email } : {}, known);
  await followMe();
});
document.getElementById("departments").append(
  element("a", { href: "#/", "data-name": "All" }, "All"),
  ...[...new Set(shop.products.map((product) => product.category))].map((name) => element("a", { href: `#/department/${encodeURIComponent(name)}`, "data-name": name }, name)),
);
window.addEventListener("hashchange", route);
keepCart();
await followMe();
await route();
document.body.dataset.ready = "yes";
