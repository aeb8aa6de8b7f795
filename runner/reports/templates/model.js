// One selected model, taken apart: everything of its one-pager, to point at.
const MEDIA = DATA.components.map((c, k) => ({ ...c, k })).filter((c) => c.role === "paid" || c.role === "organic");
const DATES = DATA.time.dates;
const ACTUAL = unpack(DATA.time.actual);
const componentName = (c) => c.name ?? say("intercept");

const fitted = (model) => (model.fit ??= unpack(model.fitted));
const points = (model, p) => {
  const curve = model.curves[p];
  if (!curve) return null;
  if (!curve.columns) {
    const all = unpack(curve.points), n = all.length / curve.rows;
    curve.columns = Array.from({ length: curve.rows }, (_, i) => all.subarray(i * n, (i + 1) * n));
  }
  return curve;
};

function parted(model) {
  const ends = [0, model.n_train, model.n_train + model.n_val, DATES.length];
  return ["train", "val", "test"].map((name, i) => ({ name, first: ends[i], last: ends[i + 1] })).filter((s) => s.last > s.first);
}

// ------------------------------------------------------------------------------------------------------------ waterfall

function waterfallSteps(model) {
  const rows = DATA.components.map((c, k) => ({ name: componentName(c), role: c.role, colour: c.colour, value: real(model.totals[k]) }));
  const group = (role) => (role === "intercept" ? 0 : role === "paid" || role === "organic" ? 2 : 1);
  return rows.filter((r) => r.role !== "intercept" || r.value)
    .sort((a, b) => group(a.role) - group(b.role) || b.value - a.value);
}

function drawWaterfall(host, model) {
  const steps = waterfallSteps(model), whole = steps.reduce((sum, s) => sum + s.value, 0);
  const row = steps.length > 24 ? 16 : 21;
  const c = chart(host, say("waterfall.title"), (steps.length + 1) * row + 34, { right: 122, bottom: 24 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  let edge = 0;
  const edges = steps.map((s) => (edge += s.value));
  const x = scale(smallest([...edges, 0]), largest([...edges, 0], 1e-9), c.x0, c.x1);
  xAxis(c, x);
  edge = 0;
  [...steps, { name: say("waterfall.total"), colour: null, value: whole, total: true }].forEach((step, i) => {
    const from = step.total ? 0 : edge, y = c.y1 + i * row, share = percent(step.value / whole);
    const bar = add(c, "rect", {
      x: x(Math.min(from, from + step.value)), width: Math.max(1, Math.abs(x(step.value) - x(0))), y: y + 3, height: row - 6, rx: 1.5,
      fill: step.total ? undefined : tone(step.colour), class: step.total ? "total" : step.value < 0 ? "negative" : "positive",
    });
    tells(bar, [step.name, amount(step.value), share]);
    rowName(c, y + row / 2, step.name, room);
    add(c, "text", { x: c.width - 56, y: y + row / 2 + 4, class: "value", "text-anchor": "end" }, number(step.value));
    add(c, "text", { x: c.width - 4, y: y + row / 2 + 4, class: "tick", "text-anchor": "end" }, share);
    edge += step.value;
  });
}

// ------------------------------------------------------------------------------------------------------------------ fit

function drawFit(host, model) {
  const c = chart(host, say("fit.title"), 330, { bottom: 100 });
  const fit = fitted(model), n = DATES.length, x = scale(0, Math.max(1, n - 1), c.x0, c.x1);
  const all = [...ACTUAL, ...fit];
  const low = smallest(all, Infinity), high = largest(all, -Infinity), air = 0.06 * (high - low) || 1;
  const y = scale(low - air, high + air, c.y0, c.y1 + 14);
  for (const part of parted(model)) {
    add(c, "rect", { x: x(part.first), width: Math.max(0, x(Math.min(part.last, n - 1)) - x(part.first)), y: c.y1, height: c.y0 - c.y1 + 70, class: `split ${part.name}` });
    if (x(part.last - 1) - x(part.first) > 56) add(c, "text", { x: x(part.first) + 5, y: c.y1 + 11, class: "title" }, say(part.name));
  }
  yAxis(c, y);
  const xs = Array.from(ACTUAL, (_, i) => x(i));
  add(c, "path", { d: path(xs, Array.from(ACTUAL, y)), class: "curve actual" });
  add(c, "path", { d: path(xs, Array.from(fit, y)), class: "curve fitted" });
  const gap = Array.from(ACTUAL, (v, i) => v - fit[i]), most = largest(gap.map(Math.abs), 1e-9);
  const r = scale(-most, most, c.height - 30, c.y0 + 12);
  add(c, "line", { x1: c.x0, x2: c.x1, y1: r(0), y2: r(0), class: "axis" });
  gap.forEach((v, i) => add(c, "line", { x1: x(i), x2: x(i), y1: r(0), y2: r(v), class: v < 0 ? "residual under" : "residual over" }));
  add(c, "text", { x: c.x0 - 6, y: r(0) + 4, class: "tick", "text-anchor": "end" }, "0");
  timeAxis({ ...c, y0: c.height - 28 }, DATES, x);
  reader({ ...c, y0: c.height - 28 }, n, x, (i) => [day(DATES[i]), `${say("fit.actual")} ${amount(ACTUAL[i])}`,
    `${say("fit.fitted")} ${amount(fit[i])}`, `${say("fit.residual")} ${signed(gap[i], amount)}`], say("fit.title"));
}

function drawResiduals(host, model) {
  const fit = fitted(model), gap = Array.from(ACTUAL, (v, i) => v - fit[i]);
  const c = chart(host, say("residuals.title"), 260, { bottom: 44 });
  const most = largest(gap.map(Math.abs), 1e-9) * 1.08;
  const x = scale(smallest(Array.from(fit), Infinity), largest(Array.from(fit), -Infinity), c.x0 + 6, c.x1 - 6), y = scale(-most, most, c.y0, c.y1);
  xAxis(c, x, tick, say("residuals.axis", { outcome: RUN.outcome, one: period(1) }));
  yAxis(c, y);
  add(c, "line", { x1: c.x0, x2: c.x1, y1: y(0), y2: y(0), class: "axis" });
  for (const part of parted(model)) {
    for (let i = part.first; i < part.last; i++)
      tells(add(c, "circle", { cx: x(fit[i]), cy: y(gap[i]), r: 3.2, class: `rest ${part.name}` }), [day(DATES[i]), `${say("fit.residual")} ${signed(gap[i], amount)}`, say(part.name)]);
  }
}

// --------------------------------------------------------------------------------------------------------- contributions

// Stacked by component, negative ones below the axis; beyond twelve the smallest are one.
function stackOf(model) {
  if (model.stack) return model.stack;
  const all = unpack(model.series), k = DATA.components.length, n = all.length / k;
  const rows = DATA.components.map((c, i) => ({ c, values: all.subarray(i * n, (i + 1) * n), size: Math.abs(real(model.totals[i])) }));
  const base = rows.filter((r) => !["paid", "organic"].includes(r.c.role) && r.size > 0);
  const media = rows.filter((r) => ["paid", "organic"].includes(r.c.role)).sort((a, b) => b.size - a.size);
  return (model.stack = { n, base, media: media.slice(0, 12), others: media.slice(12) });
}

const summed = (rows, n) => Float64Array.from({ length: n }, (_, i) => rows.reduce((sum, r) => sum + r.values[i], 0));

function stackLayers(model) {
  const stack = stackOf(model), layers = [];
  layers.push({ name: say("series.base"), colour: "#98A2AF", values: summed(stack.base, stack.n) });
  for (const row of stack.media) layers.push({ name: row.c.name, colour: row.c.colour, values: row.values });
  if (stack.others.length) layers.push({ name: say("series.others", { n: stack.others.length }), colour: "#C3C9D1", values: summed(stack.others, stack.n) });
  return layers;
}

function drawSeries(host, model, onlyMedia) {
  const layers = stackLayers(model).filter((_, i) => !onlyMedia || i), n = stackOf(model).n;
  const dates = Array.from({ length: n }, (_, i) => DATES[i * DATA.time.bin]);
  const c = chart(host, say("series.title"), 300);
  const up = new Float64Array(n), down = new Float64Array(n);
  const bands = layers.map((layer) => {
    const from = new Float64Array(n), to = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const side = layer.values[i] < 0 ? down : up;
      from[i] = side[i];
      to[i] = side[i] += layer.values[i];
    }
    return { from, to };
  });
  const x = scale(0, Math.max(1, n - 1), c.x0, c.x1), y = scale(smallest(Array.from(down)), largest(Array.from(up), 1e-9), c.y0, c.y1);
  yAxis(c, y);
  const xs = Array.from({ length: n }, (_, i) => x(i));
  bands.forEach((band, l) => add(c, "path", { d: area(xs, Array.from(band.from, y), Array.from(band.to, y)), fill: tone(layers[l].colour), class: "layer-fill" }));
  timeAxis(c, dates, x);
  reader(c, n, x, (i) => [day(dates[i]), ...layers.map((l) => `${l.name} ${amount(l.values[i])}`).slice(0, 14)], say("series.title"));
}

function seriesPanel(model) {
  const note = DATA.time.bin > 1 ? ` ${say("series.bin", { n: DATA.time.bin, many: period(2) })}` : "";
  const host = el("div", { class: "plot" });
  const tick = el("input", { type: "checkbox", id: "series-media" });
  const draw = () => { host.replaceChildren(); drawSeries(host, model, tick.checked); };
  tick.addEventListener("change", draw);
  later.push(draw);
  return el("figure", { class: "panel wide" }, el("figcaption", {}, el("h4", {}, say("series.title")),
    el("p", {}, say("series.subtitle", { outcome: RUN.outcome, one: period(1) }) + note)),
    el("label", { class: "check" }, tick, " ", say("series.media")), host, legend(stackLayers(model).map((l) => [tone(l.colour), l.name])));
}

// ------------------------------------------------------------------------------------------------------- shares, efficiency

function drawShares(host, model) {
  const row = CHANNELS.length > 16 ? 26 : 34;
  const c = chart(host, say("shares.title"), CHANNELS.length * row + 30, { right: 52, bottom: 24 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  const most = largest([...CHANNELS.map((ch) => real(ch.spend_share)), ...reals(model.effect_shares)], 0.01);
  const x = scale(0, most, c.x0, c.x1);
  xAxis(c, x, (v) => percent(v, 0));
  CHANNELS.forEach((channel, p) => {
    const y = c.y1 + p * row, spend = real(channel.spend_share), effect = real(model.effect_shares[p]), half = (row - 8) / 2;
    rowName(c, y + row / 2, channel.name, room);
    [[spend, y + 3, "spend"], [effect, y + 3 + half, "effect"]].forEach(([value, top, kind]) => {
      const colour = kind === "spend" ? mix(tone(channel.colour), isDark() ? "#14181d" : "#ffffff", 0.62) : tone(channel.colour);
      const bar = add(c, "rect", { x: c.x0, y: top, width: Math.max(0.5, x(value || 0) - c.x0), height: half - 1, fill: colour });
      tells(bar, [channel.name, `${say("shares.spend")} ${percent(spend)}`, `${say("shares.effect")} ${percent(effect)}`]);
      add(c, "text", { x: x(value || 0) + 5, y: top + half - 3, class: "tick" }, percent(value));
    });
  });
}

function drawEfficiency(host, model) {
  const row = CHANNELS.length > 16 ? 22 : 30;
  const c = chart(host, say("efficiency.title", { metric: metric() }), CHANNELS.length * row + 44, { right: 58, bottom: 38 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  const ends = model.bars.flatMap((b) => Object.values(b).flatMap(reals)).concat(reals(model.efficiencies)).filter(Number.isFinite);
  const x = scale(smallest(ends), Math.min(1.06 * largest(ends, 0.1), efficiencyLimit() * 1.5), c.x0, c.x1);
  xAxis(c, x, tick, say(`efficiency.axis.${RUN.metric}`, { outcome: RUN.outcome }));
  CHANNELS.forEach((channel, p) => {
    const y = c.y1 + (p + 0.5) * row, cluster = model.bars[p].cluster && reals(model.bars[p].cluster);
    rowName(c, y, channel.name, room);
    if (cluster) {
      const [low, high] = cluster.map((v) => clip(x(v), c.x0, c.x1));
      add(c, "rect", { x: low, width: Math.max(1, high - low), y: y - 7, height: 14, class: "spread" });
    }
    drawWhisker(c, x, y, model, p, tone(channel.colour), 3.4);
    add(c, "text", { x: c.width - 4, y: y + 4, class: "value", "text-anchor": "end" }, number(real(model.efficiencies[p])));
  });
}

// --------------------------------------------------------------------------------------------------- adstock and carryover

function drawAdstock(host, model) {
  const row = MEDIA.length > 16 ? 20 : 26;
  const c = chart(host, say("adstock.title"), MEDIA.length * row + 44, { right: 140, bottom: 38 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  const decays = model.adstock.map((a) => (a.weights ? unpack(a.weights) : null));
  const last = Math.max(4, ...decays.map((w) => (w ? w.length - 1 : 0)));
  const x = decays[0] ? scale(0, last, c.x0, c.x1) : scale(0, 1, c.x0, c.x1);
  xAxis(c, x, tick, decays[0] ? say("adstock.axis.weibull", { many: period(2) }) : say("adstock.axis.geometric"));
  MEDIA.forEach((medium, m) => {
    const y = c.y1 + (m + 0.5) * row;
    rowName(c, y, medium.name, room);
    const told = decays[m] ? drawDecay(c, x, y, row, decays[m], medium) : drawTheta(c, x, y, row, model.adstock[m].theta, medium);
    add(c, "text", { x: c.x1 + 8, y: y + 4, class: "tick" }, told);
  });
}

function drawTheta(c, x, y, row, theta, medium) {
  const life = theta > 0 ? Math.log(0.5) / Math.log(theta) : 0;
  const told = life < 0.05 ? say("adstock.instant") : say("adstock.halflife", { time: localised(life.toFixed(1)), many: period(2) });
  tells(add(c, "rect", { x: c.x0, y: y - row / 2 + 5, width: Math.max(1, x(theta) - c.x0), height: row - 10, fill: tone(medium.colour) }), [medium.name, `theta ${number(theta)}`, told]);
  return told;
}

function drawDecay(c, x, y, row, weights, medium) {
  const floor = y + row / 2 - 3, xs = Array.from(weights, (_, i) => clip(x(i), c.x0, c.x1)), tops = Array.from(weights, (w) => floor - w * (row - 7));
  add(c, "path", { d: area(xs, xs.map(() => floor), tops), fill: tone(medium.colour), class: "pale" });
  add(c, "path", { d: path(xs, tops), class: "curve", stroke: tone(medium.colour) });
  const whole = weights.reduce((sum, w) => sum + w, 0);
  let sum = 0, within = 0;
  while (within < weights.length && sum < whole / 2) sum += weights[within++];
  return largest(Array.from(weights.subarray(1))) < 0.01 ? say("adstock.instant") : say("adstock.half", { time: within, many: period(within) });
}

function drawCarryover(host, model) {
  const row = MEDIA.length > 16 ? 20 : 26;
  const c = chart(host, say("carryover.title"), MEDIA.length * row + 30, { right: 46, bottom: 24 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  const x = scale(0, 1, c.x0, c.x1);
  xAxis(c, x, (v) => percent(v, 0));
  MEDIA.forEach((medium, m) => {
    const now = real(model.immediate[m]), late = real(model.carryover[m]), whole = now + late, y = c.y1 + m * row;
    rowName(c, y + row / 2, medium.name, room);
    if (!whole) return add(c, "text", { x: c.x0 + 6, y: y + row / 2 + 4, class: "tick" }, say("carryover.none"));
    const words = [medium.name, `${say("carryover.immediate")} ${percent(now / whole)}`, `${say("carryover.carryover")} ${percent(late / whole)}`];
    const pale = mix(tone(medium.colour), isDark() ? "#14181d" : "#ffffff", 0.6), at = clip(x(now / whole), c.x0, c.x1);
    tells(add(c, "rect", { x: c.x0, y: y + 4, width: Math.max(0.5, at - c.x0), height: row - 8, fill: tone(medium.colour) }), words);
    tells(add(c, "rect", { x: at, y: y + 4, width: Math.max(0.5, c.x1 - at), height: row - 8, fill: pale }), words);
    add(c, "text", { x: c.width - 4, y: y + row / 2 + 4, class: "tick", "text-anchor": "end" }, percent(late / whole, 0));
  });
}

// ------------------------------------------------------------------------------------------------------- response curves

// Where 10 % more money brings less than 5 % more: the last unit brings less than half of the average one.
const SATURATED = 0.5;
function saturatedFrom([spend, response, marginal]) {
  for (let i = 1; i < spend.length; i++)
    if (response[i] > 0 && (marginal[i] * spend[i]) / response[i] < SATURATED && i > peakOf(marginal)) return spend[i];
  return null;
}

function peakOf(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best] || !Number.isFinite(values[best])) best = i;
  return best;
}

function drawCurve(host, model, p) {
  const curve = points(model, p), channel = CHANNELS[p], colour = tone(channel.colour);
  const c = chart(host, `${say("curves.title")}: ${channel.name}`, 190, { left: 46, bottom: 28 });
  const [spend, response, marginal, lower, upper] = curve.columns;
  const x = scale(0, spend[spend.length - 1] || 1, c.x0, c.x1), y = scale(0, 1.05 * largest(Array.from(upper ?? response), largest(Array.from(response), 1e-9)), c.y0, c.y1);
  const from = saturatedFrom(curve.columns);
  if (from !== null && largest(Array.from(response)) > 0) {
    add(c, "rect", { x: x(from), width: Math.max(0, c.x1 - x(from)), y: c.y1, height: c.y0 - c.y1, class: "saturated" });
    if (c.x1 - x(from) > 50) add(c, "text", { x: c.x1 - 4, y: c.y0 - 5, class: "tick", "text-anchor": "end" }, say("curves.saturated"));
  }
  xAxis(c, x, tick, "", 3);
  yAxis(c, y, tick, 3);
  const xs = Array.from(spend, x);
  if (lower) add(c, "path", { d: area(xs, Array.from(lower, y), Array.from(upper, y)), fill: colour, class: "pale" });
  add(c, "path", { d: path(xs, Array.from(response, y)), class: "curve thick", stroke: colour });
  const t = curve.today;
  add(c, "line", { x1: x(spend[t]), x2: x(spend[t]), y1: c.y0, y2: y(response[t]), class: "hair" });
  add(c, "circle", { cx: x(spend[t]), cy: y(response[t]), r: 5, fill: colour, class: "dot" });
  const place = scale(0, spend.length - 1, c.x0, c.x1);
  reader(c, spend.length, place, (i) => [channel.name, `${say("head.spend")} ${amount(spend[i])}`, `${say("plan.head.response")} ${amount(response[i])}` + (lower ? ` (${range(lower[i], upper[i])})` : ""),
    `${say("plan.marginal.title")} ${number(marginal[i])}`, ...(i === t ? [say("plan.today")] : [])], channel.name);
}

function curvePanels(model) {
  return CHANNELS.map((channel, p) => {
    const curve = points(model, p);
    if (!curve) return null;
    const [spend, response, marginal] = curve.columns, t = curve.today;
    const told = response[t] > 0 || largest(Array.from(response)) > 0
      ? `${say("curves.today", { spend: number(spend[t]), response: number(response[t]) })} · ${say("curves.marginal", { marginal: number(marginal[t]) })}`
      : say("curves.flat");
    return panel(channel.name, told, (host) => drawCurve(host, model, p));
  });
}

// ------------------------------------------------------------------------------------------------------------ the section

function scores(model) {
  const one = (name) => number(real(model.losses[name]), 3);
  const has = (name) => model.losses[name] !== null;
  const heads = [say("model.head.rows"), ...parted(model).map((s) => say(s.name))];
  const rows = [[say("model.head.nrmse"), ...parted(model).map((s) => one(`nrmse_${s.name}`))], [say("model.head.rsq"), ...parted(model).map((s) => (has(`rsq_${s.name}`) ? one(`rsq_${s.name}`) : "–"))]];
  const told = say("model.scores", { rssd: one("decomp_rssd"), score: number(real(model.error_score)) }) + (real(model.losses.mape) > 0 ? say("model.mape", { mape: one("mape") }) : "");
  return [el("p", { class: "lead" }, told), table(heads, rows, say("models.title"))];
}

function modelTabs() {
  return el("div", { class: "tabs", role: "group", "aria-label": say("models.title") }, MODELS.map((model) =>
    el("button", { type: "button", "aria-pressed": String(model.candidate === chosen), "data-model": model.candidate, onclick: () => { chosen = model.candidate; render("search"); render("models"); focusTab(); } },
      el("strong", {}, model.candidate), el("span", {}, `${say("head.cluster")} ${model.cluster} · ${say("loss.nrmse")} ${number(real(model.losses.nrmse))}`))));
}

const focusTab = () => document.querySelector(`#models [data-model="${CSS.escape(chosen)}"]`)?.focus();

// A candidate of the fronts that was not selected: what its row of the journal says.
function candidateCard(front) {
  const rows = CHANNELS.map((channel, p) => [swatch(channel.colour, channel.name), percent(real(channel.spend_share)), percent(real(front.effect_share?.[p] ?? null)), number(real(front[RUN.metric]?.[p] ?? null))]);
  const heads = [say("head.channel"), say("head.spend_share"), say("head.effect_share"), metric()];
  return el("article", { id: "model", tabindex: -1 }, el("h3", {}, say("cloud.candidate", { candidate: front.candidate })),
    el("p", { class: "note" }, say("candidate.lead", { front: front.front, cluster: front.cluster ?? "–" })), el("p", {}, losses(front.losses).join(" · ")), table(heads, rows, front.candidate));
}

function efficiencyNote(model) {
  if (!RUN.has_intervals) return say("efficiency.subtitle.none", { reason: say(`missing.reason.${RUN.no_interval}`) });
  const grey = model.bars.some((b) => b.cluster) ? say("efficiency.cluster", { level: percent(RUN.level, 0), n: count((DATA.fronts || []).find((f) => f.candidate === model.candidate)?.size ?? 0), cluster: model.cluster }) : say("efficiency.cluster.none", { cluster: model.cluster });
  return `${say("efficiency.subtitle", { level: percent(RUN.level, 0), n: count(RUN.refits) })}; ${grey}`;
}

function modelCard(model) {
  const words = { outcome: RUN.outcome, one: period(1), many: period(2), metric: metric() };
  const kind = RUN.adstock === "geometric" ? "geometric" : "weibull";
  const ink = isDark() ? "#e8ebef" : "#1b2430";
  const fit = panel(say("fit.title"), say(parted(model).length > 1 ? "fit.subtitle" : "fit.subtitle.all", words), (host) => drawFit(host, model), true);
  fit.append(legend([[ink, say("fit.actual"), "line"], [isDark() ? "#6cb8e6" : "#0072b2", say("fit.fitted"), "line"], [isDark() ? "#a4aeba" : "#5a6573", say("fit.residual"), "square"]]));
  const band = RUN.has_intervals ? say("curves.band", { level: percent(RUN.level, 0) }) : say("curves.band.none", { reason: say("missing.reason.curves") });
  return el("article", { id: "model", tabindex: -1 }, el("h3", {}, `${say("model.title", { candidate: model.candidate })} · ${say("head.cluster")} ${model.cluster}`), ...scores(model),
    el("div", { class: "grid" },
      panel(say("waterfall.title"), say("waterfall.subtitle", words), (host) => drawWaterfall(host, model), true), fit, seriesPanel(model),
      panel(say("shares.title"), say("shares.subtitle", words), (host) => drawShares(host, model)),
      panel(say("efficiency.title", words), efficiencyNote(model), (host) => drawEfficiency(host, model)),
      panel(say("adstock.title"), say(`adstock.subtitle.${kind}`, words), (host) => drawAdstock(host, model)),
      panel(say("carryover.title"), say("carryover.subtitle"), (host) => drawCarryover(host, model)),
      panel(say("residuals.title"), say("residuals.subtitle"), (host) => drawResiduals(host, model), true)),
    el("h4", {}, say("curves.title")), el("p", { class: "note" }, `${say("curves.subtitle", words)}; ${band}. ${say("curves.zone")}`),
    el("div", { class: "grid small" }, curvePanels(model)));
}

function lossTable() {
  const names = ["nrmse_train", "nrmse_val", "nrmse_test", "rsq_train", "decomp_rssd"];
  if (MODELS.some((m) => real(m.losses.mape) > 0)) names.push("mape");
  const heads = ["model", "cluster", "error_score", ...names].map((h) => say(`head.${h}`));
  const rows = MODELS.map((m) => [m.candidate, String(m.cluster), number(real(m.error_score)), ...names.map((n) => number(real(m.losses[n])))]);
  return table(heads, rows, say("models.title"));
}

function modelsView() {
  if (!MODELS.length) return [el("h2", {}, say("models.title")), missing(say("missing.selection"))];
  const model = MODELS.find((m) => m.candidate === chosen), front = selectedFront();
  return [el("h2", {}, say("models.title")), el("p", { class: "lead" }, say("models.pick")), lossTable(), modelTabs(),
    ...(RUN.has_intervals ? [] : [missing(say(`missing.${RUN.no_interval}`))]), model ? modelCard(model) : candidateCard(front)];
}
