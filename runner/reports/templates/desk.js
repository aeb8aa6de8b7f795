// The what-if desk: the formula of runner/reports/desk.py, evaluated from the same numbers.
const DESK = DATA.desk;

// --------------------------------------------------------------------------------------------------------------- formula

// As in the compiled kernel a power beyond e^700 counts as that: it is nothing beside 1, but its slope is told apart.
const MOST = Math.exp(700);
const hill = (z, alpha, inflexion) => (z > 0 ? 1 / (1 + Math.min((inflexion / z) ** alpha, MOST)) : 0);

function steepness(z, alpha, inflexion) {
  if (z > 0) {
    const s = hill(z, alpha, inflexion);
    return (alpha * s * (1 - s)) / z;
  }
  return alpha === 1 ? 1 / inflexion : alpha > 1 ? 0 : Infinity;
}

function adstocked(model, p, exposure) {
  const n = exposure.length, out = new Float64Array(n);
  if (model.theta) {
    let carried = 0;
    for (let t = 0; t < n; t++) out[t] = carried = exposure[t] + model.theta[p] * carried;
    return out;
  }
  const weights = model.weights[p];
  for (let t = 0; t < n; t++) {
    if (exposure[t] === 0) continue;
    for (let k = 0; k < weights.length && t + k < n; k++) out[t + k] += weights[k] * exposure[t];
  }
  return out;
}

// Exposure that spend does not move, and exposure per unit of spend over the horizon.
function flighted(ground, p) {
  const T = DESK.n_periods, exposure = DESK.exposure.subarray(p * T, (p + 1) * T), spent = ground.spent[p];
  const fixed = Float64Array.from(exposure), per = new Float64Array(T), n = ground.stop - ground.start;
  let exposed = 0;
  for (let t = ground.start; t < ground.stop; t++) exposed += exposure[t];
  for (let t = ground.start; t < ground.stop; t++) {
    if (spent === 0) per[t] = DESK.rate[p] / n;
    else {
      fixed[t] = 0;
      per[t] = (ground.flighting === "constant" ? exposed / n : exposure[t]) / spent;
    }
  }
  return [fixed, per];
}

// offset + slope * spend is the adstocked exposure, period by period, of one channel in one model.
function lineOf(ground, model, p) {
  const n = ground.stop - ground.start;
  if (ground.carryover === "historical")
    return { offset: Float64Array.of(model.carried[p]), slope: Float64Array.of(1 / n), repeat: n };
  const [fixed, per] = flighted(ground, p);
  const cut = (values) => adstocked(model, p, values).subarray(ground.start, ground.stop);
  return { offset: cut(fixed), slope: cut(per), repeat: 1 };
}

const lines = new Map();
function line(g, m, p) {
  const name = `${g}/${m}/${p}`;
  if (!lines.has(name)) lines.set(name, lineOf(DESK.grounds[g], DESK.models[m], p));
  return lines.get(name);
}

// Response to a coefficient of 1, and its slope.
const known = new Map();
function unit(g, m, p, spend) {
  const name = `${g}/${m}/${p}/${spend}`;
  if (known.has(name)) return known.get(name);
  const { offset, slope, repeat } = line(g, m, p), { alpha, inflexion } = DESK.models[m], a = alpha[p], k = inflexion[p];
  let value = 0, rise = 0;
  for (let l = 0; l < offset.length; l++) {
    const z = offset[l] + slope[l] * spend;
    value += hill(z, a, k);
    if (slope[l] > 0) rise += steepness(z, a, k) * slope[l];
  }
  const found = [repeat * value, repeat * rise];
  if (known.size > 20000) known.clear();
  known.set(name, found);
  return found;
}

function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at), t = at - low;
  if (low + 1 >= sorted.length) return sorted[sorted.length - 1];
  return t >= 0.5 ? sorted[low + 1] - (sorted[low + 1] - sorted[low]) * (1 - t) : sorted[low] + (sorted[low + 1] - sorted[low]) * t;
}

function band(values) {
  if (!values.length) return [NaN, NaN];
  const sorted = Float64Array.from(values).sort(), tail = (1 - RUN.level) / 2;
  return [quantile(sorted, tail), quantile(sorted, 1 - tail)];
}

const ratio = (spend, response) => (!(spend > 0) ? NaN : RUN.metric === "roas" ? response / spend : spend / response);
const sum = (values) => values.reduce((all, v) => all + v, 0);

// What spends bring: Desk.ask, for the models of these places.
function ask(g, members, spends) {
  const today = DESK.grounds[g].initial;
  const response = new Float64Array(P), marginal = new Float64Array(P), before = new Float64Array(P);
  const each = Array.from({ length: P }, () => []), all = [], changes = [];
  for (const m of members) {
    const model = DESK.models[m], now = [], then = [];
    for (let p = 0; p < P; p++) {
      const [value, rise] = unit(g, m, p, spends[p]);
      now.push(value);
      then.push(unit(g, m, p, today[p])[0]);
      response[p] += (model.coef[p] * value) / members.length;
      marginal[p] += (model.coef[p] === 0 ? 0 : model.coef[p] * rise) / members.length;
      before[p] += (model.coef[p] * then[p]) / members.length;
    }
    for (let b = 0; b < model.draws.length; b += P) {
      let whole = 0, change = 0;
      for (let p = 0; p < P; p++) {
        const drawn = model.draws[b + p] * now[p];
        each[p].push(drawn);
        whole += drawn;
        change += drawn - model.draws[b + p] * then[p];
      }
      all.push(whole);
      changes.push(change);
    }
  }
  return told({ g, spends, today, response, marginal, before, each, all, changes });
}

function told({ g, spends, today, response, marginal, before, each, all, changes }) {
  const spent = sum(spends), value = sum(response), ends = each.map(band), whole = band(all), change = band(changes);
  const rates = whole.map((end) => ratio(spent, end));
  let weighted = 0, counted = 0;
  for (let p = 0; p < P; p++) if (spends[p] > 0) { weighted += marginal[p] * spends[p]; counted += spends[p]; }
  return {
    ground: g, spend: Array.from(spends), today: Array.from(today), response: Array.from(response), before: Array.from(before), marginal: Array.from(marginal),
    efficiency: Array.from(response, (r, p) => ratio(spends[p], r)), lower: ends.map((e) => e[0]), upper: ends.map((e) => e[1]),
    total: [value, ...whole], change: [value - sum(before), ...change], total_spend: spent,
    total_efficiency: [ratio(spent, value), ...(RUN.metric === "roas" ? rates : rates.reverse())], total_marginal: counted > 0 ? weighted / counted : NaN,
  };
}

// Lay a total over the channels by one factor within limits: desk.spread.
function spread(wanted, spends, lower, upper, locked, weights) {
  let base = Array.from(spends, (s, p) => (locked[p] ? 0 : s));
  if (sum(base) === 0) base = Array.from(weights, (w, p) => (locked[p] ? 0 : w));
  const open = base.map((_, p) => !locked[p]), goal = wanted - sum(Array.from(spends, (s, p) => (locked[p] ? s : 0)));
  const laid = (f) => base.map((b, p) => clip(f * b, lower[p], upper[p]));
  const held = (f) => sum(laid(f).filter((_, p) => open[p]));
  const moved = base.map((b, p) => open[p] && b > 0);
  let knots = [0];
  base.forEach((b, p) => { if (moved[p]) knots.push(lower[p] / b, upper[p] / b); });
  knots = [...new Set(knots.filter(Number.isFinite))].sort((a, b) => a - b);
  const sums = knots.map(held);
  let at = sums.findIndex((s) => s >= goal);
  if (at < 0) at = sums.length;
  let factor = knots[Math.max(0, at - 1)];
  if (at > 0) {
    const slope = sum(base.filter((b, p) => moved[p] && factor * b >= lower[p] * (1 - 1e-12) && factor * b < upper[p] * (1 - 1e-12)));
    if (slope > 0) factor += (goal - sums[at - 1]) / slope;
  }
  const found = laid(Math.max(factor, 0));
  return Float64Array.from(spends, (s, p) => (open[p] ? found[p] : s));
}

// ----------------------------------------------------------------------------------------------------------------- state

function unpackDesk() {
  for (const name of ["exposure", "rate"]) DESK[name] = unpack(DESK[name]);
  for (const ground of DESK.grounds) for (const name of ["spent", "initial", "reference"]) ground[name] = unpack(ground[name]);
  for (const model of DESK.models) {
    for (const name of ["coef", "alpha", "inflexion", "draws", "theta", "carried"]) if (model[name]) model[name] = unpack(model[name]);
    if (model.weights) model.weights = model.weights.map(unpack);
  }
  for (const plan of DESK.plans) {
    for (const name of ["lower", "upper"]) plan[name] = unpack(plan[name]);
    for (const answer of plan.answers) answer.spend = unpack(answer.spend);
  }
}
if (DESK) unpackDesk();

// member -1 is the mean of all models; limits -1 are none.
const state = { ground: 0, member: DESK && DESK.models.length > 1 ? -1 : 0, limits: -1, locked: new Array(P).fill(false), spends: null, note: "" };
if (DESK) state.spends = Float64Array.from(DESK.grounds[0].initial);

const members = () => (state.member < 0 ? DESK.models.map((_, m) => m) : [state.member]);
const ground = () => DESK.grounds[state.ground];

function limits() {
  if (state.limits >= 0) return DESK.plans[state.limits];
  return { lower: new Float64Array(P), upper: Float64Array.from(ground().reference, () => Infinity) };
}

// How far the sliders reach.
function reach(p) {
  const upper = limits().upper[p];
  if (Number.isFinite(upper)) return Math.max(upper, 1e-9);
  const most = largest(Array.from(ground().reference));
  return 3 * Math.max(ground().reference[p], 0.02 * most) || 1;
}

function setSpend(p, value) {
  const { lower, upper } = limits(), held = clip(Number.isFinite(value) ? value : 0, lower[p], upper[p]);
  state.note = held !== value && Number.isFinite(value) ? say("desk.held", { channel: CHANNELS[p].name, low: amount(lower[p]), high: number(upper[p]) }) : "";
  state.spends[p] = held;
  refresh();
}

function setTotal(value) {
  const { lower, upper } = limits();
  state.spends = spread(value, state.spends, lower, upper, state.locked, ground().reference);
  const reached = sum(state.spends);
  state.note = Math.abs(reached - value) > 1e-9 * Math.max(1, value) ? say("desk.unreached", { wanted: amount(value), reached: amount(reached) }) : "";
  refresh();
}

// Multiples of today's spends, of every channel that is not locked, or of one.
function multiply(factor, only = null) {
  const { lower, upper } = limits();
  let isHeld = false;
  for (let p = 0; p < P; p++) {
    if (state.locked[p] || (only !== null && p !== only)) continue;
    const wanted = factor * ground().initial[p];
    state.spends[p] = clip(wanted, lower[p], upper[p]);
    isHeld ||= state.spends[p] !== wanted;
  }
  state.note = isHeld ? say("desk.some_held") : "";
  refresh();
}

function takePlan(i, a) {
  const plan = DESK.plans[i], answer = plan.answers[a];
  const kept = state.locked.some(Boolean);
  state.ground = plan.ground;
  state.limits = i;
  state.member = answer.candidate === null ? (DESK.models.length > 1 ? -1 : 0) : DESK.models.findIndex((m) => m.candidate === answer.candidate);
  for (let p = 0; p < P; p++) if (!state.locked[p]) state.spends[p] = answer.spend[p];
  state.note = kept ? say("desk.plan_locked") : "";
  render("desk");
}

// -------------------------------------------------------------------------------------------------------------- controls

function choice(id, words, options, value, act) {
  const select = el("select", { id }, options.map(([v, text]) => el("option", { value: v, selected: String(v) === String(value) }, text)));
  select.addEventListener("change", () => act(Number(select.value)));
  return el("div", { class: "field" }, el("label", { for: id }, words), select);
}

function groundName(g) {
  const terms = [say("plan.horizon", { start: day(g.first), end: day(g.last), n: g.stop - g.start, many: period(g.stop - g.start) })];
  if (g.carryover === "historical") terms.push(say("plan.carryover.historical"));
  if (g.flighting === "constant") terms.push(say("plan.flighting.constant", { many: period(2) }));
  return terms.join(" · ");
}

function choices() {
  const models = DESK.models.map((m, i) => [i, say("model.title", { candidate: m.candidate })]);
  if (models.length > 1) models.unshift([-1, say("desk.mean", { n: models.length })]);
  const fitting = DESK.plans.map((plan, i) => [i, say("plan.title", { scenario: plan.name })]).filter(([i]) => DESK.plans[i].ground === state.ground);
  const move = (g) => {
    state.ground = g;
    state.limits = -1;
    state.spends = Float64Array.from(DESK.grounds[g].initial);
    state.note = "";
    render("desk");
  };
  const limit = (i) => {
    state.limits = i;
    const { lower, upper } = limits();
    state.spends = state.spends.map((s, p) => (state.locked[p] ? s : clip(s, lower[p], upper[p])));
    render("desk");
  };
  return el("div", { class: "fields" }, choice("desk-model", say("desk.model"), models, state.member, (m) => { state.member = m; refresh(); }),
    choice("desk-ground", say("desk.ground"), DESK.grounds.map((g, i) => [i, groundName(g)]), state.ground, move),
    choice("desk-limits", say("desk.limits"), [[-1, say("desk.free")], ...fitting], state.limits, limit));
}

const button = (id, words, act, title) => el("button", { type: "button", "data-preset": id, title, onclick: act }, words);

function presets() {
  const made = [button("today", say("desk.today"), () => multiply(1)), button("more", say("desk.more"), () => multiply(1.1)), button("half", say("desk.half"), () => multiply(0.5)), button("zero", say("desk.zero"), () => multiply(0))];
  DESK.plans.forEach((plan, i) => plan.answers.forEach((answer, a) => {
    if (answer.candidate === null) made.push(button(`plan-${i}`, say("plan.title", { scenario: plan.name }), () => takePlan(i, a)));
  }));
  return el("div", { class: "presets", role: "group", "aria-label": say("desk.presets") }, made);
}

function slider(id, label, max, value, act) {
  const input = el("input", { type: "range", id, min: 0, max, step: "any", "aria-label": label });
  input.value = value;
  input.addEventListener("input", () => act(Number(input.value)));
  // Of a range without steps the arrows move a hundredth.
  input.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    act(clip(Number(input.value) + (step * max) / 100, 0, max));
  });
  return input;
}

function numberField(id, label, act) {
  const input = el("input", { type: "number", id, min: 0, step: "any", inputmode: "decimal", "aria-label": label });
  input.addEventListener("change", () => act(Number(input.value)));
  return input;
}

function channelRow(channel, p) {
  const lock = el("input", { type: "checkbox", id: `desk-lock-${p}` });
  lock.checked = state.locked[p];
  lock.addEventListener("change", () => { state.locked[p] = lock.checked; refresh(); });
  const quick = [[0, "0"], [0.5, "½"], [1, say("plan.today")], [1.1, `+${percent(0.1, 0)}`]].map(([factor, words]) =>
    el("button", { type: "button", "data-factor": factor, "aria-label": `${channel.name}: ${words}`, onclick: () => multiply(factor, p) }, words));
  return el("div", { class: "desk-row", "data-channel": p, role: "group", "aria-label": channel.name },
    el("div", { class: "desk-name" }, swatch(channel.colour, channel.name), el("span", { class: "desk-change" })),
    slider(`desk-slider-${p}`, say("desk.slider", { channel: channel.name }), reach(p), state.spends[p], (v) => setSpend(p, v)),
    numberField(`desk-spend-${p}`, say("desk.spend", { channel: channel.name }), (v) => setSpend(p, v)),
    el("div", { class: "quick" }, quick, el("label", { class: "check", for: `desk-lock-${p}` }, lock, " ", say("desk.lock"))),
    el("div", { class: "desk-result" }));
}

function totalRow() {
  const most = sum(CHANNELS.map((_, p) => reach(p)));
  return el("div", { class: "desk-row desk-total", role: "group", "aria-label": say("desk.total") },
    el("div", { class: "desk-name" }, el("strong", {}, say("desk.total")), el("span", { class: "desk-change" })),
    slider("desk-total-slider", say("desk.total"), most, sum(state.spends), setTotal), numberField("desk-total", say("desk.total"), setTotal));
}

// --------------------------------------------------------------------------------------------------------------- results

const within = (low, high, how) => (Number.isFinite(low) || Number.isFinite(high) ? range(low, high, how) : "");
const marginalOf = (m) => (RUN.metric === "roas" ? m : 1 / m);
const marginalName = () => say(RUN.metric === "roas" ? "mroas" : "desk.mcpa");

function big(id, words, value, low, high, how) {
  const interval = within(low, high, how);
  return el("div", { class: "big", id }, el("span", { class: "what" }, words), el("span", { class: "value" }, how(value)),
    el("span", { class: "between" }, interval ? say("desk.between", { level: percent(RUN.level, 0), range: interval }) : ""));
}

function outcome(answer) {
  const sign = (v) => signed(v, total), change = answer.change;
  const share = answer.change[0] / sum(answer.before);
  return [big("desk-out-spend", say("desk.total"), answer.total_spend, NaN, NaN, total),
    big("desk-out-response", say("desk.response", { outcome: RUN.outcome }), answer.total[0], answer.total[1], answer.total[2], total),
    big("desk-out-change", `${say("desk.change")}${Number.isFinite(share) ? ` (${signedPercent(share)})` : ""}`, change[0], change[1], change[2], sign),
    big("desk-out-efficiency", metric(), ...answer.total_efficiency, number),
    big("desk-out-marginal", marginalName(), marginalOf(answer.total_marginal), NaN, NaN, number)];
}

function verdict(answer) {
  const [, low, high] = answer.change;
  if (!Number.isFinite(low) || answer.spend.every((s, p) => s === answer.today[p])) return "";
  return say(low > 0 ? "desk.verdict.up" : high < 0 ? "desk.verdict.down" : "desk.verdict.open");
}

function drawDesk(host, answer) {
  const row = P > 16 ? 18 : 24;
  const c = chart(host, say("desk.chart"), P * row + 40, { right: 84, bottom: 36 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  const x = scale(0, largest([...answer.response, ...answer.before, ...answer.upper], 1e-9), c.x0, c.x1);
  xAxis(c, x, tick, say("desk.response", { outcome: RUN.outcome }));
  CHANNELS.forEach((channel, p) => {
    const y = c.y1 + p * row, colour = tone(channel.colour), low = answer.lower[p], high = answer.upper[p];
    rowName(c, y + row / 2, channel.name, room);
    add(c, "rect", { x: c.x0, y: y + 3, width: Math.max(0, x(answer.before[p]) - c.x0), height: row - 6, class: "before" });
    tells(add(c, "rect", { x: c.x0, y: y + 6, width: Math.max(0.5, x(answer.response[p]) - c.x0), height: row - 12, fill: colour }),
      [channel.name, `${say("plan.today")} ${amount(answer.before[p])}`, `${say("plan.planned")} ${amount(answer.response[p])} ${within(low, high, amount)}`]);
    if (Number.isFinite(low)) add(c, "line", { x1: x(low), x2: x(high), y1: y + row / 2, y2: y + row / 2, class: "whisker" });
    add(c, "text", { x: c.width - 4, y: y + row / 2 + 4, class: "value", "text-anchor": "end" }, number(answer.response[p]));
  });
}

let answer = null;

// Everything that follows from the spends, in place: what is being moved keeps its focus.
function refresh() {
  const root = document.getElementById("desk");
  answer = ask(state.ground, members(), state.spends);
  CHANNELS.forEach((_, p) => refreshRow(root, p));
  const most = root.querySelector("#desk-total-slider"), field = root.querySelector("#desk-total");
  most.value = answer.total_spend;
  most.setAttribute("aria-valuetext", amount(answer.total_spend));
  field.value = digits(answer.total_spend);
  root.querySelector(".desk-total .desk-change").textContent = signedPercent(answer.total_spend / sum(answer.today) - 1);
  root.querySelector(".desk-outcome").replaceChildren(...outcome(answer));
  root.querySelector(".desk-note").textContent = [state.note, verdict(answer)].filter(Boolean).join(" ");
  const host = root.querySelector(".desk-chart");
  host.replaceChildren();
  drawDesk(host, answer);
  root.querySelector("#desk-csv").value = csv(answer);
}

// What a field shows; the state keeps every digit.
const digits = (value) => String(Number(value >= 1000 ? value.toFixed(2) : value.toPrecision(6)));

function refreshRow(root, p) {
  const row = root.querySelector(`[data-channel="${p}"]`), slide = row.querySelector("[type=range]"), field = row.querySelector("[type=number]");
  const spend = answer.spend[p], locked = state.locked[p];
  slide.max = Math.max(reach(p), spend);
  slide.value = spend;
  slide.setAttribute("aria-valuetext", amount(spend));
  field.value = digits(spend);
  for (const node of [slide, field, ...row.querySelectorAll("button")]) node.disabled = locked;
  row.querySelector(".desk-change").textContent = answer.today[p] > 0 ? signedPercent(spend / answer.today[p] - 1) : spend > 0 ? say("plans.new") : "";
  const interval = within(answer.lower[p], answer.upper[p], number);
  row.querySelector(".desk-result").textContent =
    `${say("plan.head.response")} ${number(answer.response[p])}${interval ? ` (${interval})` : ""} · ${metric()} ${number(answer.efficiency[p])} · ${marginalName()} ${number(marginalOf(answer.marginal[p]))}`;
}

// ---------------------------------------------------------------------------------------------------------------- export

// A cell that a spreadsheet would calculate gets an apostrophe, as in the tables beside the page.
function cell(value) {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

function csv(a) {
  const g = ground(), who = state.member < 0 ? "ensemble" : DESK.models[state.member].candidate;
  const heads = ["channel", "model", "start", "end", "spend_today", "spend", "response_today", "response", "response_lower", "response_upper", "level", RUN.metric, "marginal_response"];
  const terms = [who, g.first, g.last];
  const rows = CHANNELS.map((channel, p) => [channel.name, ...terms, a.today[p], a.spend[p], a.before[p], a.response[p], a.lower[p], a.upper[p], RUN.level, a.efficiency[p], a.marginal[p]]);
  rows.push(["(total)", ...terms, sum(a.today), a.total_spend, sum(a.before), ...a.total, RUN.level, a.total_efficiency[0], a.total_marginal]);
  return [heads, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function download() {
  const link = el("a", { href: URL.createObjectURL(new Blob(["\ufeff", csv(answer)], { type: "text/csv;charset=utf-8" })), download: `${RUN.id}-what-if.csv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function exporting() {
  const area = el("textarea", { id: "desk-csv", readonly: true, rows: 6, "aria-label": say("desk.csv.text"), spellcheck: "false" });
  const copy = button("copy", say("desk.csv.copy"), () => {
    area.closest("details").open = true;
    area.select();
    // A sandboxed frame may forbid the clipboard; the text is selected then.
    navigator.clipboard?.writeText(area.value).catch(() => document.execCommand("copy"));
  });
  return el("div", { class: "export" }, button("download", say("desk.csv.download"), download), copy, el("details", {}, el("summary", {}, say("desk.csv.text")), area));
}

function honesty() {
  const drawn = DESK.models[0].draws.length / P;
  const some = drawn ? [say(DESK.models.length > 1 ? "desk.contains" : "desk.contains.one", { level: percent(RUN.level, 0), n: count(drawn) }), say("answer.outside")] : [say(`missing.${RUN.no_interval}`)];
  return el("div", { class: "honest" }, el("h3", {}, say("desk.honest")), el("ul", {}, [...some, say("desk.lacks"), say("desk.high"), say("desk.beyond")].map((t) => el("li", {}, t))));
}

function deskView() {
  if (!DESK) return [el("h2", {}, say("desk.title")), missing(say("missing.selection"))];
  later.push(refresh);
  return [el("h2", {}, say("desk.title")), el("p", { class: "lead" }, say("desk.lead")), choices(), presets(),
    el("div", { class: "desk-top" }, el("div", { class: "desk-outcome", "aria-live": "polite" }), el("p", { class: "desk-note", role: "status" })),
    el("div", { class: "desk-rows" }, totalRow(), CHANNELS.map(channelRow)),
    el("figure", { class: "panel wide" }, el("figcaption", {}, el("h4", {}, say("desk.chart")), el("p", {}, say("desk.chart.subtitle"))), el("div", { class: "desk-chart plot" })),
    exporting(), honesty()];
}
