// The dashboard: reads the stream of /api/live and draws it. Text goes into the page as text, never as markup.
"use strict";

const $ = (selector, from = document) => from.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";
const STALE = 3500; // ms without news
const KEPT = 500, ROWS = 100;

const state = { whole: null, history: [], series: new Map(), tail: [], sort: ["requests", -1], held: false, open: null };
let token = sessionStorage.getItem("apigw-token") || "";
let heard = 0, again = 500, ended = false, asking = false;

// -- small tools ------------------------------------------------------------------------------------------------------

function make(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value; else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function draw(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function say(node, text) { if (node.textContent !== text) node.textContent = text; }

function number(value) {
  if (value >= 1e6) return (value / 1e6).toFixed(1) + "M";
  if (value >= 1e4) return (value / 1e3).toFixed(1) + "k";
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
}

function ms(value) { return value >= 1e4 ? number(value) : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2); }

function span(seconds) {
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

// -- the stream -------------------------------------------------------------------------------------------------------

async function listen() {
  try {
    const answer = await fetch("/api/live", { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store" });
    if (answer.status === 401) { await askToken(); setTimeout(listen, 0); return; }
    if (!answer.ok) throw new Error(`the gateway answers ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let buffer = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      buffer += value;
      let end;
      while ((end = buffer.indexOf("\n\n")) >= 0) {
        take(buffer.slice(0, end));
        buffer = buffer.slice(end + 2);
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) console.warn(String(error));
  }
  link();
  setTimeout(listen, again);
  again = Math.min(again * 1.6, 4000);
}

function take(block) {
  let name = "message", data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (name === "end") { ended = true; link(); return; }
  if (name !== "whole" && name !== "tick") return;
  const news = JSON.parse(data);
  heard = performance.now();
  again = 500;
  ended = false;
  if (name === "whole") {
    const restarted = state.whole !== null && state.whole.instance.id !== news.instance.id;
    state.whole = news;
    state.history = news.history;
    state.series = new Map(news.services.map(one => [one.name, one.series]));
    // What an earlier gateway answered stays to be read.
    const known = restarted ? state.tail : [];
    state.tail = [...news.tail.reverse(), ...known].slice(0, KEPT);
    if (restarted) state.open = null;
    views();
  } else {
    state.history.push(news.point);
    if (state.history.length > 300) state.history.shift();
    for (const one of news.services) {
      const series = state.series.get(one.name) || [];
      series.push(...one.series);
      state.series.set(one.name, series.slice(-120));
    }
    Object.assign(state.whole, { time: news.time, services: news.services, routes: news.routes, refusals: news.refusals, active: news.active });
    state.tail = [...news.tail.reverse(), ...state.tail].slice(0, KEPT);
  }
  show();
}

function link() {
  const node = $("#link"), quiet = performance.now() - heard;
  const away = !heard || ended || quiet > STALE;
  document.body.classList.toggle("stale", heard > 0 && away);
  if (!away) { node.dataset.state = "live"; say($("#link-text"), "live"); return; }
  node.dataset.state = heard ? "stale" : "away";
  say($("#link-text"), heard ? `stale for ${span(quiet / 1000)}, connecting` : "connecting");
}
setInterval(link, 500);

// -- drawing ----------------------------------------------------------------------------------------------------------

let drawing = false;
function show() {
  if (drawing) return;
  drawing = true;
  const next = document.hidden ? f => setTimeout(f, 0) : requestAnimationFrame;
  next(() => { drawing = false; link(); glance(); services(); routes(); refusals(); if (!state.held) tail(); });
}

function spark(svg, values, from = 0) {
  const count = Math.max(values.length, 2), high = Math.max(...values, from) || 1;
  svg.setAttribute("viewBox", `0 0 ${count - 1} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  const points = values.map((value, index) => `${index + count - values.length},${(97 - value / high * 94).toFixed(1)}`).join(" ");
  if (!svg.firstChild) svg.append(draw("polygon", { class: "spark-fill" }), draw("polyline", { class: "spark" }));
  svg.children[0].setAttribute("points", values.length ? `${count - values.length},100 ${points} ${count - 1},100` : "");
  svg.children[1].setAttribute("points", points);
}

function figure(id, value, values, mood = "", from = 0) {
  const node = $("#" + id);
  say($("b", node), value);
  node.classList.toggle("bad", mood === "bad");
  node.classList.toggle("warn", mood === "warn");
  spark($("svg", node), values, from);
}

const RECENT = 5; // seconds that the big numbers are about: one alone jumps
function glance() {
  const history = state.history, last = history.slice(-RECENT);
  const sum = index => last.reduce((total, point) => total + point[index], 0);
  const requests = sum(0), failed = sum(1), ratio = requests ? failed / requests * 100 : 0;
  const busy = last.filter(point => point[0]);
  const mean = index => busy.length ? busy.reduce((total, point) => total + point[index] * point[0], 0) / requests : 0;
  const shown = history.slice(-120);
  figure("rate", number(requests / Math.max(last.length, 1)), shown.map(point => point[0]), "", 1);
  figure("errors", ratio && ratio < .01 ? "<0.01" : number(ratio), shown.map(point => point[0] ? point[1] / point[0] * 100 : 0),
    ratio >= 5 ? "bad" : ratio >= 1 ? "warn" : "", 5);
  figure("p50", ms(mean(2)), shown.map(point => point[2]), "", 1);
  figure("p95", ms(mean(3)), shown.map(point => point[3]), "", 1);
  figure("p99", ms(mean(4)), shown.map(point => point[4]), "", 1);
  figure("active", number(state.whole.active), shown.map(point => point[5]), "", 1);
  traffic(history);
  const instance = state.whole.instance;
  say($("#facts"), `${instance.version}, up ${span(state.whole.time - instance.started)}`);
  document.title = `${number(requests / Math.max(last.length, 1))}/s, apigw`;
}

function traffic(history) {
  const svg = $("#traffic svg"), high = Math.max(...history.map(point => point[0]), 1);
  const slow = Math.max(...history.map(point => point[3]), 1);
  const width = Math.max(history.length, 60), first = width - history.length;
  svg.setAttribute("viewBox", `0 0 ${width} 100`);
  say($("#traffic-from"), `${span(width)} ago`);
  let ok = "", bad = "", line = "";
  history.forEach(([requests, failed, , p95], index) => {
    const x = first + index, top = 100 - requests / high * 60, low = 100 - failed / high * 60;
    if (requests > failed) ok += `M${x} ${low.toFixed(1)}V${top.toFixed(1)}h.8V${low.toFixed(1)}z`;
    if (failed) bad += `M${x} 100V${low.toFixed(1)}h.8V100z`;
    line += `${index ? "L" : "M"}${x + .4} ${(34 - p95 / slow * 30).toFixed(1)}`;
  });
  if (!svg.firstChild) svg.append(draw("path", { class: "ok" }), draw("path", { class: "bad" }), draw("path", { class: "p95" }));
  [ok, bad, line].forEach((path, index) => svg.children[index].setAttribute("d", path));
  say($("#traffic-peak"), `peaks: ${number(high)} requests/s, p95 ${ms(slow)} ms`);
}

const cards = new Map();
function services() {
  const box = $("#services");
  const there = new Set();
  for (const service of state.whole.services) {
    there.add(service.name);
    let card = cards.get(service.name);
    if (!card) {
      card = { node: make("article", { className: "panel service" }), peers: new Map() };
      card.status = make("span");
      card.load = make("span", { className: "load" });
      card.svg = draw("svg", { role: "img", "aria-label": `p95 of ${service.name} over two minutes` });
      card.list = make("ul", { className: "peers" });
      card.node.append(make("header", {}, make("h3", { textContent: service.name }), card.status, card.load), card.svg, card.list);
      cards.set(service.name, card);
      box.append(card.node);
    }
    fill(card, service);
  }
  for (const [name, card] of cards) if (!there.has(name)) { card.node.remove(); cards.delete(name); }
}

function fill(card, service) {
  const series = state.series.get(service.name) || [], last = series.slice(-RECENT);
  const requests = last.reduce((total, point) => total + point[0], 0) / Math.max(last.length, 1);
  const p95 = last.reduce((most, point) => Math.max(most, point[2]), 0);
  card.status.className = `state ${service.status}`;
  say(card.status, service.status);
  say(card.load, `${number(requests)}/s, p95 ${ms(p95)} ms${service.waiting ? `, ${service.waiting} waiting` : ""}`);
  spark(card.svg, series.map(point => point[2]), 1);
  const there = new Set();
  for (const peer of service.peers) {
    there.add(peer.name);
    let row = card.peers.get(peer.name);
    if (!row) {
      row = { name: make("span", { className: "name", title: peer.name }), state: make("span"), counts: make("span", { className: "counts" }) };
      row.svg = draw("svg", { role: "img", preserveAspectRatio: "none", viewBox: "0 0 60 10" });
      row.button = make("button", { type: "button", textContent: "Change" });
      row.button.setAttribute("aria-label", `Change ${peer.name} of ${service.name}`);
      row.button.addEventListener("click", () => changePeer(service.name, row.peer));
      row.node = make("li", {}, row.name, row.state, make("span", { className: "more" }, row.svg, row.counts), row.button);
      card.peers.set(peer.name, row);
      card.list.append(row.node);
    }
    row.peer = peer;
    say(row.name, peer.name + (peer.backup ? " (backup)" : ""));
    const [word, mood] = how(peer);
    row.state.className = `state ${mood}`;
    say(row.state, word);
    row.state.title = peer.reason || "";
    say(row.counts, `${peer.active} active, ${peer.busy + peer.idle} conn.`);
    marks(row.svg, peer.history);
  }
  for (const [name, row] of card.peers) if (!there.has(name)) { row.node.remove(); card.peers.delete(name); }
}

function how(peer) {
  if (peer.drained) return [peer.active ? "draining" : "drained", "drained"];
  if (peer.breaker === "forced_open") return ["held open", "out"];
  if (peer.healthy === false) return ["unhealthy", "out"];
  if (peer.ejected) return ["ejected", "out"];
  if (peer.breaker === "open") return ["breaker open", "out"];
  if (peer.breaker === "half_open") return ["probing", "half"];
  if (peer.breaker === "forced_closed") return ["held closed", "half"];
  return [peer.healthy === null ? "ok" : "healthy", "ok"];
}

function marks(svg, history) {
  if (svg.dataset.history === history) return;
  svg.dataset.history = history;
  const first = 60 - history.length;
  svg.replaceChildren(...[..."oxhd"].map(letter => {
    let path = "";
    for (let index = 0; index < history.length; index++) if (history[index] === letter) path += `M${first + index} 1h.75v8h-.75z`;
    return draw("path", { class: `mark-${letter}`, d: path });
  }));
  const bad = [...history].filter(letter => letter === "x").length;
  svg.setAttribute("aria-label", bad ? `out for ${Math.round(bad / history.length * 100)} % of five minutes` : "never out in five minutes");
}

const routeRows = new Map();
function routes() {
  const [key, way] = state.sort, body = $("#routes tbody");
  const list = [...state.whole.routes].sort((a, b) =>
    (typeof a[key] === "string" ? a[key].localeCompare(b[key]) : a[key] - b[key]) * way || b.total - a.total);
  const seconds = Math.min(state.whole.window, Math.max(state.history.length, 1));
  for (const route of list) {
    let row = routeRows.get(route.name);
    if (!row) {
      row = make("tr", {}, ...Array.from({ length: 8 }, (_, index) => make("td", { className: index > 1 ? "n" : "" })));
      routeRows.set(route.name, row);
    }
    const cells = row.children;
    say(cells[0], route.name === "-" ? "no route" : route.name);
    say(cells[1], route.service || "–");
    [number(route.requests / seconds), number(route.failed), number(route.refused), ms(route.p50), ms(route.p95), number(route.total)]
      .forEach((text, index) => say(cells[index + 2], text));
    cells[3].className = "n " + (route.failed ? "bad" : "zero");
    cells[4].className = "n " + (route.refused ? "warn" : "zero");
    cells[2].className = "n" + (route.requests ? "" : " zero");
  }
  const rows = list.map(route => routeRows.get(route.name));
  if (rows.some((row, index) => body.children[index] !== row) || body.children.length !== rows.length) body.replaceChildren(...rows);
  const select = $("#filters [name=route]");
  for (const name of [...routeRows.keys()]) {
    if (![...select.options].some(option => option.value === name)) select.append(make("option", { value: name, textContent: name === "-" ? "no route" : name }));
  }
}

for (const button of document.querySelectorAll("#routes th button")) {
  button.addEventListener("click", () => {
    const key = button.dataset.sort;
    state.sort = [key, state.sort[0] === key ? -state.sort[1] : key === "name" || key === "service" ? 1 : -1];
    for (const head of document.querySelectorAll("#routes th")) head.removeAttribute("aria-sort");
    button.parentNode.setAttribute("aria-sort", state.sort[1] < 0 ? "descending" : "ascending");
    if (state.whole) routes();
  });
}

function refusals() {
  const rows = state.whole.refusals.window.slice(0, 12).map(one => make("tr", {},
    make("td", { textContent: one.code }), make("td", { textContent: one.route === "-" ? "no route" : one.route }),
    make("td", { className: "n warn", textContent: number(one.requests) })));
  const total = Object.values(state.whole.refusals.total).reduce((all, one) => all + one, 0);
  if (!rows.length) {
    const text = total ? `None in the last minute; ${number(total)} since the start.` : "None since the start.";
    const cell = make("td", { className: "zero", textContent: text });
    cell.setAttribute("colspan", "3");
    rows.push(make("tr", {}, cell));
  }
  $("#refusals tbody").replaceChildren(...rows);
}

// -- the tail ---------------------------------------------------------------------------------------------------------

function wanted(one) {
  const form = $("#filters").elements, status = form.status.value, user = form.user.value.trim();
  return (!form.route.value || one.route === form.route.value)
    && (!status || String(one.status)[0] === status[0])
    && (!user || (one.user || "").includes(user));
}

const requestRows = new Map();
const keyOf = one => `${one.id} ${one.number}`;

function tail() {
  const body = $("#tail tbody"), rows = [], there = new Set();
  const focused = document.activeElement && document.activeElement.closest && document.activeElement.closest("#tail tr");
  for (const one of state.tail.filter(wanted).slice(0, ROWS)) {
    const key = keyOf(one);
    there.add(key);
    let row = requestRows.get(key);
    if (!row) requestRows.set(key, row = requestRow(one, key));
    row.setAttribute("aria-expanded", String(state.open === key));
    rows.push(row);
    if (state.open === key) rows.push(row.details || (row.details = detailsRow(one)));
  }
  for (const key of requestRows.keys()) if (!there.has(key)) requestRows.delete(key);
  let at = body.firstChild;
  const stay = new Set(rows);
  for (const row of [...body.children]) if (!stay.has(row)) { if (at === row) at = row.nextSibling; row.remove(); }
  for (const row of rows) { if (row === at) at = at.nextSibling; else body.insertBefore(row, at); }
  if (focused && document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
  $("#quiet").hidden = rows.length > 0;
  say($("#quiet"), state.tail.length ? "None of the last requests is like that." : "No request yet.");
}

function requestRow(one, key) {
  const status = make("td", {}, make("span", { className: `status s${Math.floor(one.status / 100)}`, textContent: one.status ? String(one.status) : "cut" }));
  if (one.error || one.would_refuse) status.firstChild.append(make("small", { textContent: ` ${one.error || "would be " + one.would_refuse}` }));
  const row = make("tr", { className: "request", tabIndex: 0 },
    make("td", { className: "time", textContent: new Date(one.time * 1000).toLocaleTimeString([], { hour12: false }) }),
    make("td", { className: "what", title: `${one.method} ${one.host}${one.path}` }, make("b", { textContent: one.method }), one.path),
    status, make("td", { className: "n", textContent: ms(one.ms) }),
    make("td", { textContent: one.route === "-" ? "no route" : one.route }),
    make("td", { className: one.user === null ? "soft" : "", textContent: one.user === null ? "guest" : one.user }),
    make("td", { className: "soft", textContent: one.client }));
  const turn = () => { state.open = state.open === key ? null : key; tail(); };
  row.addEventListener("click", turn);
  row.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); turn(); }
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step) return;
    event.preventDefault();
    let next = row[step];
    while (next && !next.classList.contains("request")) next = next[step];
    if (next) next.focus();
  });
  return row;
}

function phases(one) {
  const found = [];
  let at = 0;
  const add = (name, kind, length) => { if (length > 0) found.push({ name, kind, at, length }); at += Math.max(length, 0); };
  one.tries.forEach((attempt, index) => {
    add(index ? "pause before the next attempt" : "gateway", index ? "pause" : "gateway", attempt.begun - at);
    const peer = attempt.peer || "no peer";
    add("in line for a connection", "queue", attempt.queued);
    add(`connect to ${peer}`, "connect", attempt.connect);
    const until = index + 1 < one.tries.length ? one.tries[index + 1].begun : one.ms;
    if (attempt.waited) add(`wait for ${peer}: ${attempt.status}`, "wait", attempt.waited);
    else if (attempt.error) add(`${peer}: ${attempt.error}`, "failed", until - at);
  });
  add(one.tries.length ? "body, to the client" : "gateway", one.tries.length ? "body" : "gateway", one.ms - at);
  return found;
}

function detailsRow(one) {
  const fall = make("div", { className: "fall", role: "list" });
  for (const phase of phases(one)) {
    const svg = draw("svg", { viewBox: "0 0 1000 12", preserveAspectRatio: "none", "aria-hidden": "true" });
    const scale = 1000 / Math.max(one.ms, .01);
    svg.append(draw("rect", { class: "track", x: 0, y: 5.5, width: 1000, height: 1 }),
      draw("rect", { class: `ph-${phase.kind}`, x: phase.at * scale, y: 0, width: Math.max(phase.length * scale, 3), height: 12 }));
    fall.append(make("span", { textContent: phase.name }), svg, make("span", { className: "n", textContent: `${ms(phase.length)} ms` }));
  }
  const facts = make("p", { className: "facts" });
  const last = one.tries[one.tries.length - 1];
  for (const [name, value] of [["id", one.id], ["host", one.host], ["service", one.service], ["peer", last && last.peer], ["in", `${one.bytes_in} B`],
    ["out", `${one.bytes_out} B`], ["attempts", String(one.tries.length)], ["connection", last ? (last.reused ? "kept" : "new") : ""], ["error", one.error]]) {
    if (value) facts.append(make("span", {}, name, make("b", { textContent: value })), " ");
  }
  const cell = make("td", {}, fall, facts);
  cell.setAttribute("colspan", "7");
  return make("tr", { className: "open" }, cell);
}

$("#filters").addEventListener("input", () => { if (state.whole) tail(); });
$("#filters").addEventListener("submit", event => event.preventDefault());
$("#hold").addEventListener("click", () => {
  state.held = !state.held;
  $("#hold").setAttribute("aria-pressed", String(state.held));
  if (!state.held && state.whole) tail();
});

// -- actions ----------------------------------------------------------------------------------------------------------

async function ask(path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), cache: "no-store" });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.detail || value.reason || value.title || `the gateway answers ${answer.status}`);
  return value;
}

function dialog(title, text, yes, fields, act, dangerous = false) {
  const box = $("#ask");
  if (box.open) return;
  $("#ask-title").textContent = title;
  $("#ask-text").textContent = text;
  $("#ask-fields").replaceChildren(...fields);
  $("#ask-trouble").textContent = "";
  $("#ask-yes").textContent = yes;
  $("#ask-yes").classList.toggle("danger", dangerous);
  const form = $("form", box);
  form.onsubmit = async event => {
    event.preventDefault();
    $("#ask-yes").disabled = true;
    try { await act(form.elements); box.close(); }
    catch (error) { $("#ask-trouble").textContent = error.message; }
    finally { $("#ask-yes").disabled = false; }
  };
  $("#ask-no").onclick = () => box.close();
  box.showModal();
  const first = $("input, select", $("#ask-fields"));
  (first || $("#ask-no")).focus();
}

function choice(name, value, text, checked) {
  const input = make("input", { type: "radio", name, value, checked, required: true });
  return make("label", { className: "choice" }, input, text);
}

function changePeer(service, peer) {
  const forced = peer.breaker.startsWith("forced"), fields = [];
  fields.push(peer.drained ? choice("what", "restore", "Restore: let it have requests again", false)
    : choice("what", "drain", "Drain: no new requests, those under way end as they would", false));
  if (peer.breaker !== "forced_open") fields.push(choice("what", "open", "Hold its breaker open: refuse all", false));
  if (peer.breaker !== "forced_closed") fields.push(choice("what", "close", "Hold its breaker closed: try it whatever fails", false));
  fields.push(choice("what", "reset", forced ? "Reset its breaker: let it decide again" : "Reset its breaker: close it, forget failures", false));
  dialog(`${peer.name} of ${service}`, `Now ${how(peer)[0]}, with ${peer.active} requests under way.`, "Do it", fields, elements => {
    const action = elements.what.value;
    const path = action === "drain" || action === "restore" ? "/api/peers" : "/api/breakers";
    return ask(path, { service, peer: peer.name, action });
  }, true);
}

$("#do-reload").addEventListener("click", () => dialog("Reload the configuration",
  "Reads the file again. If something is wrong with it, all stays as it is and the reason stands here.", "Reload", [],
  async () => { await ask("/api/reload", {}); views(); }));

$("#do-maintenance").addEventListener("click", async () => {
  const on = $("#do-maintenance").getAttribute("aria-pressed") === "true";
  const input = make("input", { name: "lasts", value: "10m", size: 8 });
  dialog(on ? "End maintenance" : "Close for maintenance",
    on ? "Requests are served again." : "All requests get 503 with Retry-After, until you end it or the gateway restarts.",
    on ? "Open" : "Close", on ? [] : [make("label", { className: "text" }, "It lasts", input)],
    async elements => { await ask("/api/maintenance", on ? { on: false } : { on: true, for: elements.lasts.value }); await views(); }, !on);
});

$("#do-level").addEventListener("click", async () => {
  const now = await ask("/api/log-level").catch(() => ({ level: "debug" }));
  const select = make("select", { name: "level" }, ...["debug", "info", "warn", "error", "critical"].map(one =>
    make("option", { textContent: one, selected: one === now.level })));
  dialog("Log level", "How much the gateway's own log tells, until it restarts.", "Set", [make("label", { className: "text" }, "From", select)],
    elements => ask("/api/log-level", { level: elements.level.value }));
});

async function views() {
  try {
    const [closed, limits] = await Promise.all([ask("/api/maintenance"), ask("/api/limits")]);
    $("#do-maintenance").setAttribute("aria-pressed", String(closed.on));
    const names = [...Object.keys(closed.services), ...Object.keys(closed.routes)], banner = $("#banner");
    banner.hidden = !closed.on && !names.length;
    say(banner, closed.on ? "Closed for maintenance: all requests get 503." : `Closed for maintenance: ${names.join(", ")}.`);
    const list = [];
    for (const [name, text] of Object.entries(limits.gateway)) list.push(make("dt", { textContent: name }), make("dd", { textContent: text }));
    for (const route of limits.routes) {
      const own = Object.entries(route).filter(([name]) => name !== "name" && name !== "enforce").map(([name, text]) => `${name} ${text}`);
      list.push(make("dt", { textContent: `route ${route.name}${route.enforce ? "" : ", reported only"}` }), make("dd", { textContent: own.join(", ") }));
    }
    if (!list.length) list.push(make("dt", { textContent: "There are none." }));
    $("#limits").replaceChildren(...list);
  } catch (error) {
    console.warn(String(error));
  }
}
setInterval(() => { if (heard && !document.hidden) views(); }, 10000);

function askToken() {
  if (asking) return new Promise(done => setTimeout(done, 1000));
  asking = true;
  return new Promise(done => {
    const input = make("input", { type: "password", name: "token", required: true, autocomplete: "off" });
    const box = $("#ask");
    const closed = () => { asking = false; box.removeEventListener("close", closed); setTimeout(done, token ? 0 : 1000); };
    box.addEventListener("close", closed);
    if (box.open) box.close();
    dialog("Admin token", token ? "That token is not the right one." : "This gateway asks for its admin token. It is kept for this tab only.",
      "Continue", [make("label", { className: "text" }, "Token", input)], async elements => {
        token = elements.token.value.trim();
        sessionStorage.setItem("apigw-token", token);
      });
  });
}

// -- light and dark ---------------------------------------------------------------------------------------------------

const theme = localStorage.getItem("apigw-theme");
if (theme) document.documentElement.dataset.theme = theme;
$("#theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("apigw-theme", dark ? "light" : "dark");
});

listen();
