// How the models were found: efficiencies over the models, convergence, the cloud of candidates, clusters.
const CHANNELS = DATA.channels;
const MODELS = DATA.models;
const P = CHANNELS.length;
let chosen = MODELS.length ? MODELS[0].candidate : null;

const losses = (losses) => [
  `${say("loss.nrmse")} ${number(real(losses.nrmse))}`,
  `${say("loss.decomp_rssd")} ${number(real(losses.decomp_rssd))}`,
  ...(real(losses.mape) > 0 ? [`${say("loss.mape")} ${number(real(losses.mape))}`] : []),
];

// ------------------------------------------------------------------------------------------- efficiency over the models

function efficiencyLimit() {
  const values = MODELS.flatMap((m) => reals(m.efficiencies)).filter(Number.isFinite).sort((a, b) => a - b);
  const ends = MODELS.flatMap((m) => m.bars.flatMap((b) => (b.sampling ? reals(b.sampling) : []))).filter(Number.isFinite);
  const typical = values.length ? values[Math.floor(values.length * 0.9)] : 1;
  return Math.min(largest([...values, ...ends], 0.1) * 1.06, Math.max(4 * typical, 0.1));
}

function drawEfficiencies(host) {
  const row = 14 + 9 * MODELS.length;
  const c = chart(host, say("overview.axis", { metric: metric() }), CHANNELS.length * row + 44, {});
  const room = nameRoom(c.width);
  Object.assign(c, { x0: room + 12, y0: c.height - 34 });
  const low = smallest(MODELS.flatMap((m) => m.bars.flatMap((b) => (b.sampling ? reals(b.sampling) : [])).concat(reals(m.efficiencies))));
  const x = scale(low, efficiencyLimit(), c.x0, c.x1);
  xAxis(c, x, tick, say("overview.axis", { metric: metric() }));
  CHANNELS.forEach((channel, p) => {
    const top = c.y1 + p * row;
    rowName(c, top + row / 2, channel.name, room);
    MODELS.forEach((model, m) => {
      const y = top + 11 + 9 * m;
      const colour = m ? mix(tone(channel.colour), isDark() ? "#14181d" : "#ffffff", 0.4) : tone(channel.colour);
      drawWhisker(c, x, y, model, p, colour, m ? 1.6 : 3.4);
    });
  });
}

function drawWhisker(c, x, y, model, p, colour, width) {
  const value = real(model.efficiencies[p]);
  const bar = model.bars[p].sampling && reals(model.bars[p].sampling);
  const at = (v) => clip(x(v), c.x0, c.x1);
  const words = [`${CHANNELS[p].name}: ${metric()} ${number(value)}`, say("model.title", { candidate: model.candidate })];
  if (bar) {
    words.push(`${say("head.interval")} ${range(bar[0], bar[1])}`);
    add(c, "line", { x1: at(bar[0]), x2: at(bar[1]), y1: y, y2: y, stroke: colour, "stroke-width": width });
  }
  const dot = Number.isFinite(value)
    ? add(c, "circle", { cx: at(value), cy: y, r: width > 2 ? 4.6 : 3, fill: colour, class: "dot" })
    : add(c, "text", { x: c.x1, y: y + 4, class: "tick", "text-anchor": "end" }, "∞");
  tells(dot, words);
}

// ---------------------------------------------------------------------------------------------------------- convergence

function drawConvergence(host, own) {
  const at = own.first_iteration.map((first, i) => (first + own.last_iteration[i]) / 2);
  const median = reals(own.median), sd = reals(own.sd).map((v) => (Number.isFinite(v) ? v : 0));
  const wanted = real(own.median_threshold);
  const c = chart(host, say(own.is_converged ? "convergence.yes" : "convergence.no", { loss: say(`loss.${own.loss}`) }), 210, { bottom: 42 });
  const x = scale(0, largest(own.last_iteration, 1), c.x0, c.x1);
  const upper = median.map((v, i) => v + sd[i]), lower = median.map((v, i) => Math.max(0, v - sd[i]));
  const y = scale(0, 1.08 * largest([...upper, wanted], 1e-9), c.y0, c.y1);
  xAxis(c, x, tick, say("convergence.axis"));
  yAxis(c, y);
  const xs = at.map(x);
  add(c, "path", { d: area(xs, lower.map(y), upper.map(y)), class: "band" });
  add(c, "path", { d: path(xs, median.map(y)), class: "curve ink" });
  if (Number.isFinite(wanted)) {
    add(c, "line", { x1: c.x0, x2: c.x1, y1: y(wanted), y2: y(wanted), class: "wanted" });
    add(c, "text", { x: c.x1, y: y(wanted) - 5, class: "tick bad", "text-anchor": "end" }, say("convergence.threshold"));
  }
}

function convergencePart() {
  if (!DATA.convergence) return missing(say(`missing.${RUN.no_convergence}`));
  const heads = ["loss", "verdict", "last_median", "median_wanted", "last_sd", "sd_wanted"].map((h) => say(`head.${h}`));
  const rows = DATA.convergence.map((own) => [
    say(`loss.${own.loss}`),
    el("span", { class: own.is_converged ? "good" : "bad" }, say(own.is_converged ? "verdict.yes" : "verdict.no")),
    ...[own.last_median, own.median_threshold, own.last_sd, own.first_sd_mean].map((v) => number(real(v))),
  ]);
  const plots = DATA.convergence.map((own) =>
    panel(say(own.is_converged ? "convergence.yes" : "convergence.no", { loss: say(`loss.${own.loss}`) }), "", (host) => drawConvergence(host, own)));
  return el("div", {}, el("p", { class: "note" }, `${say("convergence.caption")} ${say("convergence.median")}`),
    el("div", { class: "grid" }, plots), table(heads, rows, say("convergence.caption"), 2));
}

// ---------------------------------------------------------------------------------------------------------------- cloud

const selectedFront = () => (DATA.fronts || []).find((f) => f.candidate === chosen);
const isModel = (candidate) => MODELS.some((m) => m.candidate === candidate);

function cloudScales(c) {
  const kept = (DATA.fronts || []).map((f) => [real(f.losses.nrmse ?? null), real(f.losses.decomp_rssd ?? null)]);
  const xs = unpack(DATA.cloud.nrmse);
  const high = [0, 1].map((i) => Math.max(DATA.cloud.limits[i], 1.05 * largest(kept.map((k) => k[i]))) || 1);
  const low = xs.length ? smallest(Array.from(xs), high[0]) * 0.97 : 0;
  return [scale(low, high[0], c.x0, c.x1), scale(-0.02 * high[1], high[1], c.y0, c.y1)];
}

const VIRIDIS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
function shade(share) {
  const at = clip(1 - share, 0, 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return mix(tone(VIRIDIS[i]), tone(VIRIDIS[i + 1]), at - i);
}

// Thousands of points: a bitmap below the SVG that has axes, fronts and everything one can point at.
function paintCloud(host, c, x, y) {
  const nrmse = unpack(DATA.cloud.nrmse), rssd = unpack(DATA.cloud.decomp_rssd), place = unpack(DATA.cloud.iteration);
  const last = largest(Array.from(place), 1), zoom = 2;
  const hues = Array.from({ length: 65 }, (_, i) => shade(i / 64));
  const canvas = el("canvas", { width: c.width * zoom, height: c.height * zoom });
  const brush = canvas.getContext("2d");
  brush.scale(zoom, zoom);
  brush.globalAlpha = 0.55;
  for (let i = 0; i < nrmse.length; i++) {
    if (nrmse[i] > x.high || rssd[i] > y.high) continue;
    brush.fillStyle = hues[Math.round((64 * place[i]) / last)];
    brush.beginPath();
    brush.arc(x(nrmse[i]), y(rssd[i]), 2, 0, 2 * Math.PI);
    brush.fill();
  }
  c.frame.append(mark("image", { href: canvas.toDataURL(), x: 0, y: 0, width: c.width, height: c.height }));
  return { nrmse, rssd };
}

function drawCloud(host) {
  const c = chart(host, say("pareto.title"), clip(host.clientWidth * 0.6, 300, 480), { top: 24, bottom: 44 });
  const [x, y] = cloudScales(c);
  c.frame.setAttribute("role", "group");
  xAxis(c, x, tick, say("cloud.x"));
  yAxis(c, y);
  add(c, "text", { x: 4, y: 10, class: "title" }, say("cloud.y"));
  const points = paintCloud(host, c, x, y);
  const layer = add(c, "rect", { x: c.x0, y: c.y1, width: c.x1 - c.x0, height: c.y0 - c.y1, class: "layer" });
  layer.addEventListener("pointermove", (event) => nearest(event, c, x, y, points));
  layer.addEventListener("pointerleave", hideTip);
  drawFronts(c, x, y);
}

function nearest(event, c, x, y, { nrmse, rssd }) {
  const box = c.frame.getBoundingClientRect();
  const px = (event.clientX - box.x) * (c.width / box.width), py = (event.clientY - box.y) * (c.width / box.width);
  let best = -1, least = 100;
  for (let i = 0; i < nrmse.length; i++) {
    const distance = (x(nrmse[i]) - px) ** 2 + (y(rssd[i]) - py) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  if (best < 0) return hideTip();
  const name = `${unpack(DATA.cloud.trial)[best]}_${unpack(DATA.cloud.iteration)[best]}`;
  showTip([say("cloud.candidate", { candidate: name }), `${say("loss.nrmse")} ${number(nrmse[best])}`,
    `${say("loss.decomp_rssd")} ${number(rssd[best])}`], event.clientX, event.clientY);
}

// The fronts are one stop of the tab key; arrows go along them, Enter chooses.
function drawFronts(c, x, y) {
  const kept = (DATA.fronts || []).filter((f) => "nrmse" in f.losses)
    .sort((a, b) => isModel(a.candidate) - isModel(b.candidate) || real(a.losses.nrmse) - real(b.losses.nrmse));
  const first = kept.filter((f) => f.front === 1).sort((a, b) => real(a.losses.nrmse) - real(b.losses.nrmse));
  const fx = first.map((f) => x(real(f.losses.nrmse))), fy = first.map((f) => y(real(f.losses.decomp_rssd)));
  // Stairs: between two candidates of a front nothing better is known than the one before.
  add(c, "path", { d: path(fx.flatMap((v, i) => (i ? [v, v] : [v])), fy.flatMap((v, i) => (i ? [fy[i - 1], v] : [v]))), class: "front" });
  const nodes = kept.map((front) => {
    const cx = x(real(front.losses.nrmse)), cy = y(real(front.losses.decomp_rssd)), model = isModel(front.candidate);
    const node = add(c, "g", {
      class: `candidate${model ? " model" : ""}${front.candidate === chosen ? " chosen" : ""}`, role: "button",
      tabindex: -1, "data-candidate": front.candidate,
      "aria-label": [say(model ? "model.title" : "cloud.candidate", { candidate: front.candidate }), ...losses(front.losses)].join(", "),
    }, mark("circle", { cx, cy, r: 11, class: "reach" }), mark("circle", { cx, cy, r: model ? 9 : front.front === 1 ? 4 : 3.2, class: front.front === 1 ? "first" : "rest" }));
    if (model) node.append(mark("text", { x: cx, y: cy + 4, "text-anchor": "middle" }, String(front.cluster)));
    tells(node, [say(model ? "model.title" : "cloud.candidate", { candidate: front.candidate }), ...losses(front.losses), say("cloud.open")]);
    node.addEventListener("click", () => choose(front.candidate));
    return node;
  });
  const start = nodes.find((n) => n.dataset.candidate === chosen) || nodes[nodes.length - 1];
  if (start) start.setAttribute("tabindex", 0);
  c.frame.addEventListener("keydown", (event) => walk(event, nodes));
}

function walk(event, nodes) {
  const at = nodes.indexOf(document.activeElement);
  if (at < 0) return;
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(nodes[at].dataset.candidate, true); }
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = nodes[(at + step + nodes.length) % nodes.length];
  nodes[at].setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}

function choose(candidate, keyboard = false) {
  chosen = candidate;
  hideTip();
  render("search");
  render("models");
  const target = document.getElementById("model");
  if (target) {
    target.scrollIntoView({ block: "start" });
    if (keyboard) target.focus({ preventScroll: true });
  }
}

function cloudLegend() {
  const ink = isDark() ? "#e8ebef" : "#1b2430";
  return legend([[tone(VIRIDIS[4]), say("cloud.early"), "dot"], [tone(VIRIDIS[0]), say("cloud.late"), "dot"], [ink, say("cloud.front"), "line"],
    [ink, say("cloud.kept"), "ring"], [isDark() ? "#f08a82" : "#b3261e", say("cloud.selected"), "dot"]]);
}

// ------------------------------------------------------------------------------------------------------------- clusters

function clustersPart() {
  const winners = MODELS.filter((m) => (DATA.fronts || []).some((f) => f.candidate === m.candidate));
  if (!DATA.fronts || !winners.length) return missing(say("missing.clusters"));
  const rows = winners.slice().sort((a, b) => a.cluster - b.cluster).map((model) => {
    const front = DATA.fronts.find((f) => f.candidate === model.candidate);
    return [String(model.cluster), el("button", { type: "button", class: "link", onclick: () => choose(model.candidate) }, model.candidate),
      count(front.size), number(real(model.error_score)), number(real(model.losses.nrmse)), number(real(model.losses.decomp_rssd))];
  });
  const heads = ["cluster", "winner", "size", "error_score"].map((h) => say(`head.${h}`)).concat(say("loss.nrmse"), say("loss.decomp_rssd"));
  return el("div", {}, el("p", { class: "note" }, say("clusters.lead")), table(heads, rows, say("clusters.title"), 2), clusterPlots(winners));
}

// More channels or clusters than these would be a wall of dots.
const MOST_ROWS = 16, MOST_CLUSTERS = 9;

function clusterPlots(winners) {
  if (P > MOST_ROWS || winners.length > MOST_CLUSTERS) return null;
  const ordered = winners.slice().sort((a, b) => a.cluster - b.cluster);
  return el("div", { class: "grid" }, ordered.map((model) => {
    const own = DATA.fronts.filter((f) => f.cluster === model.cluster && f[RUN.metric]);
    const title = say("clusters.plot", { cluster: model.cluster, metric: metric(), n: count(own.length) });
    return panel(title, say("clusters.plot.under"), (host) => drawCluster(host, model, own, title));
  }));
}

function drawCluster(host, model, own, title) {
  const row = 20, c = chart(host, title, P * row + 34, { bottom: 24 });
  const room = nameRoom(c.width);
  c.x0 = room + 12;
  const x = scale(smallest(own.flatMap((f) => reals(f[RUN.metric]))), efficiencyLimit(), c.x0, c.x1);
  xAxis(c, x);
  CHANNELS.forEach((channel, p) => {
    const y = c.y1 + (p + 0.5) * row, colour = tone(channel.colour);
    rowName(c, y, channel.name, room);
    for (const front of own) {
      const value = real(front[RUN.metric][p]);
      if (value <= x.high) add(c, "circle", { cx: x(value), cy: y, r: 3, fill: colour, class: "pale-dot" });
    }
    const value = real(model.efficiencies[p]);
    if (value <= x.high) tells(add(c, "circle", { cx: x(value), cy: y, r: 5.5, fill: colour, class: "dot" }), [channel.name, `${metric()} ${number(value)}`]);
  });
}

function searchView() {
  const counts = { n: count(DATA.cloud ? DATA.cloud.n : 0), trials: RUN.trials, kept: (DATA.fronts || []).length, selected: MODELS.length };
  const nodes = [el("h2", {}, say("search.title")), el("p", { class: "lead" }, say("search.lead", counts)),
    el("h3", {}, say("convergence.title")), convergencePart(), el("h3", {}, say("pareto.title"))];
  if (!DATA.fronts) nodes.push(missing(say("missing.pareto")));
  if (DATA.cloud) {
    const thinned = DATA.cloud.step > 1 ? ` ${say("cloud.thinned", { n: count(DATA.cloud.step) })}` : "";
    const told = say("pareto.caption", { hidden: count(DATA.cloud.hidden) }) + thinned;
    nodes.push(el("p", { class: "note" }, `${told} ${say("cloud.help")}`), el("figure", { class: "panel wide" }, plot(drawCloud), cloudLegend()));
  }
  return [...nodes, el("h3", {}, say("clusters.title")), clustersPart()];
}

function plot(build) {
  const host = el("div", { class: "plot" });
  later.push(() => build(host));
  return host;
}

function overviewView() {
  if (!MODELS.length) return [];
  const level = percent(RUN.level, 0);
  const told = say(RUN.has_intervals ? "answer.overview" : "answer.overview.none", { metric: metric(), level });
  return [el("figure", { class: "panel wide" }, plot(drawEfficiencies), el("figcaption", {}, el("p", {}, told)))];
}
