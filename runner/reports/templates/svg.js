// Elements and charts. Text from the data only ever becomes text nodes and attribute values, never markup.
const SVG = "http://www.w3.org/2000/svg";

function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function mark(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// ---------------------------------------------------------------------------------------------------------- colours

const darkness = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;
const isDark = () => darkness.matches && !printing;

function rgb(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
}

// Deep colours are raised on dark paper until they can be seen; the hue stays the channel's.
function tone(colour) {
  if (!isDark()) return colour;
  const light = rgb(colour).reduce((sum, c, i) => sum + [0.2126, 0.7152, 0.0722][i] * (c / 255) ** 2.2, 0);
  return light >= 0.16 ? colour : mix(colour, "#ffffff", Math.min(0.5, (0.16 - light) * 3 + 0.15));
}

function mix(colour, other, share) {
  const b = rgb(other);
  const mixed = rgb(colour).map((c, i) => Math.round(c + (b[i] - c) * share));
  return "#" + mixed.map((c) => c.toString(16).padStart(2, "0")).join("");
}

// ------------------------------------------------------------------------------------------------------------ scales

function ticks(low, high, wanted) {
  const span = high - low || 1;
  const raw = span / Math.max(wanted, 1);
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((s) => s * unit >= raw * 0.999) * unit;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

function scale(low, high, from, to) {
  const span = high - low || 1;
  const at = (value) => from + ((value - low) / span) * (to - from);
  at.invert = (pixel) => low + ((pixel - from) / (to - from || 1)) * span;
  at.low = low;
  at.high = high;
  return at;
}

const clip = (value, low, high) => Math.min(Math.max(value, low), high);
const largest = (values, least = 0) => values.reduce((most, v) => (Number.isFinite(v) && v > most ? v : most), least);
const smallest = (values, most = 0) => values.reduce((least, v) => (Number.isFinite(v) && v < least ? v : least), most);

function path(xs, ys) {
  let text = "";
  for (let i = 0; i < xs.length; i++) text += `${i ? "L" : "M"}${xs[i].toFixed(1)} ${ys[i].toFixed(1)}`;
  return text;
}

function area(xs, lower, upper) {
  const back = Array.from(xs, (x, i) => [x, lower[i]]).reverse();
  return path(xs, upper) + back.map(([x, y]) => `L${x.toFixed(1)} ${y.toFixed(1)}`).join("") + "Z";
}

// ------------------------------------------------------------------------------------------------------------ frames

// A chart: an SVG as wide as its host, with room for labels; what stands in it is drawn by the caller.
function chart(host, label, height, room = {}) {
  const width = Math.max(host.clientWidth || 640, 240);
  const box = { left: 52, right: 14, top: 10, bottom: 30, ...room };
  const frame = mark("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart", preserveAspectRatio: "xMidYMid meet",
  });
  host.append(frame);
  return { frame, width, height, ...box, x0: box.left, x1: width - box.right, y0: height - box.bottom, y1: box.top };
}

function add(c, name, attributes, ...children) {
  const node = mark(name, attributes, ...children);
  c.frame.append(node);
  return node;
}

function xAxis(c, x, how = tick, title = "", wanted = (c.x1 - c.x0) / 90) {
  for (const value of ticks(x.low, x.high, wanted)) {
    add(c, "line", { x1: x(value), x2: x(value), y1: c.y0, y2: c.y1, class: "grid" });
    add(c, "text", { x: x(value), y: c.y0 + 15, class: "tick", "text-anchor": "middle" }, how(value));
  }
  if (title) add(c, "text", { x: (c.x0 + c.x1) / 2, y: c.height - 3, class: "title", "text-anchor": "middle" }, title);
}

function yAxis(c, y, how = tick, wanted = (c.y0 - c.y1) / 42) {
  for (const value of ticks(y.low, y.high, wanted)) {
    add(c, "line", { x1: c.x0, x2: c.x1, y1: y(value), y2: y(value), class: "grid" });
    add(c, "text", { x: c.x0 - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, how(value));
  }
}

function timeAxis(c, dates, x) {
  const room = Math.max(2, Math.floor((c.x1 - c.x0) / 110));
  const step = Math.max(1, Math.ceil(dates.length / room));
  for (let i = 0; i < dates.length; i += step) {
    const anchor = x(i) < c.x0 + 30 ? "start" : x(i) > c.x1 - 40 ? "end" : "middle";
    add(c, "line", { x1: x(i), x2: x(i), y1: c.y0, y2: c.y0 + 4, class: "axis" });
    add(c, "text", { x: x(i), y: c.y0 + 16, class: "tick", "text-anchor": anchor }, day(dates[i]));
  }
}

// Names at the left of rows: cut to what fits, whole in a tooltip.
function rowName(c, y, name, room) {
  const most = Math.max(4, Math.floor(room / 6.4));
  const letters = Array.from(name);
  const wide = letters.filter((l) => l.codePointAt(0) > 0x2e7f).length;
  const fits = Math.max(3, most - Math.ceil(wide * 0.9));
  // Beginning and end: names of one family often differ in their last letters.
  const tail = Math.floor((fits - 1) / 3);
  const cut = () => `${letters.slice(0, fits - 1 - tail).join("")}…${tail ? letters.slice(-tail).join("") : ""}`;
  const shown = letters.length > fits ? cut() : name;
  const node = add(c, "text", { x: c.x0 - 8, y: y + 4, class: "row", "text-anchor": "end" }, shown);
  if (shown !== name) node.append(mark("title", {}, name));
}

const nameRoom = (c) => clip(c * 0.24, 80, 170);

// ------------------------------------------------------------------------------------------------------------ tooltip

const tip = el("div", { class: "tip", role: "status", hidden: true });

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((line, i) => el("div", i ? {} : { class: "first" }, line)));
  tip.hidden = false;
  const { offsetWidth: w, offsetHeight: h } = tip;
  tip.style.left = `${clip(x + 14, 6, Math.max(6, document.documentElement.clientWidth - w - 6))}px`;
  tip.style.top = `${y + h + 24 > window.innerHeight ? Math.max(4, y - h - 12) : y + 16}px`;
}

const hideTip = () => { tip.hidden = true; };

// What a mark says when pointed at or focused.
function tells(node, lines) {
  const say = typeof lines === "function" ? lines : () => lines;
  node.addEventListener("pointermove", (event) => showTip(say(), event.clientX, event.clientY));
  node.addEventListener("pointerleave", hideTip);
  // Only what the tab key reaches anyway: a listener alone would make a stop of every dot.
  if (!node.hasAttribute("tabindex")) return node;
  node.addEventListener("focus", () => {
    const box = node.getBoundingClientRect();
    showTip(say(), box.x + box.width / 2, box.y + box.height);
  });
  node.addEventListener("blur", hideTip);
  return node;
}

// A layer over a chart along an axis of n places: a hairline and a tooltip, also by the arrow keys.
function reader(c, n, x, lines, label) {
  c.frame.setAttribute("role", "group");
  const hair = add(c, "line", { y1: c.y1, y2: c.y0, class: "hair", visibility: "hidden" });
  const layer = add(c, "rect", {
    x: c.x0, y: c.y1, width: Math.max(1, c.x1 - c.x0), height: Math.max(1, c.y0 - c.y1), class: "layer",
    tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": n - 1, "aria-valuenow": 0,
  });
  let at = 0;
  const show = (i, px, py) => {
    at = clip(i, 0, n - 1);
    hair.setAttribute("x1", x(at));
    hair.setAttribute("x2", x(at));
    hair.setAttribute("visibility", "visible");
    const told = lines(at);
    layer.setAttribute("aria-valuenow", at);
    layer.setAttribute("aria-valuetext", told.join(", "));
    const box = c.frame.getBoundingClientRect();
    showTip(told, px ?? box.x + x(at) * (box.width / c.width), py ?? box.y + c.y1);
  };
  const hide = () => { hair.setAttribute("visibility", "hidden"); hideTip(); };
  layer.addEventListener("pointermove", (event) => {
    const box = c.frame.getBoundingClientRect();
    show(Math.round(x.invert((event.clientX - box.x) * (c.width / box.width))), event.clientX, event.clientY);
  });
  layer.addEventListener("pointerleave", hide);
  layer.addEventListener("blur", hide);
  layer.addEventListener("focus", () => layer.matches(":focus-visible") && show(at));
  layer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -n, End: n }[event.key];
    if (step) { event.preventDefault(); show(at + step); }
  });
}

// ------------------------------------------------------------------------------------------------------------- blocks

function panel(title, subtitle, build, wide = false) {
  const host = el("div", { class: "plot" });
  const node = el("figure", { class: wide ? "panel wide" : "panel" },
    el("figcaption", {}, el("h4", {}, title), subtitle ? el("p", {}, subtitle) : null), host);
  later.push(() => build(host));
  return node;
}

// Charts are drawn once their hosts are in the page, since only then they have a width.
let later = [];
function drawLater() {
  const waiting = later;
  later = [];
  for (const draw of waiting) draw();
}

function legend(entries) {
  return el("ul", { class: "legend" }, entries.map(([colour, name, kind]) =>
    el("li", {}, key(colour, kind), name)));
}

function key(colour, kind = "square") {
  const box = mark("svg", { viewBox: "0 0 14 12", class: "key", "aria-hidden": "true" });
  if (kind === "square") box.append(mark("rect", { width: 12, height: 12, rx: 2, fill: colour }));
  if (kind === "line") box.append(mark("line", { x1: 0, x2: 14, y1: 6, y2: 6, stroke: colour, "stroke-width": 2.5 }));
  if (kind === "dashed")
    box.append(mark("line", { x1: 0, x2: 14, y1: 6, y2: 6, stroke: colour, "stroke-width": 2, "stroke-dasharray": "4 3" }));
  if (kind === "dot") box.append(mark("circle", { cx: 6, cy: 6, r: 4.5, fill: colour }));
  if (kind === "ring")
    box.append(mark("circle", { cx: 6, cy: 6, r: 4, fill: "none", stroke: colour, "stroke-width": 1.4 }));
  return box;
}

function table(heads, rows, caption, text = 1) {
  const align = (i) => (i < text ? "text" : "number");
  const head = el("tr", {}, heads.map((h, i) => el("th", { scope: "col", class: align(i) }, h)));
  const body = rows.map((row) => el("tr", {}, row.map((cell, i) =>
    i ? el("td", { class: align(i) }, cell) : el("th", { scope: "row", class: "text" }, cell))));
  const made = el("table", { "aria-label": caption }, el("thead", {}, head), el("tbody", {}, body));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, made);
}

const swatch = (colour, name) => el("span", { class: "name" }, key(tone(colour)), name);
const missing = (words) => el("p", { class: "missing" }, words);
