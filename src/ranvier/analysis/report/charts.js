"use strict";
// Drawings that stand still: lines, histograms, dots and squares, as SVG.

const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes, parent, content) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (content !== undefined) made.textContent = content;
  if (parent) parent.append(made);
  return made;
}

function element(name, attributes, parent, content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (content !== undefined) made.textContent = content;
  if (parent) parent.append(made);
  return made;
}

// Whole numbers as the report packs them: base64 of little-endian values.
function unpack(packed, Kind) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  if (Kind.BYTES_PER_ELEMENT === 1) return new Kind(bytes.buffer);
  const view = new DataView(bytes.buffer), values = new Kind(bytes.length / 2);
  for (let i = 0; i < values.length; i++) {
    values[i] = Kind === Int16Array ? view.getInt16(2 * i, true) : view.getUint16(2 * i, true);
  }
  return values;
}

function percent(share) { return (100 * share).toFixed(1) + "%"; }

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 10000) return (value / 1000).toFixed(0) + "k";
  return String(+value.toPrecision(size < 1 ? 2 : 3));
}

// A few round values from low to high.
function ticks(low, high, most) {
  const span = high - low || 1, raw = span / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
  const values = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) values.push(+v.toPrecision(12));
  return values;
}

// An empty chart with its axes; x and y give places in it.
function chart(host, options) {
  const width = Math.max(160, Math.floor(host.clientWidth)), height = options.height;
  const left = options.left ?? 46, right = 12, top = 10, bottom = options.x.label ? 40 : 24;
  const svg = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label });
  const scale = (axis, from, to) => (v) => from + ((v - axis.low) / (axis.high - axis.low || 1)) * (to - from);
  const x = scale(options.x, left, width - right), y = scale(options.y, height - bottom, top);
  const format = options.y.format || short;
  for (const value of ticks(options.y.low, options.y.high, Math.max(2, Math.floor((height - bottom) / 36)))) {
    node("line", { class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value) }, svg);
    node("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, svg, format(value));
  }
  const whole = options.x.whole ? (v) => Number.isInteger(v) : () => true;
  for (const value of ticks(options.x.low, options.x.high, Math.max(2, Math.floor(width / 62))).filter(whole)) {
    node("text", { x: x(value), y: height - bottom + 17, "text-anchor": "middle" }, svg, short(value));
  }
  if (options.x.label) {
    node("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, svg, options.x.label);
  }
  host.append(svg);
  return { svg, x, y, width, height, left, right, top, bottom };
}

function path(xs, ys, x, y) {
  let text = "", pen = "M";
  for (let i = 0; i < xs.length; i++) {
    if (ys[i] === null || ys[i] === undefined) { pen = "M"; continue; }
    text += `${pen}${x(xs[i]).toFixed(1)},${y(ys[i]).toFixed(1)}`;
    pen = "L";
  }
  return text;
}

function legend(host, entries) {
  const list = element("ul", { class: "legend" }, host);
  for (const entry of entries) {
    const item = element("li", {}, list);
    const sample = node("svg", { width: 28, height: 10, "aria-hidden": "true" }, item);
    node("line", { class: "line " + entry.style, x1: 0, x2: 28, y1: 5, y2: 5, "stroke-dasharray": entry.dash || "" }, sample);
    item.append(entry.name);
  }
}

function finite(values) { return values.filter((value) => value !== null && value !== undefined); }

// Panels side by side; all are there before the first is drawn, so that each knows its width.
function panels(host, layers, head) {
  const grid = element("div", { class: "panels" }, host);
  return layers.map((layer) => [layer, panel(grid, ...head(layer))]);
}

function panel(host, title, more) {
  const box = element("div", {}, host), heading = element("p", { class: "panel-title" }, box, title);
  if (more) { heading.append(" "); element("small", {}, heading, more); }
  return box;
}

// --- learning curves -------------------------------------------------------------------------------------------------

const LINES = [
  { key: "validation_accuracy", style: "accent" },
  { key: "train_accuracy", style: "", dash: "" },
  { key: "seen_accuracy", style: "", dash: "6 3" },
];

function learning(figure, run) {
  const curves = run.curves, epochs = curves.epoch, last = epochs.length - 1;
  const slider = control(figure, "epoch"), out = figure.querySelector("output");
  slider.max = last;
  if (!figure.dataset.ready) slider.value = Math.max(0, run.best ? epochs.findIndex((e) => e >= run.best) : last);
  return (host) => {
    host.replaceChildren();
    const there = LINES.filter((line) => curves[line.key]).map((line) => ({ ...line, name: run.named[line.key] }));
    const grid = element("div", { class: "panels wide" }, host), axis = { low: Math.min(1, epochs[0]), high: Math.max(2, epochs[last]), whole: true };
    const marks = [];
    const one = (title, series, y, height, label) => {
      const box = panel(grid, title);
      if (series.length > 1) legend(box, series);
      const c = chart(box, { height, x: { ...axis, label }, y, label: title });
      if (run.best) node("rect", { class: "kept", x: c.x(run.best) - 5, width: 10, y: c.top, height: height - c.bottom - c.top }, c.svg);
      for (const line of [...series].reverse()) {
        node("path", { class: "line " + line.style, d: path(epochs, line.values, c.x, c.y), "stroke-dasharray": line.dash || "" }, c.svg);
      }
      const now = node("line", { class: "now", y1: c.top, y2: height - c.bottom }, c.svg);
      const points = series.map((line) => node("circle", { class: "point " + line.style, r: 4 }, c.svg));
      marks.push((place) => {
        now.setAttribute("x1", c.x(epochs[place])); now.setAttribute("x2", c.x(epochs[place]));
        series.forEach((line, i) => {
          const value = line.values[place];
          points[i].setAttribute("visibility", value === null ? "hidden" : "visible");
          points[i].setAttribute("cx", c.x(epochs[place])); points[i].setAttribute("cy", value === null ? 0 : c.y(value));
        });
      });
      c.svg.addEventListener("click", (event) => {
        const at = axis.low + ((event.offsetX - c.left) / (c.width - c.left - c.right)) * (axis.high - axis.low);
        slider.value = epochs.reduce((best, e, i) => (Math.abs(e - at) < Math.abs(epochs[best] - at) ? i : best), 0);
        show();
      });
    };
    if (there.length) {
      one("Accuracy", there.map((line) => ({ ...line, values: curves[line.key] })),
        { low: 0, high: 1, format: (v) => (100 * v).toFixed(0) + "%" }, 240);
    }
    const few = curves.sigma_ms ? undefined : "epoch";
    if (curves.loss) {
      one("Loss on training clips", [{ name: "loss", style: "", values: curves.loss }],
        { low: 0, high: Math.max(0.01, ...finite(curves.loss)) }, few ? 170 : 150, few);
    }
    if (curves.sigma_ms) {
      const from = run.began === undefined || run.began === null ? "" : ` (start: ${short(run.began)})`;
      one(`Width σ of the delays' kernel (ms)${from}`, [{ name: "σ", style: "", values: curves.sigma_ms }],
        { low: 0, high: Math.max(...finite(curves.sigma_ms)) }, 165, "epoch");
    }
    const show = () => {
      const place = Number(slider.value);
      marks.forEach((mark) => mark(place));
      out.textContent = `${epochs[place]} of ${epochs[last]}`;
      slider.setAttribute("aria-valuetext", "epoch " + epochs[place]);
      const said = there.filter((line) => curves[line.key][place] !== null).map((line) => `${line.name} ${percent(curves[line.key][place])}`);
      if (curves.loss && curves.loss[place] !== null) said.push("loss " + short(curves.loss[place]));
      if (curves.sigma_ms && curves.sigma_ms[place] !== null) said.push(`σ ${short(curves.sigma_ms[place])} ms at its end`);
      const kept = epochs[place] === run.best ? " (the one that was kept)" : "";
      figure.querySelector(".read").textContent = `Epoch ${epochs[place]}${kept}: ${said.join(", ")}.`;
    };
    slider.oninput = show;
    show();
  };
}

// --- delays ----------------------------------------------------------------------------------------------------------

function delays(figure, run) {
  const frames = run.delays.epoch, slider = control(figure, "epoch");
  if (slider) {
    slider.max = frames.length - 1;
    if (!figure.dataset.ready) slider.value = Math.max(0, run.best ? frames.findIndex((e) => e >= run.best) : frames.length - 1);
  }
  return (host) => {
    host.replaceChildren();
    const movers = [], synapses = (layer) => layer.counts[0].reduce((a, b) => a + b, 0).toLocaleString("en") + " synapses";
    for (const [layer, box] of panels(host, run.delays.layers, (layer) => [layer.name, synapses(layer)])) {
      const bins = layer.counts[0].length;
      const most = Math.max(1, ...layer.counts.map((counts) => Math.max(...counts)));
      const c = chart(box, { height: 210, x: { low: -run.dt / 2, high: (bins * layer.width - 0.5) * run.dt, label: "delay (ms)" }, y: { low: 0, high: most * 1.03 }, label: layer.name });
      const edge = (bin) => c.x((bin * layer.width - 0.5) * run.dt), zero = c.y(0);
      // as in delays.png: before in grey bars, after as a red outline
      if (frames.length > 1) {
        layer.counts[0].forEach((count, bin) => node("rect", { class: "before", x: edge(bin) + 0.5, y: c.y(count),
          width: Math.max(0.8, edge(bin + 1) - edge(bin) - 1), height: Math.max(0, zero - c.y(count)) }, c.svg));
      }
      const outline = node("path", { class: "after" }, c.svg);
      movers.push((frame) => {
        const steps = layer.counts[frame].map((count, bin) => `L${edge(bin).toFixed(1)},${c.y(count).toFixed(1)}L${edge(bin + 1).toFixed(1)},${c.y(count).toFixed(1)}`);
        outline.setAttribute("d", `M${edge(0)},${zero}${steps.join("")}L${edge(bins)},${zero}`);
      });
    }
    const show = () => {
      const frame = slider ? Number(slider.value) : 0;
      movers.forEach((move) => move(frame));
      if (!slider) return;
      const means = run.delays.layers.map((layer) => short(layer.mean[frame] * run.dt));
      figure.querySelector("output").textContent = `${frames[frame]} of ${frames.at(-1)}`;
      slider.setAttribute("aria-valuetext", "epoch " + frames[frame]);
      figure.querySelector(".read").textContent = `After epoch ${frames[frame]}, mean delays of ${means.join(", ")} ms.`;
    };
    if (slider) slider.oninput = show;
    show();
  };
}

function strength(figure, run) {
  return (host) => {
    host.replaceChildren();
    for (const [layer, box] of panels(host, run.scatter, (layer) => [layer.name])) {
      const places = unpack(layer.place, Uint16Array), weights = unpack(layer.weight, Int16Array);
      const c = chart(box, { height: 230, x: { low: -run.dt / 2, high: (layer.longest + 0.5) * run.dt, label: "delay (ms)" },
        y: { low: -layer.largest, high: layer.largest }, label: `Weight against delay, ${layer.name}` });
      let dots = "";
      for (let i = 0; i < places.length; i++) {
        const x = c.x((places[i] / 65535) * (layer.longest + 1) * run.dt), y = c.y((weights[i] / 32767) * layer.largest);
        dots += `M${x.toFixed(1)},${y.toFixed(1)}h0`;
      }
      node("path", { d: dots, fill: "none", stroke: "var(--ink)", "stroke-width": 2.2, "stroke-linecap": "round", opacity: 0.3 }, c.svg);
      const xs = layer.strength.map((_, bin) => (bin + 0.5) * layer.width * run.dt - run.dt / 2);
      for (const sign of [1, -1]) {
        node("path", { class: "line accent", d: path(xs, layer.strength.map((s) => (s === null ? null : sign * s)), c.x, c.y) }, c.svg);
      }
    }
  };
}

function rates(figure, run) {
  return (host) => {
    host.replaceChildren();
    const head = (layer) => [layer.name, `mean ${short(layer.mean)}, ${layer.silent} silent`];
    for (const [layer, box] of panels(host, run.rates, head)) {
      const wide = layer.top / layer.counts.length, most = Math.max(1, layer.silent, ...layer.counts);
      const c = chart(box, { height: 200, x: { low: -2 * wide, high: layer.top, label: "mean spikes of a neuron in a clip" }, y: { low: 0, high: most * 1.03 }, label: layer.name });
      const bar = (from, count, name) => node("rect", { class: name, x: c.x(from) + 0.5, y: c.y(count),
        width: Math.max(0.8, c.x(from + wide) - c.x(from) - 1), height: Math.max(0, c.y(0) - c.y(count)) }, c.svg);
      layer.counts.forEach((count, bin) => bar(bin * wide, count, "fill"));
      bar(-1.5 * wide, layer.silent, "silent");
    }
  };
}
