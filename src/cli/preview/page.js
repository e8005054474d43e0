"use strict";
// Shows a run, and steers it. What there is to see comes as events; a changed picture is fetched when this page is seen.

const $ = id => document.getElementById(id);
let now = null, costs = [], about = null, shown = 0, lost = false;
const fields = {};

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};
const duration = seconds => seconds < 9.95 ? seconds.toFixed(seconds < 0.995 ? 2 : 1) + " s" : seconds < 59.5 ? Math.round(seconds) + " s"
  : seconds < 3599.5 ? Math.floor(Math.round(seconds) / 60) + " min " + Math.round(seconds) % 60 + " s"
  : Math.floor(Math.round(seconds / 60) / 60) + " h " + Math.round(seconds / 60) % 60 + " min";
const amount = value => value === 0 || value >= 1e-3 && value < 1e5 ? String(short(value)) : value.toExponential(value.toExponential().length > 5 ? 2 : 0);
const short = value => Number(value.toPrecision(3));

async function order(it) {
  try {
    const answer = await fetch("order", {method: "POST", body: JSON.stringify(it)});
    if (!answer.ok) $("notice").textContent = "The run does not take this now.";
  } catch { away(); }
}

// ---- the picture

const view = $("view"), painting = $("painting"), content = $("content");
let scale = 1, left = 0, upper = 0, fitted = true;

function place() {
  const width = painting.naturalWidth, height = painting.naturalHeight;
  if (!width) return;
  if (fitted) {
    // Where pixels are seen one by one, they are all of one size.
    const fit = Math.min(view.clientWidth / width, view.clientHeight / height);
    scale = fit >= 2 ? Math.floor(fit) : fit;
    left = (view.clientWidth - width * scale) / 2;
    upper = (view.clientHeight - height * scale) / 2;
  }
  for (const image of [painting, content]) {
    image.style.transform = `translate(${left}px, ${upper}px) scale(${scale})`;
    image.classList.toggle("near", scale >= 2);
  }
  const share = content.hidden ? 0 : Number($("slider").value);
  content.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  const edge = $("edge");
  edge.hidden = share === 0 || share === 100;
  Object.assign(edge.style, {left: left + width * scale * share / 100 - 1 + "px", top: upper + "px", height: height * scale + "px"});
  $("zoom").textContent = Math.round(scale * 100) + " %";
}
function zoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const next = Math.min(32, Math.max(0.02, scale * factor));
  left = x - (x - left) * next / scale;
  upper = y - (y - upper) * next / scale;
  scale = next;
  fitted = false;
  place();
}
function move(x, y) { left += x; upper += y; fitted = false; place(); }
function fit() { fitted = true; place(); }
const pixels = () => zoom(1 / scale);
$("in").onclick = () => zoom(1.5);
$("out").onclick = () => zoom(1 / 1.5);
$("fit").onclick = fit;
$("pixels").onclick = pixels;
$("slider").oninput = place;
view.addEventListener("wheel", event => {
  event.preventDefault();
  const box = view.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, {passive: false});
const fingers = new Map();
view.addEventListener("pointerdown", event => {
  fingers.set(event.pointerId, event);
  view.setPointerCapture(event.pointerId);
});
view.addEventListener("pointermove", event => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const other = [...fingers.values()].find(finger => finger.pointerId !== event.pointerId);
  if (other) {
    const box = view.getBoundingClientRect(), apart = it => Math.hypot(it.clientX - other.clientX, it.clientY - other.clientY);
    zoom(apart(event) / Math.max(1, apart(last)), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
  } else move(event.clientX - last.clientX, event.clientY - last.clientY);
  fingers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, event => fingers.delete(event.pointerId));
view.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {"+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": fit, "1": pixels,
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40)}[event.key];
  if (act) { event.preventDefault(); act(); }
});
new ResizeObserver(() => { place(); draw(); }).observe(view);

// One picture is fetched at a time, and the run makes another when this one was fetched.
let fetching = false;
async function look() {
  if (!now || !now.picture || now.picture[0] === shown || fetching || document.hidden && !now.ended) return;
  fetching = true;
  const number = now.picture[0];
  try {
    const answer = await fetch("painting");
    if (answer.ok) {
      const url = URL.createObjectURL(await answer.blob()), next = new Image();
      next.src = url;
      await next.decode();
      const old = painting.src;
      painting.src = url;
      await painting.decode().catch(() => {});
      painting.hidden = false;
      $("none").hidden = true;
      place();
      if (old) URL.revokeObjectURL(old);
    }
    shown = number;
  } catch { /* The stream says whether the run is there. */ }
  fetching = false;
  if (shown === number) look();
}
document.addEventListener("visibilitychange", look);

// ---- costs

// Neighbours in the list are far apart in colour, and each group has lines of its own.
const colour = index => index ? `hsl(${(index * 137.5 + 5) % 360} 55% var(--curve))` : "currentColor";
const LINES = [["solid", ""], ["dashed", "6 3"], ["dotted", "1.5 2.5"]];
function line(name) {
  const groups = [...new Set(now.names.slice(1).map(name => name.split(".")[0]))];
  // Most terms are of a style, and solid.
  groups.sort((a, b) => b.startsWith("style") - a.startsWith("style"));
  return LINES[Math.max(0, groups.indexOf(name.split(".")[0])) % LINES.length];
}
function draw() {
  const chart = $("chart"), wide = chart.clientWidth || 300, high = chart.clientHeight || 168, before = 44, below = 18;
  const values = costs.flatMap(([, row]) => row).filter(value => value > 0);
  chart.replaceChildren();
  chart.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  const add = (name, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    element.textContent = text;
    chart.append(element);
    return element;
  };
  if (!values.length) return void add("text", {x: 0, y: 14}, "They come with the first step.");
  const least = values.reduce((a, b) => Math.min(a, b)), most = values.reduce((a, b) => Math.max(a, b));
  const bottom = Math.log10(least) - 0.05, top = Math.max(Math.log10(most) + 0.05, bottom + 0.5);
  const first = costs[0][0], last = Math.max(costs[costs.length - 1][0], first + 1);
  const x = step => before + (wide - before - 2) * (step - first) / (last - first);
  const y = value => 6 + (high - below - 6) * (top - Math.log10(value)) / (top - bottom);
  // Powers of ten, with what is between them where they are few.
  const between = top - bottom < 2 ? [1, 2, 5] : [1], stride = Math.ceil((top - bottom) / 6);
  for (let power = Math.floor(bottom); power <= top; power += stride) {
    for (const digit of between) {
      const value = digit * 10 ** power, log = Math.log10(value);
      if (log < bottom || log > top) continue;
      add("line", {x1: before, x2: wide, y1: y(value), y2: y(value)});
      add("text", {x: before - 5, y: y(value) + 4, "text-anchor": "end"}, amount(value));
    }
  }
  add("text", {x: before, y: high - 3}, "step " + first);
  add("text", {x: wide, y: high - 3, "text-anchor": "end"}, String(last));
  const thin = Math.ceil(costs.length / 600), seen = costs.filter((_, index) => index % thin === 0 || index === costs.length - 1);
  // The total is drawn last, over the others.
  const order = now.names.map((_, index) => index).reverse();
  for (const index of order) {
    const points = seen.filter(([, row]) => row[index] > 0).map(([step, row]) => x(step).toFixed(1) + "," + y(row[index]).toFixed(1));
    const curve = add("polyline", {points: points.join(" "), class: index ? "" : "total"});
    curve.style.stroke = colour(index);
    curve.style.strokeDasharray = line(now.names[index])[1];
  }
  const newest = costs[costs.length - 1][1];
  $("names").replaceChildren(...now.names.map((name, index) => {
    const mark = make("i");
    Object.assign(mark.style, {borderTopColor: colour(index), borderTopStyle: line(name)[0]});
    return make("li", {}, mark, name, make("data", {value: newest[index], textContent: amount(newest[index])}));
  }));
}

// ---- options

// A number with a slider: from `low` to `high`, or from a sixteenth to sixteen times what it was.
function number(name, start, whole, range, send) {
  const field = make("input", {type: "number", step: whole ? 1 : "any", min: 0});
  field.setAttribute("aria-label", name);
  const parts = [field];
  let slide = null, from = value => value, to = value => value;
  if (range || !whole && start > 0) {
    if (!range) { from = value => start * 2 ** value; to = value => Math.log2(value / start); }
    const [low, high] = range || [-4, 4];
    slide = make("input", {type: "range", min: low, max: high, step: range ? 0.01 : 0.05});
    slide.setAttribute("aria-label", name + ", slider");
    slide.oninput = () => { field.value = short(from(Number(slide.value))); };
    slide.onchange = () => send(Number(field.value));
    parts.push(slide);
  }
  field.onchange = () => send(field.value === "" ? null : Number(field.value));
  const show = value => {
    field.value = value === null ? "" : Number(value.toPrecision(6));
    if (slide && value > 0 || slide && range) slide.value = to(value);
  };
  return {parts, show};
}

function option(entry, start) {
  const send = value => order({do: "set", name: entry.name, value});
  const box = make("div", {className: "option"});
  let show;
  if (entry.kind === "layers") {
    // Its layers stay, and each weight has a slider.
    let layers = start;
    const rows = start.map((layer, index) => {
      const row = number(`${entry.flag}, ${layer.name}`, layer.weight, false, null, weight => {
        if (weight !== null) send(layers.map((it, at) => at === index ? {...it, weight} : it));
      });
      const [field, ...slide] = row.parts;
      box.append(make("div", {className: "layer"}, make("label", {}, layer.name, field), ...slide));
      return row;
    });
    box.prepend(make("span", {textContent: entry.flag}));
    show = value => { layers = value; rows.forEach((row, index) => row.show(value[index].weight)); };
  } else if (entry.kind === "switch") {
    const field = make("input", {type: "checkbox", onchange: () => send(field.checked)});
    box.append(make("label", {}, entry.flag, field));
    show = value => { field.checked = value; };
  } else if (entry.kind.words) {
    const field = make("select", {onchange: () => send(field.value)}, ...entry.kind.words.map(word => new Option(word)));
    box.append(make("label", {}, entry.flag, field));
    show = value => { field.value = value; };
  } else {
    const row = number(entry.flag, start, entry.kind === "whole", Array.isArray(entry.kind) ? entry.kind : null, send);
    const [field, ...slide] = row.parts;
    box.append(make("label", {}, entry.flag, field), ...slide);
    show = row.show;
  }
  let last = null;
  fields[entry.name] = value => {
    // What is being changed is left alone until the run has another value.
    const text = JSON.stringify(value);
    if (text === last && box.contains(document.activeElement)) return;
    last = text;
    show(value);
  };
  box.append(make("p", {className: "quiet", id: "what-" + entry.name, textContent: entry.what}));
  for (const field of box.querySelectorAll("input, select")) field.setAttribute("aria-describedby", "what-" + entry.name);
  $("options").append(box);
}

// ---- the run

$("pause").onclick = () => order({do: now.paused ? "go on" : "pause"});
$("save").onclick = () => order({do: "save"});
$("stop").onclick = () => order({do: "stop"});

function away() {
  if (now && now.ended) return;
  lost = true;
  $("where").textContent = "The run does not answer";
  able(false);
}

function able(is) {
  for (const id of ["pause", "save", "stop"]) $(id).disabled = !is;
  for (const field of $("options").querySelectorAll("input, select")) field.disabled = !is;
}

function show(next) {
  const same = now && String(now.names) === String(next.names);
  if (!same) costs = [];
  now = next;
  lost = false;
  const known = costs.length ? costs[costs.length - 1][0] : -1;
  const fresh = now.costs.filter(([step]) => step > known);
  costs.push(...fresh);
  const over = Boolean(now.ended), share = now.steps ? Math.floor(100 * now.step / now.steps) + " %" : "…";
  document.title = (over ? "Ended" : now.paused ? "Paused" : share) + " – impasto";
  $("where").textContent = over ? now.ended : now.paused ? `Paused after step ${now.step} of ${now.steps}` : `Step ${now.step} of ${now.steps}`;
  $("progress").max = Math.max(1, now.steps);
  $("progress").value = now.step;
  const facts = {
    "Size": now.size.join("×") + (String(now.size) === String(about.size) ? "" : ` of ${about.size.join("×")}`),
    "Picture": !now.picture ? "…" : now.picture[1] ? "after step " + now.picture[1] : "the start",
    "A step": now.lap ? duration(now.lap) : "…",
    "Time left": over ? "none" : now.left === null ? "…" : duration(now.left),
    "Memory": Math.ceil(now.memory / 1048576) + " MiB on the device",
    "Adapter": about.adapter,
    "Painting": about.painting,
  };
  $("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [make("dt", {textContent: name}), make("dd", {textContent: value})]));
  $("pause").textContent = now.paused ? "Go on" : "Pause";
  $("notice").textContent = now.asked && !over ? `The run ${now.asked}.` : now.notice || "";
  for (const entry of about.fields) {
    if (!fields[entry.name]) option(entry, now.values[entry.name]);
    fields[entry.name](now.values[entry.name]);
  }
  able(!over);
  if (fresh.length || !same) draw();
  look();
}

// A browser opens six connections to one address, so its pages share a stream: one of them has it, and passes it on. The
// next page takes it over when that one is closed.
const others = "BroadcastChannel" in window ? new BroadcastChannel("impasto" + location.pathname) : null;
function follow(done) {
  const events = new EventSource("events");
  events.onmessage = event => {
    const next = JSON.parse(event.data);
    if (others) others.postMessage(next);
    show(next);
    if (next.ended) { events.close(); done(); }
  };
  events.onerror = () => {
    if (others && !(now && now.ended)) others.postMessage(null);
    away();
  };
}
async function begin() {
  if (others) others.onmessage = event => { if (!event.data) away(); else if (about) show(event.data); };
  try {
    const whole = await (await fetch("state")).json();
    about = whole.about;
    if (whole.content) {
      content.onload = () => { content.hidden = false; $("compare").hidden = false; place(); };
      content.src = "content";
    }
    show(whole.now);
  } catch { return away(); }
  if (others && navigator.locks) navigator.locks.request("impasto" + location.pathname, () => new Promise(follow));
  else follow(() => {});
}
begin();
