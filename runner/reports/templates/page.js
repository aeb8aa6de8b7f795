// Puts the views into their sections, and again where language, paper or width change.
const VIEWS = { overview: overviewView, search: searchView, models: modelsView, desk: deskView };

function render(name) {
  const section = document.getElementById(name);
  if (!section) return;
  try {
    section.replaceChildren(...VIEWS[name]());
    drawLater();
  } catch (error) {
    later = [];
    console.error(error);
    section.replaceChildren(missing(say("missing.part", { reason: error.message })));
  }
}

function speak(to) {
  language = to;
  document.documentElement.lang = to;
  for (const node of document.querySelectorAll("[data-language]")) node.hidden = node.dataset.language !== to;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  document.title = say("page.title", { experiment: RUN.experiment });
  renderAll();
}

const renderAll = () => Object.keys(VIEWS).forEach(render);

function languageSwitch() {
  const select = document.getElementById("language");
  for (const [tag, { name }] of Object.entries(DATA.formats)) select.append(el("option", { value: tag, lang: tag, selected: tag === language }, name));
  select.addEventListener("change", () => speak(select.value));
}

// Sections are gone to by script: inside a sandboxed frame an address with # may lead away.
function links() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    const target = link && document.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)));
    if (!target) return;
    event.preventDefault();
    target.scrollIntoView({ block: "start" });
    target.setAttribute("tabindex", -1);
    target.focus({ preventScroll: true });
  });
}

function watchWidth() {
  const main = document.querySelector("main");
  let width = main.clientWidth, waiting = 0;
  new ResizeObserver(() => {
    if (printing || Math.abs(main.clientWidth - width) < 2) return;
    width = main.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(renderAll, 120);
  }).observe(main);
}

document.body.append(tip);
document.documentElement.classList.add("scripted");
darkness.addEventListener("change", renderAll);
window.addEventListener("beforeprint", () => { printing = true; if (darkness.matches) renderAll(); });
window.addEventListener("afterprint", () => { printing = false; if (darkness.matches) renderAll(); });
window.addEventListener("scroll", hideTip, { passive: true });
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
languageSwitch();
links();
speak(language);
watchWidth();
// For those who would rather type: the desk's question, by channel or in their order.
window.desk = {
  ask: (spends, { ground = 0, candidate = null } = {}) =>
    ask(ground, candidate === null ? DESK.models.map((_, m) => m) : [DESK.models.findIndex((m) => m.candidate === candidate)], Float64Array.from(spends)),
  spread, state, number, amount, total, percent, signedPercent, tick, day,
};
