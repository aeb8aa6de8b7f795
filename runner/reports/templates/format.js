// Words, numbers and dates of the language that is spoken: the twin of words.py and of the numbers of theme.py.
const DATA = JSON.parse(document.getElementById("data").textContent);
const RUN = DATA.run;
let language = DATA.language;

const format = () => DATA.formats[language];

// A sentence that ends in an abbreviation, 3 Mio., has one full stop.
function say(key, values = {}) {
  let text = DATA.words[key][language].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  for (const [, unit] of format().units) if (unit.endsWith(".")) text = text.replaceAll(`${unit}.`, unit);
  return text;
}

const real = (value) => (value === null ? NaN : value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);
const reals = (values) => values.map(real);

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array };
function unpack(packed) {
  const text = atob(packed.bytes);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new KINDS[packed.kind](bytes.buffer);
}

const localised = (digits) =>
  digits.replace(/[.,]/g, (mark) => (mark === "," ? format().group : format().decimal));
const grouped = (digits) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",");

function parts(value, digits) {
  if (value === null || Number.isNaN(value)) return ["–", ""];
  const sign = value < 0 ? "−" : "";
  if (!Number.isFinite(value)) return [sign + "∞", ""];
  const rounded = Number(Math.abs(value).toExponential(digits - 1));
  for (const [limit, unit] of format().units) {
    if (rounded >= limit) return [sign + localised(short(rounded / limit, digits)), unit];
  }
  const plain = rounded >= 0.001 || rounded === 0;
  const tiny = () => rounded.toExponential(digits - 1).replace(/e-(\d)$/, "e-0$1");
  return [sign + localised(plain ? short(rounded, digits) : tiny()), ""];
}

function short(value, digits) {
  if (value === 0) return "0";
  return value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(value))));
}

const number = (value, digits = 3) => parts(value, digits).join("");

function tick(value) {
  if (value === 0) return "0";
  const [digits, unit] = parts(value, 3);
  const point = format().decimal;
  return (digits.includes(point) && !digits.includes("e") ? digits.replace(/0+$/, "") : digits).replace(
    new RegExp(`\\${point}$`), "") + unit;
}

function amount(value) {
  if (!Number.isFinite(value) || Math.abs(value) < 100) return number(value);
  return (value < 0 ? "−" : "") + localised(grouped(Math.abs(value).toFixed(0)));
}

const count = (value) => localised(grouped(String(value)));
const total = (value) => (Math.abs(value) < 1e6 ? amount(value) : number(value, 4));

function percent(value, decimals = 1) {
  if (!Number.isFinite(value)) return "–";
  return localised((value * 100).toFixed(decimals)).replace("-", "−") + format().percent;
}

function signedPercent(value, decimals = 1) {
  if (!Number.isFinite(value)) return "–";
  const text = (value * 100).toFixed(decimals);
  const sign = Number(text) === 0 ? "" : value < 0 ? "−" : "+";
  return sign + localised(text.replace("-", "")) + format().percent;
}

const signed = (value, how) => (value > 0 ? "+" : "") + how(value);

function day(iso) {
  const [y, m, d] = String(iso).split("-");
  return d ? format().date.replace("{y}", y).replace("{m}", m).replace("{d}", d) : String(iso);
}

const period = (n) => say(`${RUN.frequency}.${n === 1 ? "one" : "many"}`);
const range = (low, high, how = number) => `${how(low)} – ${how(high)}`;
const metric = () => say(RUN.metric);
